"""Single slices of the model's stack and the voxels around them, without touching the rest of the scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from monai_semgan.slicing.geometry import SliceGeometry

BEYOND = -1.0
"""Value of voxels that no pixel of a slice reaches."""

MARGIN = 3
"""Voxels around a piece, which averaging takes into account."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class SliceGrid:
    """Go between the slices of a stack and the voxels of their scan.

    Args:
        geometry: where the stack lies.
    """

    geometry: SliceGeometry

    def pixels(self, voxels: np.ndarray) -> np.ndarray:
        """Find the nearest pixels: `(N, 3)` voxel indices to row, column and slice `(N, 3)`, also beyond the stack."""
        to_grid = np.linalg.inv(self.geometry.to_source)
        return np.rint(voxels @ to_grid[:3, :3].T + to_grid[:3, 3]).astype(np.int64)

    def inside(self, pixels: np.ndarray) -> np.ndarray:
        """Tell which pixels `(N, 3)` the stack has: `(N,)` bool."""
        below = pixels < np.asarray(self.geometry.grid_shape)
        return np.asarray(((pixels >= 0) & below).all(axis=1))

    def share(self, array: np.ndarray, number: int, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Cut one slice out of a converted volume.

        Args:
            array: `(I, J, K)` of the scan.
            number: of the slice.
            convert: applied to the piece of `array` around the slice.

        Returns:
            `(H, W)` float32, averaged over what a pixel covers; 0 beyond the scan.
        """
        last = self.geometry.size - 1
        box = self._box((0, 0), (last, last), number)
        if any(side.start >= side.stop for side in box):
            return np.zeros((self.geometry.size,) * 2, dtype=np.float32)
        found: np.ndarray = self._piece(box, number).extract(array[box], convert=convert)[0].numpy()
        return found

    def to_voxels(self, values: np.ndarray, number: int, wanted: np.ndarray) -> tuple[Box, np.ndarray]:
        """Bring a part of one slice to the voxels that lie in it.

        Args:
            values: `(H, W)`, 0 or more.
            number: of the slice.
            wanted: `(H, W)` bool, pixels that matter, one at least.

        Returns:
            A box of the scan, and the values in it, by linear interpolation; `BEYOND` in other slices.
        """
        rows, columns = np.nonzero(wanted)
        first, last = (rows.min() - 1, columns.min() - 1), (rows.max() + 1, columns.max() + 1)
        box = self._box(first, last, number)
        if any(side.start >= side.stop for side in box):
            return box, np.empty((0, 0, 0), dtype=np.float32)
        return box, self._piece(box, number).restore(values[None], fill=BEYOND)

    def _piece(self, box: Box, number: int) -> SliceGeometry:
        """The plan for one slice, of a scan that is no more than a box."""
        shift = np.eye(4)
        shift[:3, 3] = [side.start for side in box]
        shape = (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start)
        affine = self.geometry.source_affine @ shift
        return replace(self.geometry.part(number, 1), source_shape=shape, source_affine=affine)

    def _box(self, first: tuple[int, int], last: tuple[int, int], number: int) -> Box:
        """The voxels around a rectangle of pixels of one slice."""
        levels = (number - 0.5, number + 0.5)
        corners = np.array(list(product((first[0], last[0]), (first[1], last[1]), levels)))
        matrix = self.geometry.to_source
        places = corners @ matrix[:3, :3].T + matrix[:3, 3]
        margin = 0 if self.geometry.axes is not None else MARGIN
        low, high = np.floor(places.min(axis=0)) - margin, np.ceil(places.max(axis=0)) + margin + 1
        sides = np.clip([low, high], 0, self.geometry.source_shape).astype(int)
        return slice(*sides[:, 0]), slice(*sides[:, 1]), slice(*sides[:, 2])
