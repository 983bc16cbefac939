"""Which scans this process or machine takes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from monai_semgan.errors import SemganError

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Every `count`-th scan, beginning with number `index`.

    Args:
        index: from 1.
        count: number of parts.
        local: processes that share this machine.
        local_index: this one among them, from 0.
    """

    index: int = 1
    count: int = 1
    local: int = 1
    local_index: int = 0

    def of(self, items: Sequence[T]) -> list[T]:
        """Return the items of this part."""
        return list(items[self.index - 1 :: self.count])


def parse_part(text: str) -> Part:
    """Read `2/8` as the second of eight parts.

    Raises:
        SemganError: it is no such pair.
    """
    first, _, last = text.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise SemganError(f"--part {text} is no part", remedy="give i/n with i from 1 to n, for example 2/8")
    return Part(int(first), int(last))


def choose_part(text: str | None, environment: Mapping[str, str] = os.environ) -> Part:
    """Return the part asked for, or the one that `torchrun` says in `RANK` and `WORLD_SIZE`, or all.

    Raises:
        SemganError: both are given, or the numbers make no sense.
    """
    world = environment.get("WORLD_SIZE", "1")
    if "RANK" not in environment or world == "1":
        return parse_part(text) if text is not None else Part()
    if text is not None:
        raise SemganError("--part under torchrun", remedy="use one of the two")
    try:
        rank, local = int(environment["RANK"]), int(environment.get("LOCAL_WORLD_SIZE", "1"))
        chosen = Part(rank + 1, int(world), local, int(environment.get("LOCAL_RANK", "0")))
    except ValueError:
        raise SemganError("RANK and WORLD_SIZE are no numbers", remedy="start with torchrun") from None
    if not 1 <= chosen.index <= chosen.count:
        raise SemganError(f"RANK {rank} does not fit WORLD_SIZE {world}", remedy="start with torchrun")
    return chosen
