"""What the server sends, from JSON to plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from ..Types.CorrectionTypes import CorrectionStep
from ..Types.JobTypes import JobRequest, Upload
from ..Types.ModelTypes import Code, Label, Mode, ModelId
from ..Types.ResultTypes import Domain, Finding
from ..Types.ServerTypes import Worker

T = TypeVar("T")


class Unreadable(ValueError):
    """An answer without a field that is needed, or with one of another kind."""


def parse(kind: type[T], content: Any) -> T:
    """Make a dataclass of `Types` from decoded JSON. Fields that it does not have are ignored.

    Raises:
        Unreadable: naming the field.
    """
    if not isinstance(content, Mapping):
        raise Unreadable(f"{kind.__name__}: an object was expected")
    values = {}
    for item in dataclasses.fields(kind):  # type: ignore[arg-type]
        if item.name in content:
            values[item.name] = _value(item.name, content[item.name])
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise Unreadable(f"{kind.__name__}: {item.name} is missing")
    try:
        return kind(**values)
    except TypeError as error:
        raise Unreadable(f"{kind.__name__}: {error}") from error


NESTED: dict[str, type[Any]] = {
    "labels": Label,
    "modes": Mode,
    "workers": Worker,
    "category": Code,
    "kind": Code,
    "side": Code,
    "model": ModelId,
    "domain": Domain,
    "request": JobRequest,
    "findings": Finding,
    "upload": Upload,
    "steps": CorrectionStep,
}
"""Fields that are objects, or lists of them."""


def _value(name: str, content: Any) -> Any:
    if isinstance(content, Mapping) and name in NESTED:
        return parse(NESTED[name], content)
    if isinstance(content, list):
        return tuple(_value(name, entry) for entry in content)
    return content
