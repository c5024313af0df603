"""gin made strict: every name, parameter, scope and macro must exist, and what the user writes must be used.

Three rules, and each breach is an :class:`InputError` that names the place, the binding and the nearest valid name:

1. While reading: every configurable, parameter, reference and macro exists; nothing is left at ``%gin.REQUIRED``; and
   values are of the types that the parameters are annotated with.
2. :func:`check_all_used`, for every file: each macro is referred to by some binding, and each scope occurs in some
   reference (or was entered by the program).
3. :func:`check_all_used`, for what the user wrote, that is the files named on the command line and ``--set``: the bound
   configurable takes part in the run. Files brought in by ``include`` hold documented defaults; no run uses them all.

"Takes part" means: it has been called by then, or references lead to it from one that has been called, or from a root
(:data:`ROOTS`, of a training). So a binding that only evaluation will use is no error. For ``--set`` only the effective
bindings count as paths; for files every binding does, as an override must not turn a shipped file into an error.
A parameter that the program itself gives in every call cannot be bound either, nor with ``--set`` one that a task
or another part says has no effect beside its other options (``idle_options``), or what only such a parameter refers to.
"""

from __future__ import annotations

import importlib
import io
import pkgutil
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gin
from gin import config as gin_config
from gin import config_parser

from sparse3d.config_names import in_words, nearest, parameter_names, registered_name
from sparse3d.config_types import wrong_type
from sparse3d.config_usage import Binding, constant_of, find_unused, macros_in
from sparse3d.errors import InputError

PACKAGES = ("data", "models", "losses", "tasks", "training", "sparse")
ROOTS = ("run", "train", "init", "sparse", "TeacherCache")  # what a training calls by itself, around the check
PROBE_ROOTS, EVALUATION_ROOTS = ("init", "sparse"), ("run", "train", "sparse", "TeacherCache")

_bindings: list[Binding] = []  # every binding read, in order, overridden ones too
_kept = 0  # so many of them, the first, are a checkpoint's: they were checked when it was trained, as they were then


def import_all() -> None:
    """Imports every module that may register configurables, so that a new loss is one new file.

    A module that needs a third-party package which is not installed is left out, and its names with it.
    """
    import sparse3d

    names = ["sparse3d.run"]
    for package in PACKAGES:
        module = importlib.import_module(f"sparse3d.{package}")
        names += [found.name for found in pkgutil.walk_packages(module.__path__, f"{module.__name__}.")]
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] == sparse3d.__name__:
                raise


def load_config(files: Sequence[str | Path], bindings: Sequence[str] = ()) -> None:
    """Replaces the global config by these files, then these ``--set`` bindings.

    A file name is taken as given, else below the packaged gin folder; an ``include`` is looked for beside the file that
    holds it, then below the packaged gin folder.

    Raises:
        InputError: one line with file and line number, what is wrong, and the nearest valid name.
    """
    _begin()
    for file in files:
        _read_file(_find_file(str(file), None, "config file"), included=False, above=())
    _finish(bindings)


def load_config_text(text: str, bindings: Sequence[str] = (), source: str = "the checkpoint's config") -> None:
    """The same from a text that :func:`config_text` made, for a checkpoint that must stand alone."""
    global _kept
    _begin()
    _read_text(text, source, included=True, folder=None, above=())
    _kept = len(_bindings)
    _finish(bindings)


def config_text() -> str:
    """The whole config, defaults left out; :func:`load_config_text` reads it back to the same text."""
    return gin.config_str(max_line_length=120)


