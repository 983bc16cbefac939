"""Checked settings: a frozen dataclass from a mapping, with mistakes named in one line and old names still known."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import math
import numbers
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from monai_semgan._moved import OldNameWarning
from monai_semgan.errors import SemganError

T = TypeVar("T")

RENAMED: dict[str, dict[str, str]] = {
    "InversionSettings": {"starts": "restarts"},
    "Preprocessing": {"frame": "field_of_view"},
    "StageTrainingSettings": {"weights": "init", "weights_required": "init_required"},
}
"""Settings class, old name of a field, new name. Old names go one minor release after they were renamed."""

GROUPED: dict[str, dict[str, str]] = {
    "StageTraining": {
        **{name: name for name in ("device", "epoch_length", "budget", "labelled", "seed", "resume", "loop")},
        **{"mixed_precision": "mixed_precision", "weights": "init", "weights_required": "init_required"},
        "settings": "options",
    }
}
"""Component of configurations, argument that it had in 0.1, name of the same in its argument `settings` of today."""

WORDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
"""Types in words."""


def make_settings(kind: type[T], values: Mapping[str, Any], *, where: str = "", path: str | Path | None = None) -> T:
    """Make a settings object from a section of a configuration.

    Args:
        kind: dataclass of the settings.
        values: its fields; those that are left out keep their defaults.
        where: what stands before the field's name in messages, such as `settings#`.
        path: file that the values come from.

    Raises:
        SemganError: if a name is unknown, or a value is of a wrong type or makes no sense.
    """
    try:
        current = current_names(kind, values)
        refuse_unknown(current, field_names(kind), where)
        check_types(kind, current, where)
        return kind(**current)
    except SemganError as error:
        raise SemganError(error.problem, remedy=error.remedy, path=path if path is not None else error.path) from None


def checked(kind: type[T]) -> type[T]:
    """Class decorator above `@dataclass`: mistakes in its arguments are `SemganError`s, and old names still work."""
    original: Callable[..., None] = kind.__init__

    @functools.wraps(original)
    def checking(self: Any, *arguments: Any, **values: Any) -> None:
        current = current_names(kind, values)
        names = field_names(kind)
        refuse_unknown(current, names)
        check_types(kind, {**dict(zip(names, arguments, strict=False)), **current})
        original(self, *arguments, **current)

    kind.__init__ = checking  # type: ignore[assignment]
    for old, new in RENAMED.get(kind.__name__, {}).items():
        setattr(kind, old, property(functools.partial(_read_renamed, kind=kind, old=old, new=new)))
    return kind


def _read_renamed(settings: Any, kind: type, old: str, new: str) -> Any:
    _warn_of(kind, old, new)
    return getattr(settings, new)


def _warn_of(kind: type, old: str, new: str) -> None:
    warnings.warn(f"{kind.__name__}: {old} is called {new} now", OldNameWarning, stacklevel=4)


def field_names(kind: type) -> list[str]:
    """Name of the fields that can be set."""
    return [field.name for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]


def current_names(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under the names of today; an old name warns.

    Raises:
        SemganError: if a field is given under both names.
    """
    renamed = {old: new for one in reversed(kind.__mro__) for old, new in RENAMED.get(one.__name__, {}).items()}
    current: dict[str, Any] = {}
    for name, value in values.items():
        new = renamed.get(name, name)
        if new != name:
            if new in values:
                raise SemganError(f"{name} and {new} are the same setting", remedy=f"give {new} alone")
            _warn_of(kind, name, new)
        current[new] = value
    return current


def refuse_unknown(values: Iterable[str], known: Iterable[str], where: str = "") -> None:
    """Raise if a name is unknown.

    Raises:
        SemganError: with the names that are known.
    """
    names = sorted(known)
    unknown = sorted(str(name) for name in values if name not in names)
    if unknown:
        raise SemganError(f"unknown setting {where + unknown[0]!r}", remedy=f"known are {', '.join(names)}")


def check_types(kind: type, values: Mapping[str, Any], where: str = "") -> None:
    """Raise if a value is not of its field's type: a word where a number belongs, and the like.

    Numbers without a fraction are taken for fractions, lists for tuples, and nothing else for anything.

    Raises:
        SemganError: with what is expected.
    """
    hints = _hints(kind)
    for name, value in values.items():
        hint = hints.get(name, Any)
        if not _fits(value, hint):
            raise SemganError(f"the setting {where}{name} cannot be {value!r}", remedy=f"give {_in_words(hint)}")


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type as annotations write it."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        return isinstance(value, collections.abc.Mapping)
    if isinstance(origin, type) and issubclass(origin, collections.abc.Sequence):
        return isinstance(value, (list, tuple)) and _fit_each(value, origin, parts)
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and not math.isnan(value)
    return isinstance(value, hint) if isinstance(hint, type) else True


def _fit_each(values: list[Any] | tuple[Any, ...], origin: type, parts: tuple[Any, ...]) -> bool:
    if not parts:
        return True
    if origin is tuple and parts[-1] is not Ellipsis:
        return len(values) == len(parts) and all(_fits(v, part) for v, part in zip(values, parts, strict=True))
    return all(_fits(value, parts[0]) for value in values)


def _in_words(hint: Any) -> str:
    """What a type expects, for messages."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        words = [_in_words(part) for part in parts if part is not type(None)]
        return " or ".join([*words, *(["nothing"] if type(None) in parts else [])])
    if origin is Literal:
        return " or ".join(str(part) for part in parts)
    if isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        return "names with their values"
    if isinstance(origin, type) and issubclass(origin, collections.abc.Sequence):
        inner = WORDS.get(parts[0], "value").split()[-1] if parts else "value"
        count = f"{len(parts)} {inner}s" if origin is tuple and parts[-1] is not Ellipsis else f"a list of {inner}s"
        return count
    return WORDS.get(hint, f"a {getattr(hint, '__name__', hint)}")


def check_ranges(
    settings: Any,
    *,
    counts: Iterable[str] = (),
    positive: Iterable[str] = (),
    not_negative: Iterable[str] = (),
    shares: Iterable[str] = (),
) -> None:
    """Raise if a number is out of its range; fields that are None are left alone.

    Args:
        settings: has the fields.
        counts: fields of at least 1.
        positive: fields above 0, finite.
        not_negative: fields of at least 0, finite.
        shares: fields from 0 to 1.

    Raises:
        SemganError: naming the first field that is wrong.
    """
    rules: list[tuple[Iterable[str], Callable[[Any], bool], str]] = [
        (counts, lambda value: value >= 1, "a whole number of at least 1"),
        (positive, lambda value: 0 < value < math.inf, "a positive number"),
        (not_negative, lambda value: 0 <= value < math.inf, "a number of at least 0"),
        (shares, lambda value: 0 <= value <= 1, "a number from 0 to 1"),
    ]
    for names, allowed, words in rules:
        for name in names:
            value = getattr(settings, name)
            if value is not None and not allowed(value):
                raise SemganError(f"the setting {name} cannot be {value!r}", remedy=f"give {words}")


def check_channels(settings: Any, levels: int, multiple: int = 1) -> None:
    """Raise if the setting `channels` does not describe a network.

    Args:
        settings: has the field.
        levels: least number of levels.
        multiple: of which the channels of every level are.

    Raises:
        SemganError: naming the values.
    """
    given = list(settings.channels)
    if len(given) < levels or any(width < 1 or width % multiple for width in given):
        each = f"multiples of {multiple}" if multiple > 1 else "positive numbers"
        raise SemganError(f"the setting channels cannot be {given}", remedy=f"give {levels} or more {each}")
