"""Values of the wrong type, found while a config is read by the annotations of the parameters they are bound to."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from gin import config as gin_config

from sparse3d.config_names import registered_name
from sparse3d.config_usage import MACRO, Binding, references

SCALARS = (bool, int, float, str)


def wrong_type(binding: Binding, effective: Mapping[tuple[str, str, str], Binding]) -> str | None:
    """What is wrong with the value that a binding gives, in one line, or None.

    Only what the annotation leaves no doubt about counts: numbers, texts, truth values, None, and sequences of these.

    Args:
        binding: one statement.
        effective: all that hold, by key; macros are looked up there.
    """
    value, where = binding.value, binding.where
    wanted = _annotations(binding.selector).get(binding.argument, Any)
    if (problem := _misreferred(value, wanted)) is not None:
        return f"{where}: {binding.name}: {problem}"
    for reference in references(value):
        if value is reference and reference.configurable.selector == MACRO:
            macro = effective.get(("/".join(reference.scopes), MACRO, "value"))
            if macro is not None:
                value, where = macro.value, macro.where
    if any(True for _ in references(value)):
        return None  # an object that is made later
    if _fits(value, wanted):
        return None
    return f"{where}: {binding.name} = {value!r}: must be of type {_in_words(wanted)}"


@cache
def _annotations(selector: str) -> dict[str, Any]:
    if selector.startswith("gin."):
        return {}
    wrapped = gin_config._REGISTRY[selector].wrapped
    function = vars(wrapped).get("__init__", wrapped) if isinstance(wrapped, type) else wrapped
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # annotations of names that only type checkers import
        return {}


def _misreferred(value: Any, wanted: Any) -> str | None:
    """Where a reference stands for an object and a maker of it is wanted, or the reverse: ``@Part()`` and ``@Part``."""
    wanted, listed = _without_none(wanted), isinstance(value, (list, tuple))
    if typing.get_origin(wanted) in (list, tuple, Sequence):
        if not listed:
            part = isinstance(value, gin_config.ConfigurableReference) and value.configurable.selector != MACRO
            return f"a list is wanted: [{_written(value)}]" if part and _is_part(value) else None
        entries = typing.get_args(wanted)
        return next((p for one in value if (p := _misreferred(one, entries[0] if entries else Any))), None)
    if not isinstance(value, gin_config.ConfigurableReference) or value.configurable.selector == MACRO:
        return None
    is_call = typing.get_origin(wanted) is Callable
    makes = is_call and typing.get_args(wanted)[0] is ...
    if makes and value.evaluate:
        return f"{_written(value)} is made too early; write {_written(value).removesuffix('()')}, without ()"
    is_object = (is_call and not makes) or (isinstance(wanted, type) and wanted not in (*SCALARS, Any))
    if is_object and not value.evaluate and _is_part(value):
        return f"{_written(value)} is a class; write {_written(value)}()"
    return None


def _without_none(wanted: Any) -> Any:
    """``X`` of ``X | None``; other unions as they are."""
    if typing.get_origin(wanted) not in (typing.Union, types.UnionType):
        return wanted
    others = [each for each in typing.get_args(wanted) if each is not type(None)]
    return others[0] if len(others) == 1 else wanted


def _is_part(reference: Any) -> bool:
    return isinstance(reference.configurable.wrapped, type)


def _written(reference: Any) -> str:
    scope = "".join(f"{name}/" for name in reference.scopes)
    return f"@{scope}{registered_name(reference.configurable.selector)}" + "()" * reference.evaluate


def _fits(value: Any, wanted: Any) -> bool:
    origin, entries = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in entries)
    if wanted in (None, type(None)):
        return value is None
    if wanted in SCALARS:
        accepted = (int, float) if wanted is float else wanted
        return isinstance(value, accepted) and isinstance(value, bool) == (wanted is bool)
    if origin is tuple and entries[-1:] != (...,):
        several = isinstance(value, (tuple, list)) and len(value) == len(entries)
        return several and all(_fits(one, each) for one, each in zip(value, entries, strict=True))
    if origin in (list, tuple, Sequence):
        return isinstance(value, (tuple, list)) and all(_fits(one, entries[0]) for one in value)
    if origin is Callable:  # None comes by an annotation of its own
        return not isinstance(value, (*SCALARS, list, tuple, dict)) and value is not None
    return True


def _an_example(made: Any) -> str:
    """A configurable that makes one, by its name in a file."""
    every = (entry.wrapped for _, entry in gin_config._REGISTRY.items())
    found = (
        one.__name__ for one in every if isinstance(one, type) and isinstance(made, type) and issubclass(one, made)
    )
    return min(found, default="Name")


def _in_words(wanted: Any) -> str:
    plain = _without_none(wanted)
    if typing.get_origin(plain) is Callable:
        made = typing.get_args(plain)[1]
        return f"constructor of {getattr(made, '__name__', made)}, such as @{_an_example(made)}"
    return wanted.__name__ if wanted in SCALARS else str(wanted).replace("collections.abc.", "")