def check_all_used(roots: Sequence[str] | None = None, idle: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Applies rules 2 and 3 of the module; call it once the run is set up.

    Args:
        roots: what the program calls by itself; None: what a training does (:data:`ROOTS`).
        idle: by the configurable's name, parameters without effect in this run and why.

    Raises:
        InputError: the first binding that nothing uses.
    """
    names = ROOTS if roots is None else roots
    selectors = [selector for name in names for selector in gin_config._REGISTRY.matching_selectors(name)]
    called = dict(gin_config._OPERATIVE_CONFIG)
    without_effect = {
        (selector, parameter): reason
        for name, reasons in (idle or {}).items()
        for selector in gin_config._REGISTRY.matching_selectors(name)
        for parameter, reason in reasons.items()
    }
    problem = find_unused(_bindings, selectors, called, without_effect, _kept)
    if problem is not None:
        raise InputError(problem)


@contextmanager
def configured_calls() -> Iterator[None]:
    """Around calls that gin fills in: a parameter that nobody gave becomes an InputError that says what to bind."""
    try:
        yield
    except (RuntimeError, TypeError) as error:
        text = str(error)
        if text.startswith("Required bindings for"):
            raise InputError(f"{text.splitlines()[0]}; give them with --set 'name.parameter=value'") from error
        if "No values supplied by Gin or caller for arguments" in text:
            raise InputError(f"{in_words(text)}; give them with --set 'name.parameter=value'") from error
        raise


# Reading


def _begin() -> None:
    global _kept
    import_all()
    gin.clear_config()
    _bindings.clear()
    _kept = 0


def _finish(bindings: Sequence[str]) -> None:
    for text in bindings:
        _read_text(text, f"--set '{text}'", included=False, folder=None, above=(), is_file=False)
    _check_values()
    gin.finalize()


class _Delegate(gin_config.ParserDelegate):
    """Looks references up as they are read, to name the nearest one."""

    def configurable_reference(self, scoped_selector: str, evaluate: bool) -> Any:
        _look_up(scoped_selector.rsplit("/", 1)[-1], "@")
        return super().configurable_reference(scoped_selector, evaluate)


def _look_up(selector: str, mark: str = "") -> Any:
    matches = gin_config._REGISTRY.matching_selectors(selector)
    if len(matches) == 1:
        return gin_config._REGISTRY[matches[0]]
    if matches:
        raise InputError(f"{mark}{selector} is ambiguous; write one of {', '.join(sorted(matches))}")
    names = sorted(
        {registered_name(found) for found, _ in gin_config._REGISTRY.items() if not found.startswith("gin.")}
    )
    raise InputError(f"{mark}{selector} is not a configurable{nearest(selector.split('.')[-1], names, mark)}")


def _find_file(name: str, folder: Path | None, what: str) -> Path:
    from sparse3d.config_paths import packaged_gin_dir

    packaged = packaged_gin_dir()
    candidates = [folder / name] if folder is not None else [Path(name)]
    # "gin/pretrain/demo.gin" is what one types in a clone; it shall work from elsewhere too.
    candidates += [packaged / name, packaged / name.removeprefix("gin/")]
    for path in candidates:
        if path.is_file():
            return path
    known = sorted(str(path.relative_to(packaged)) for path in packaged.rglob("*.gin"))
    raise InputError(f"{what} {name} does not exist, here or in {packaged}{nearest(name.removeprefix('gin/'), known)}")


def _read_file(path: Path, included: bool, above: tuple[Path, ...]) -> None:
    path = path.resolve()
    if path in above:
        raise InputError(f"{path}: includes itself, through {' > '.join(p.name for p in (*above, path))}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"config file {path} cannot be read: {error}") from error
    _read_text(text, str(path), included, path.parent, (*above, path))


class _Placed(InputError):
    """An error whose message names its place already."""


def _read_text(
    text: str, source: str, included: bool, folder: Path | None, above: tuple[Path, ...], is_file: bool = True
) -> None:
    def where(line: int) -> str:
        return f"{source}, line {line}" if is_file else source

    for line, statement in _statements(text, where):
        if isinstance(statement, config_parser.IncludeStatement):
            path = _find_file(statement.filename, folder, f"{where(line)}: included file")
            _read_file(path, included=True, above=above)
            continue
        try:
            _take(statement, where(line), included, is_file)
        except (ValueError, ImportError) as error:
            raise _Placed(f"{where(line)}: {in_words(str(error))}") from error


def _statements(text: str, where: Callable[[int], str]) -> Iterator[tuple[int, Any]]:
    """Statements with their line numbers, errors of syntax and of references placed."""
    parser = None
    try:
        parser = config_parser.ConfigParser(io.StringIO(text), _Delegate())
        while (statement := parser.parse_statement()) is not None:
            yield statement.location.line_num, statement
    except _Placed:
        raise
    except SyntaxError as error:
        raise _Placed(f"{where(error.lineno or 1)}: {in_words(error.msg)}") from error
    except tokenize.TokenError as error:
        raise _Placed(f"{where(error.args[1][0])}: {error.args[0]}; a bracket or quote is not closed") from error
    except (ValueError, KeyError) as error:
        line = parser.current_token.start[0] if parser is not None else 1
        raise _Placed(f"{where(line)}: {in_words(str(error))}") from error


def _take(statement: Any, where: str, included: bool, is_file: bool) -> None:
    """Binds one statement and notes where it came from."""
    if isinstance(statement, config_parser.ImportStatement):
        importlib.import_module(statement.module)
        gin_config._IMPORTS.add(statement)  # so that the config's text brings it along
        return
    if isinstance(statement, config_parser.BlockDeclaration):
        _look_up(statement.selector)
        return
    scope, selector, argument, value, _ = statement
    if not argument:  # a macro: NAME = value
        scope, selector, argument = "/".join(filter(None, (scope, selector))), "gin.macro", "value"
    configurable = _look_up(selector)
    parameters = parameter_names(configurable.wrapped)
    if parameters is not None and argument not in parameters:
        raise InputError(f"{selector} has no parameter {argument!r}{nearest(argument, parameters, f'{selector}.')}")
    gin.bind_parameter((scope, selector, argument), value)
    _bindings.append(Binding(scope, configurable.selector, argument, value, where, included, is_file))


def _check_values() -> None:
    effective = {binding.key: binding for binding in _bindings}
    defined = {binding.scope for binding in effective.values() if binding.selector == "gin.macro"}
    for binding in effective.values():
        for name in macros_in(binding.value):
            if name not in defined:
                raise InputError(f"{binding.where}: macro %{name} is not defined{nearest(name, sorted(defined), '%')}")
        if constant_of(binding.value) is gin.REQUIRED:
            raise InputError(
                f"{binding.where}: {binding.name} must be given on the command line: --set '{binding.name}=...' "
                "(text in double quotes)"
            )
        if (problem := wrong_type(binding, effective)) is not None:
            raise InputError(problem)
