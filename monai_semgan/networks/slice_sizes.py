"""Which sizes of slices the networks can do: the one place that says it."""

from __future__ import annotations

from monai_semgan.errors import SemganError
from monai_semgan.networks.generator import SLIM_CHANNELS

LEAST = 32
"""The second scale of the joint discriminator has nothing to normalise on smaller slices."""

GENERATOR_SIZES = tuple(size for size in SLIM_CHANNELS if size >= LEAST)
"""Pixels of slices with which generator and encoder can be trained."""

STUDENT_LEVELS = 5
"""Levels of the student unless its channels say otherwise."""


def check_slice_size(size: int, levels: int = STUDENT_LEVELS, *, renders: bool = True) -> None:
    """Refuse sizes of slices that the networks cannot do.

    Args:
        size: H = W in pixels.
        levels: of the student's U-Net, each of which halves the slice but the last.
        renders: there is a generator; without it a student takes further sizes.

    Raises:
        SemganError: with the sizes that are possible.
    """
    if renders and size not in GENERATOR_SIZES:
        sizes = ", ".join(map(str, GENERATOR_SIZES))
        raise SemganError(f"slices of {size} pixels are not possible", remedy=f"use one of {sizes}")
    step = 2 ** (levels - 1)
    if size % step or size == step:  # a single pixel at the bottom leaves nothing to normalise in a single slice
        problem = f"slices of {size} pixels are not possible for a student of {levels} levels"
        raise SemganError(problem, remedy=f"use a multiple of {step}, from {2 * step} on")
