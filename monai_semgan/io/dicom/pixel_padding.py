"""Pixels that the header calls padding, such as those outside the circle of a CT: they become the darkest there is.

PS3.3 C.7.5.1.1.2: `PixelPaddingValue`, or the values from there to `PixelPaddingRangeLimit`, as they are stored. Only
values outside the range of all other pixels are replaced. Within it they cannot be told from tissue by value alone,
and headers name values, such as 0, that tissue has as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

AIR_HU = -1000


class PixelPadding:
    """Padding of the slices of a volume: seen slice by slice, replaced at the end.

    Args:
        air: value of air, where the modality has one; padding below it stays.
    """

    def __init__(self, air: float | None) -> None:
        self.air = air
        self.low, self.high = np.inf, -np.inf
        self.found: set[float] = set()
        self.whole = True

    def harmless(self, values: np.ndarray) -> bool:
        """Tell whether padding of these values, after rescale, is dark enough whatever else there is."""
        return bool(values.max() <= self.air if self.air is not None else not values.any())

    def look(self, values: np.ndarray, padded: np.ndarray) -> None:
        """See a slice.

        Args:
            values: after rescale.
            padded: where they are padding.
        """
        rest = values
        if padded.any():
            rest, found = values[~padded], values[padded]
            self.found |= {float(found.min()), float(found.max())}
        if rest.size:
            self.low, self.high = min(self.low, float(rest.min())), max(self.high, float(rest.max()))
        self.whole &= rest.dtype.kind in "iu"

    def replace(self, array: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Replace padding in an array (slices, rows, columns), in place where its type allows that.

        Returns:
            The array, and a note if there was any.
        """
        if not self.found or self.low > self.high:
            return array, []
        fill = self.low if self.air is None else min(self.low, self.air)
        wrong = [value for value in self.found if value > self.high or self._too_dark(value)]
        if not wrong:
            return array, []
        count = 0
        for plane in array:
            mask = np.zeros(plane.shape, bool)
            if max(wrong) > self.high:
                mask |= plane > self.high
            if min(wrong) < self.low:
                mask |= plane < self.low
            count += int(np.count_nonzero(mask))
            plane[mask] = fill
        info = np.iinfo(np.int16)
        if array.dtype != np.int16 and self.whole and fill >= info.min and max(self.high, fill) <= info.max:
            array = array.astype(np.int16)
        named = " to ".join(f"{value:g}" for value in sorted({min(wrong), max(wrong)}))
        share = f"{count / array.size:.1%}"
        return array, [f"{share} of the voxels are padding by the header ({named}): they are taken as {fill:g}."]

    def _too_dark(self, value: float) -> bool:
        """Below all others, and neither the air of CT nor the black of others."""
        return value < self.low and value > AIR_HU if self.air is not None else value < min(self.low, 0)


def padding_range(dataset: Dataset, dtype: np.dtype) -> np.ndarray | None:
    """Read the stored values that are padding: the lowest and the highest; None if the header names none."""
    try:
        first = int(dataset.PixelPaddingValue)
        last = int(dataset.get("PixelPaddingRangeLimit", first))
    except (AttributeError, TypeError, ValueError):
        return None
    if dtype.kind not in "iu":
        return None
    # the type of the element may be the wrong one of signed and unsigned: -2000 and 63536 are the same 16 bits
    return np.sort(np.array([first, last], np.int64).astype(dtype))
