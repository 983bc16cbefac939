"""From a volume on any grid to a stack of slices of fixed size, and back to exactly the volume's grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from monai_semgan.slicing.oblique import extract_oblique, restored_oblique

CHUNK_BYTES = 16 * 2**20
HALF_VOXEL = 0.5 + 1e-6


@dataclass(frozen=True, eq=False)
class SliceGeometry:
    """How a stack of square slices lies in a volume.

    Args:
        source_shape: (I, J, K) of the volume.
        source_affine: (4, 4) voxel to RAS mm of the volume.
        size: H = W of the slices.
        pixel_mm: edge of a pixel; larger than requested where the body would not fit.
        requested_pixel_mm: edge of a pixel that the model was trained with.
        grid_affine: (4, 4) index (row, column, slice) of the stack to RAS mm.
        num_slices: D.
    """

    source_shape: tuple[int, int, int]
    source_affine: np.ndarray
    size: int
    pixel_mm: float
    requested_pixel_mm: float
    grid_affine: np.ndarray
    num_slices: int

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(H, W, D)."""
        return (self.size, self.size, self.num_slices)

    @property
    def enlarged(self) -> bool:
        """Whether the pixels had to grow for a wide body."""
        return self.pixel_mm > self.requested_pixel_mm * 1.001

    @cached_property
    def to_source(self) -> np.ndarray:
        """(4, 4) index in the stack to index in the volume."""
        return np.linalg.inv(self.source_affine) @ self.grid_affine

    @cached_property
    def axes(self) -> tuple[int, int, int] | None:
        """Volume axis of each axis of the stack when the two grids are parallel, else None."""
        matrix = self.to_source[:3, :3]
        axes = np.abs(matrix).argmax(axis=0)
        rest = matrix.copy()
        rest[axes, range(3)] = 0.0
        drift = np.abs(rest) @ np.asarray(self.grid_shape, dtype=np.float64)
        steps = matrix[axes, range(3)]
        if sorted(axes) != [0, 1, 2] or drift.max() > 1e-3 or abs(abs(steps[2]) - 1.0) > 1e-4:
            return None
        return (int(axes[0]), int(axes[1]), int(axes[2]))

    @property
    def upwards(self) -> bool:
        """Whether the slices follow each other from the feet to the head, more than rows or columns do."""
        rises = np.abs(self.grid_affine[2, :3]) / np.linalg.norm(self.grid_affine[:3, :3], axis=0)
        return self.num_slices == 1 or int(rises.argmax()) == 2

    @property
    def slice_centres(self) -> np.ndarray:
        """(D, 3) RAS mm of the middle of every slice."""
        middle = (self.size - 1) / 2
        index = np.stack([np.array([middle, middle, level, 1.0]) for level in range(self.num_slices)])
        return index @ self.grid_affine[:3].T

    def part(self, first: int, count: int) -> SliceGeometry:
        """The same for `count` neighbouring slices from number `first` on; nothing is restored elsewhere."""
        affine = self.grid_affine.copy()
        affine[:3, 3] += first * affine[:3, 2]
        return replace(self, grid_affine=affine, num_slices=count)

    def to_dict(self) -> dict[str, Any]:
        """The plan in JSON's types, for `from_dict`."""
        return {
            "source_shape": [int(n) for n in self.source_shape],
            "source_affine": self.source_affine.tolist(),
            "size": self.size,
            "pixel_mm": float(self.pixel_mm),
            "requested_pixel_mm": float(self.requested_pixel_mm),
            "grid_affine": self.grid_affine.tolist(),
            "num_slices": int(self.num_slices),
        }

    @classmethod
    def from_dict(cls, plan: dict[str, Any]) -> SliceGeometry:
        """Take a plan back from `to_dict`."""
        arrays = {key: np.asarray(plan[key], dtype=np.float64) for key in ("source_affine", "grid_affine")}
        return cls(**{**plan, **arrays, "source_shape": tuple(plan["source_shape"])})

    def positions(self, axis: int) -> np.ndarray:
        """Where the stack's samples along `axis` lie on the parallel axis of the volume, in voxels."""
        assert self.axes is not None
        source_axis = self.axes[axis]
        return self.to_source[source_axis, axis] * np.arange(self.grid_shape[axis]) + self.to_source[source_axis, 3]

    def extract(
        self,
        array: np.ndarray,
        order: str = "linear",
        *,
        fill: float = 0.0,
        convert: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> torch.Tensor:
        """Cut the slices out of a volume.

        Args:
            array: (I, J, K) on the volume's grid.
            order: `linear` for images (averages where the slices are coarser), `nearest` for labels.
            fill: value of pixels outside the volume.
            convert: applied to pieces of `array` first, for example the scaling of intensities.

        Returns:
            (D, H, W) float32.
        """
        self._check(array.shape)
        if self.axes is None:
            return extract_oblique(array, self.to_source, self.grid_shape, order, fill, convert)
        return self._extract_parallel(array, order, fill, convert)

    def restore(self, slices: torch.Tensor | np.ndarray, fill: float = 0.0) -> np.ndarray:
        """Bring maps on the slices to the volume's grid by linear interpolation.

        Args:
            slices: (D, H, W) or (D, C, H, W).
            fill: value of voxels outside the slices.

        Returns:
            (I, J, K) or (C, I, J, K) float32.
        """
        stack = self._stack(slices)
        out = np.full((stack.shape[1], *self.source_shape), fill, dtype=np.float32)
        for where, values in self._restored(stack, fill):
            out[(slice(None),) + where] = values
        return out if slices.ndim == 4 else out[0]

    def restore_label(self, scores: torch.Tensor | np.ndarray) -> np.ndarray:
        """Bring class scores to the volume's grid and takes the best class there.

        Args:
            scores: (D, K, H, W) probabilities or logits, K <= 255.

        Returns:
            (I, J, K) uint8; 0 outside the slices.
        """
        stack = self._stack(scores)
        out = np.zeros(self.source_shape, dtype=np.uint8)
        found = stack[:, 1:].max(axis=1, initial=-np.inf) > stack[:, 0]
        for where, values in self._restored(stack, float("-inf"), found):
            out[where] = values.argmax(axis=0)
        return out

    def restore_slabs(self, slices: torch.Tensor | np.ndarray, fill: float = 0.0) -> Iterator[np.ndarray]:
        """Do what `restore` does to one map, a few planes of the volume's last axis at a time, in their order.

        Args:
            slices: (D, H, W).
            fill: value of voxels outside the slices.

        Yields:
            (I, J, k) float32 slabs; the whole volume is never in memory.
        """
        planes = max(1, CHUNK_BYTES // (4 * self.source_shape[0] * self.source_shape[1]))
        for first in range(0, self.source_shape[2], planes):
            stop = min(first + planes, self.source_shape[2])
            found = self._slab(first, stop)
            if found is None:
                yield np.full((*self.source_shape[:2], stop - first), fill, dtype=np.float32)
            else:
                geometry, mine = found
                yield geometry.restore(slices[mine], fill)

    def _slab(self, first: int, stop: int) -> tuple[SliceGeometry, slice] | None:
        """The plan for planes first to stop of the volume's last axis alone, and the slices that it needs, if any."""
        shape = (*self.source_shape[:2], stop - first)
        plan = replace(self, source_shape=shape, source_affine=self.source_affine @ _along_last_axis(first))
        if self.axes is None or self.axes[2] != 2:
            return plan, slice(None)
        levels = np.rint(self.positions(2)).astype(int)
        mine = np.flatnonzero((levels >= first) & (levels < stop))
        if not mine.size:
            return None
        grid = self.grid_affine @ _along_last_axis(int(mine[0]))
        return replace(plan, grid_affine=grid, num_slices=len(mine)), slice(int(mine[0]), int(mine[-1]) + 1)

    def _check(self, shape: tuple[int, ...]) -> None:
        if tuple(shape) != tuple(self.source_shape):
            raise ValueError(f"array has shape {tuple(shape)}, the geometry was planned for {tuple(self.source_shape)}")

    def _stack(self, slices: torch.Tensor | np.ndarray) -> np.ndarray:
        stack = slices if isinstance(slices, np.ndarray) else slices.detach().cpu().float().numpy()
        stack = stack[:, None] if stack.ndim == 3 else stack
        expected = (self.num_slices, self.size, self.size)
        if stack.ndim != 4 or (stack.shape[0], *stack.shape[2:]) != expected:
            raise ValueError(f"slices have shape {tuple(slices.shape)}, expected (D[, C], H, W), D, H, W = {expected}")
        return stack

    def _extract_parallel(self, array: np.ndarray, order: str, fill: float, convert: Any) -> torch.Tensor:
        assert self.axes is not None
        volume = array.transpose(self.axes)
        rows, columns = (axis_matrix(volume.shape[a], self.positions(a), order) for a in (0, 1))
        empty_rows, empty_columns = (outside(volume.shape[a], self.positions(a)) for a in (0, 1))
        levels = np.rint(self.positions(2)).astype(int)
        out = np.empty((self.num_slices, self.size, self.size), dtype=np.float32)
        step = max(1, CHUNK_BYTES // (4 * volume.shape[0] * volume.shape[1]))
        for first in range(0, self.num_slices, step):
            piece = volume[:, :, levels[first : first + step]]
            piece = (piece if convert is None else convert(piece)).astype(np.float32, copy=False)
            out[first : first + step] = _product(rows, np.ascontiguousarray(piece.transpose(2, 0, 1)), columns)
        out[:, empty_rows, :] = fill
        out[:, :, empty_columns] = fill
        return torch.from_numpy(out)

    def _restored(self, stack: np.ndarray, fill: float, wanted: np.ndarray | None = None) -> Any:
        if self.axes is None:
            return restored_oblique(stack, self.to_source, self.source_shape, fill)
        return self._restored_parallel(stack, fill, wanted)

    def _restored_parallel(self, stack: np.ndarray, fill: float, wanted: np.ndarray | None = None) -> Any:
        """Yield (index of the volume's axes, values (C, ...)) piece by piece.

        Args:
            stack: (D, C, H, W).
            fill: value of voxels outside the slices.
            wanted: (D, H, W) bool, pixels that matter: of each piece only the rectangle that they reach is computed.
                Interpolation cannot make a class the best one where it is so in none of the pixels beside.
        """
        assert self.axes is not None
        matrices, empty = [], []
        for axis in (0, 1):
            source_axis = self.axes[axis]
            step, offset = self.to_source[source_axis, axis], self.to_source[source_axis, 3]
            place = (np.arange(self.source_shape[source_axis]) - offset) / step
            matrices.append(axis_matrix(self.size, place))
            empty.append(outside(self.size, place))
        levels = np.rint(self.positions(2)).astype(int)
        inverse = np.argsort(self.axes)
        slice_bytes = 4 * stack.shape[1] * matrices[0].shape[0] * matrices[1].shape[0]
        step = max(1, CHUNK_BYTES // (2 * slice_bytes))
        for first in range(0, self.num_slices, step):
            chosen = slice(first, min(first + step, self.num_slices))
            sides = [_reached(matrix, wanted, chosen, axis) for axis, matrix in enumerate(matrices)]
            if any(side.start == side.stop for side in sides):
                continue
            values = _product(matrices[0][sides[0]], stack[chosen], matrices[1][sides[1]])
            values[:, :, empty[0][sides[0]], :] = fill
            values[:, :, :, empty[1][sides[1]]] = fill
            run = levels[chosen]
            place = (*sides, slice(int(run.min()), int(run.max()) + 1))
            if len(run) > 1 and run[0] > run[-1]:
                values = values[::-1]
            canonical = values.transpose(1, 2, 3, 0)
            yield tuple(place[axis] for axis in inverse), canonical.transpose(0, *(1 + inverse))


def _product(rows: np.ndarray, images: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """rows @ images @ columns.T for (..., H, W), by PyTorch: NumPy has threads of its own, which wait by spinning."""
    first, last = torch.from_numpy(rows), torch.from_numpy(columns)
    return (first @ torch.from_numpy(images.astype(np.float32, copy=False)) @ last.T).numpy()


def _reached(matrix: np.ndarray, wanted: np.ndarray | None, chosen: slice, axis: int) -> slice:
    """Rows of an axis's matrix that take anything from wanted pixels of the chosen slices; all if wanted is None."""
    if wanted is None:
        return slice(0, len(matrix))
    pixels = wanted[chosen].any(axis=(0, 2 - axis))
    rows = np.flatnonzero(matrix[:, pixels].any(axis=1))
    return slice(int(rows[0]), int(rows[-1]) + 1) if rows.size else slice(0, 0)


def _along_last_axis(steps: int) -> np.ndarray:
    """(4, 4): moves an index along the last axis."""
    matrix = np.eye(4)
    matrix[2, 3] = steps
    return matrix


def axis_matrix(source: int, positions: np.ndarray, order: str = "linear") -> np.ndarray:
    """Weights that take `source` samples at 0, 1, 2, ... to samples at `positions`.

    Linear weights are a triangle as wide as the larger of the two sample distances, so shrinking averages what it
    covers (no aliasing) and enlarging interpolates. Samples extend half a sample to either side; rows for positions
    farther out are zero, all others sum to one.

    Args:
        source: number of samples that there are.
        positions: (n,) evenly spaced positions, in units of the source samples; may run backwards.
        order: `linear` or `nearest`.

    Returns:
        (n, source) float32.
    """
    index = np.arange(source)
    inside = (positions >= -HALF_VOXEL) & (positions <= source - 1 + HALF_VOXEL)
    if order == "nearest":
        nearest = np.clip(np.floor(positions + 0.5), 0, source - 1)
        weights = (nearest[:, None] == index[None, :]).astype(np.float64)
    else:
        reach = max(1.0, abs(float(positions[1] - positions[0])) if len(positions) > 1 else 1.0)
        centre = np.clip(positions, 0, source - 1)
        weights = np.clip(1.0 - np.abs(centre[:, None] - index[None, :]) / reach, 0.0, None)
        weights /= weights.sum(axis=1, keepdims=True)
    return (weights * inside[:, None]).astype(np.float32)


def outside(source: int, positions: np.ndarray) -> np.ndarray:
    """(n,) bool: which positions lie more than half a sample beyond the `source` samples."""
    return (positions < -HALF_VOXEL) | (positions > source - 1 + HALF_VOXEL)
