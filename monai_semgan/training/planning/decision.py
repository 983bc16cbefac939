"""One decision of a plan, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Decision:
    """What a plan has decided.

    Args:
        name: of the setting.
        value: in JSON's types.
        reason: one sentence.
        chosen: whether the user has chosen it.
        usual: whether it is the default, which needs no mention.
        word: what the user has said, where the value tells more than that.
    """

    name: str
    value: Any
    reason: str
    chosen: bool = False
    usual: bool = False
    word: Any = None

    def __str__(self) -> str:
        return f"{self.name.replace('_', ' ')} {shown(self.value)}: {self.reason}"


def shown(value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, (list, tuple)):
        return " to ".join(map(shown, value)) if len(value) == 2 and not isinstance(value[0], str) else _list(value)
    if isinstance(value, dict):
        return _list([f"{name} {shown(one)}" for name, one in value.items()])
    return f"{value:g}" if isinstance(value, float) else str(value)


def _list(values: Any) -> str:
    return ", ".join(map(str, values)) or "none"
