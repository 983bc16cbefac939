"""Label ids turned into others, whatever numbers they are: masks of 0 and 255, ids of an atlas, 200, 500 and 600."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

TABLE = 1 << 16
"""Ids below this are looked up in a table, which is the fastest way; beyond, by a search."""


def mapped_ids(label: np.ndarray, ids: Mapping[int, int]) -> np.ndarray:
    """Replace ids; those that are not told become 0.

    Args:
        label: whole numbers of 0 or more, of any shape.
        ids: new id by old one.

    Returns:
        A new array of the same shape, of the smallest type of `id_type`.
    """
    dtype = id_type(max(ids.values(), default=0))
    highest = int(label.max(initial=0))
    if highest < TABLE:
        table = np.zeros(highest + 1, dtype)
        for index, wanted in ids.items():
            if 0 <= index <= highest:
                table[index] = wanted
        return table[label]
    old = np.array(sorted(ids), dtype=np.int64)
    new = np.array([ids[index] for index in old.tolist()], dtype)
    if not len(old):
        return np.zeros(label.shape, dtype)
    place = np.searchsorted(old, label).clip(max=len(old) - 1)
    return np.where(old[place] == label, new[place], 0).astype(dtype)


def id_type(highest: int) -> Any:
    """The type that label arrays with such ids have: uint8 where it suffices, else int32."""
    return np.uint8 if highest < 256 else np.int32
