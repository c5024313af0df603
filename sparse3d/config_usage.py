"""Which bindings take part in a run: a walk over references, from what was called and what will be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gin import config as gin_config

from sparse3d.config_names import nearest, parameter_names, registered_name

MACRO, CONSTANT = "gin.macro", "gin.constant"
Node = tuple[str, str]  # scope, full selector: a configurable as called in a scope


@dataclass(frozen=True)
class Binding:
    """One statement of a config; a macro ``NAME = value`` is gin.macro in the scope ``NAME``."""

    scope: str
    selector: str  # full
    argument: str
    value: Any
    where: str  # file and line, or the --set text
    included: bool  # from a file that the user did not name: a default
    is_file: bool  # else from --set

    @property
    def key(self) -> tuple[str, str, str]:
        """What a later binding must equal to override this one."""
        return self.scope, self.selector, self.argument

    @property
    def name(self) -> str:
        """As it is written in a file."""
        if self.selector == MACRO:
            return self.scope
        scope = f"{self.scope}/" if self.scope else ""
        return f"{scope}{registered_name(self.selector)}.{self.argument}"


def references(value: Any) -> Iterator[Any]:
    """Every gin reference in a value, also inside lists and dicts."""
    if isinstance(value, gin_config.ConfigurableReference):
        yield value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from references(key)
            yield from references(entry)
    elif isinstance(value, (list, tuple, set)):
        for entry in value:
            yield from references(entry)


def macros_in(value: Any) -> list[str]:
    """Names of the macros that a value refers to."""
    return ["/".join(r.scopes) for r in references(value) if r.configurable.selector == MACRO]


def constant_of(value: Any) -> Any:
    """The constant that a value is (``%gin.REQUIRED``), else None."""
    if isinstance(value, gin_config.ConfigurableReference) and value.configurable.selector == CONSTANT:
        return gin_config._CONSTANTS["/".join(value.scopes)]
    return None


def _applies(binding_scope: str, call_scope: str) -> bool:
    # gin gives a call in scope a/b the bindings of "", a and a/b.
    return not binding_scope or call_scope == binding_scope or call_scope.startswith(f"{binding_scope}/")


Idle = Mapping[tuple[str, str], str]  # (full selector, parameter) -> why it has no effect in this run


def reachable(bindings: Iterable[Binding], start: Iterable[Node], idle: Idle) -> set[Node]:
    """All (scope, configurable) that references lead to from ``start``, those of ``idle`` parameters left out."""
    by_selector: dict[str, list[Binding]] = {}
    for binding in bindings:
        if (binding.selector, binding.argument) not in idle:
            by_selector.setdefault(binding.selector, []).append(binding)
    reached: set[Node] = set()
    waiting = list(start)
    while waiting:
        node = waiting.pop()
        if node in reached:
            continue
        reached.add(node)
        scope, selector = node
        for binding in by_selector.get(selector, ()):
            if _applies(binding.scope, scope):
                for reference in references(binding.value):
                    # A reference without a scope of its own is called in the scope that holds it.
                    waiting.append(("/".join(reference.scopes) or scope, reference.configurable.selector))
    return reached


def find_unused(
    bindings: Sequence[Binding],
    roots: Iterable[str],
    called: Mapping[Node, Mapping[str, Any]],
    idle: Idle,
    kept: int = 0,
) -> str | None:
    """The first breach of the rules of :mod:`sparse3d.config`, in one line, or None.

    Args:
        bindings: every statement read, in order.
        roots: full selectors that the program calls by itself.
        called: gin's operative config, (scope, selector) -> parameters given by gin or by default.
        idle: parameters without effect beside the values of others; --set may not give them, nor what they refer to.
        kept: the first so many bindings are not judged: a checkpoint's config has lost the statements that were
            overridden, and with them what referred to macros and scopes that are still there.
    """
    start = [("", root) for root in roots] + list(called)
    effective = {binding.key: binding for binding in bindings}
    for_files = reachable(bindings, start, {})
    for_sets = reachable(effective.values(), start, idle)
    referred = {name for binding in bindings for name in macros_in(binding.value)}
    scopes = {
        "/".join(r.scopes)
        for b in bindings
        for r in references(b.value)
        if r.configurable.selector not in (MACRO, CONSTANT)
    }
    scopes |= {scope for scope, _ in called if scope} | {b.scope for b in bindings if b.selector == MACRO}
    for binding in bindings[kept:]:
        problem = _misnamed(binding, referred, scopes)
        if problem is None and not (binding.included or binding.is_file):
            reason = idle.get((binding.selector, binding.argument))
            problem = None if reason is None else f"{binding.name} has no effect: {reason}"
        if problem is None and not binding.included:
            problem = _without_effect(binding, for_files if binding.is_file else for_sets, called)
            problem = problem or _hidden(binding, bindings, for_files)
        if problem is not None:
            return f"{binding.where}: {problem}"
    return None


def _misnamed(binding: Binding, referred: set[str], scopes: set[str]) -> str | None:
    if binding.selector == MACRO:
        if binding.scope in referred:
            return None
        homes = sorted({f"{registered_name(s)}.{binding.scope}" for s in _with_parameter(binding.scope)})
        hint = f"; did you mean {homes[0]}?" if homes else nearest(binding.scope, sorted(referred), "%")
        return f"nothing refers to the macro {binding.scope}{hint}"
    if any(_applies(binding.scope, scope) for scope in scopes) or not binding.scope:
        return None
    hint = nearest(binding.scope, sorted(scope for scope in scopes if scope))
    return f"{binding.name}: nothing is called in the scope {binding.scope!r}{hint}"


def _with_parameter(name: str) -> list[str]:
    found = []
    for selector, configurable in gin_config._REGISTRY.items():
        names = parameter_names(configurable.wrapper)
        if not selector.startswith("gin.") and (names is None or name in names):
            found.append(selector)
    return found


def _without_effect(binding: Binding, reached: set[Node], called: Mapping[Node, Mapping[str, Any]]) -> str | None:
    if binding.selector == MACRO and binding.is_file:
        return None  # referred to by a default; whether that default is used, rule 3 leaves open
    nodes = [node for node in reached if node[1] == binding.selector and _applies(binding.scope, node[0])]
    if not nodes and binding.selector == MACRO:
        return f"nothing in this run uses the macro {binding.name}; leave it out"
    if not nodes:
        target = registered_name(binding.selector)
        return f"nothing in this run uses {binding.name}; leave it out, or refer to @{target} where it shall be used"
    if binding.selector != MACRO and all(node in called and binding.argument not in called[node] for node in nodes):
        return f"{binding.name} has no effect: the program itself gives {binding.argument!r} in every call"
    return None


def _hidden(binding: Binding, bindings: Sequence[Binding], reached: set[Node]) -> str | None:
    """A binding for all scopes is silent where a scope had one of its own before: gin takes the narrower one.

    In a file it may stand for the other scopes. Given with --set it is meant for all, so that each scope must be hidden
    on purpose, by giving its own binding again. Bindings read later do not count otherwise: an override must not turn a
    shipped file into an error.
    """
    earlier = [
        b
        for b in bindings[: bindings.index(binding)]
        if (b.selector, b.argument) == (binding.selector, binding.argument) and len(b.scope) > len(binding.scope)
    ]
    scopes = [scope for scope, selector in reached if selector == binding.selector and _applies(binding.scope, scope)]
    hiding = [next((b for b in earlier if _applies(b.scope, scope)), None) for scope in scopes]
    if binding.selector == MACRO or not scopes:
        return None
    later = {b.key for b in bindings[bindings.index(binding) :]}
    names = sorted({b.name for b in hiding if b is not None and (None not in hiding or b.key not in later)})
    if None not in hiding:
        return f"{binding.name} has no effect, as narrower bindings hide it; bind {' and '.join(names)} instead"
    if names and not binding.is_file:
        return f"{binding.name} reaches only a part of the run, as {' and '.join(names)} hides it: bind that one, too"
    return None
