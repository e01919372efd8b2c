"""Objects written as text: ``hazard:p=0.5,kappa=0.1`` is a registry key with typed parameters.

Types come from the annotations of the factory or dataclass. A parameter that is itself a dataclass
is written with dots: ``fixed-mixture:epsilon=0.1,optimist.bonus_scale=0.5``.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any, Literal

from theoryrl._registry import Registry, UnknownKeyError
from theoryrl.instances import INSTANCES
from theoryrl.learners import LEARNERS

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def build_instance(text: str) -> Any:
    """Return the model that the text names.

    Raises
    ------
    ValueError
        Naming the key, the parameter and the value that is wrong.
    """
    factory, parameters = parse(text, INSTANCES)
    return _call(text, factory, parameters)


def build_learner(text: str) -> Any:
    """Return the learner that the text names.

    A learner that asks for the true model is returned as a `functools.partial` that still lacks it;
    `bind` completes it. Its ``needs_model`` names the parameter, which is the problem's attribute too.

    Raises
    ------
    ValueError
        Naming the key, the parameter and the value that is wrong.
    """
    learner, parameters = parse(text, LEARNERS)
    if _model_parameter(learner):
        return functools.partial(learner, **parameters)
    return _call(text, learner, parameters)


def bind(learner: Any, problem: Any) -> Any:
    """Return the learner itself, or completed with the problem's model if it still lacks one."""
    if not isinstance(learner, functools.partial):
        return learner
    name = _model_parameter(learner.func)
    if not hasattr(problem, name):
        raise ValueError(
            f"{getattr(learner.func, '__name__', '?')} needs a problem with {name!r}; got {problem!r}"
        )
    return learner(**{name: getattr(problem, name)})


def parse(text: str, registry: Registry[Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Split ``KEY:name=value,...`` into a registry entry and its typed parameters."""
    key, _, rest = text.partition(":")
    try:
        entry = registry[key]
    except UnknownKeyError as error:
        raise ValueError(str(error)) from None
    written: dict[str, str] = {}
    for item in filter(None, rest.split(",")):
        name, equals, value = item.partition("=")
        if not (equals and name):
            raise ValueError(f"{text!r}: expected name=value; got {item!r}")
        if name in written:
            raise ValueError(f"{text!r}: parameter {name!r} is given twice")
        written[name] = value
    return entry, typed_parameters(key, entry, written)


def typed_parameters(key: str, entry: Callable[..., Any], written: Mapping[str, str]) -> dict[str, Any]:
    """Convert the parameters of `entry` from text to the types of its annotations.

    Parameters
    ----------
    key
        Name of the entry in error messages.
    entry
        A function or a dataclass with annotated parameters.
    written
        Parameter name to text.
    """
    types_of = {name: hint for name, hint in _annotations(entry).items() if name != _model_parameter(entry)}
    nested: dict[str, dict[str, str]] = {}
    parameters: dict[str, Any] = {}
    for name, value in written.items():
        head, dot, tail = name.partition(".")
        if head not in types_of:
            near = difflib.get_close_matches(head, types_of, n=3)
            known = f"it has {', '.join(types_of)}" if types_of else "it has none"
            hint = f"did you mean {', '.join(near)}?" if near else known
            raise ValueError(f"{key} has no parameter {head!r}; {hint}")
        if dot:
            nested.setdefault(head, {})[tail] = value
        else:
            parameters[name] = _convert(f"{key}: parameter {name!r}", value, types_of[head])
    for head, inner in nested.items():
        if not is_dataclass(types_of[head]) or head in parameters:
            raise ValueError(f"{key}: parameter {head!r} has no parts; got {head}.{next(iter(inner))}")
        part = typing.cast(Callable[..., Any], types_of[head])
        parameters[head] = _call(
            f"{key}: parameter {head!r}", part, typed_parameters(f"{key}.{head}", part, inner)
        )
    return parameters


def _model_parameter(entry: Callable[..., Any]) -> str:
    """Return the name of the parameter that takes the true model, or nothing."""
    return str(getattr(entry, "needs_model", ""))


def _annotations(entry: Callable[..., Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(entry)
    return {name: hints.get(name, str) for name in inspect.signature(entry).parameters}


def _call(text: str, entry: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    missing = [
        name
        for name, parameter in inspect.signature(entry).parameters.items()
        if parameter.default is parameter.empty and name not in parameters
    ]
    if missing:
        raise ValueError(f"{text}: parameter {missing[0]!r} is required")
    try:
        return entry(**parameters)
    except (ValueError, OverflowError, MemoryError) as error:
        raise ValueError(f"{text}: {error}") from error


def _convert(where: str, text: str, kind: Any) -> Any:
    """Return the text as a value of the type `kind`."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _convert_union(where, text, typing.get_args(kind))
    if typing.get_origin(kind) is Literal:
        choices = {str(choice): choice for choice in typing.get_args(kind)}
        if text in choices:
            return choices[text]
        raise ValueError(f"{where} must be one of {', '.join(choices)}; got {text!r}")
    if kind is bool:
        if text.lower() in TRUE + FALSE:
            return text.lower() in TRUE
        raise ValueError(f"{where} must be true or false; got {text!r}")
    if kind is str:
        return text
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            noun = "an integer" if kind is int else "a number"
            raise ValueError(f"{where} must be {noun}; got {text!r}") from None
    raise ValueError(f"{where} cannot be written as text; got {text!r}")


def _convert_union(where: str, text: str, kinds: tuple[Any, ...]) -> Any:
    if type(None) in kinds and text.lower() == "none":
        return None
    errors = []
    for kind in (kind for kind in kinds if kind is not type(None)):
        try:
            return _convert(where, text, kind)
        except ValueError as error:
            errors.append(error)
    raise errors[0]
