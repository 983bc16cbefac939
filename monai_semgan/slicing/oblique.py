"""Axial planes through volumes that lie oblique to the patient's axes, by interpolation in 3D."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import grid_sample

CHUNK_POINTS = 2_000_000


def extract_oblique(
    array: np.ndarray,
    to_source: np.ndarray,
    grid_shape: tuple[int, int, int],
    order: str,
    fill: float,
    convert: Callable[[np.ndarray], np.ndarray] | None,
) -> torch.Tensor:
    """Cut slices out of a volume by trilinear or nearest interpolation; see `SliceGeometry.extract`.

    Args:
        array: `(I, J, K)`.
        to_source: `(4, 4)` index in the stack of slices to index in the volume.
        grid_shape: `(H, W, D)` of the stack, H = W.
        order: `linear` or `nearest`.
        fill: value of pixels outside the volume.
        convert: applied to the array first.

    Returns:
        `(D, H, W)` float32.
    """
    source = (array if convert is None else convert(array)).astype(np.float32, copy=False)
    if order == "linear":
        source = _smooth(source, np.linalg.norm(to_source[:3, :2], axis=1))
    volume = torch.from_numpy(np.ascontiguousarray(source))[None, None]
    height, width, depth = grid_shape
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    out = torch.empty(depth, height, width)
    step = max(1, CHUNK_POINTS // (height * width))
    for first in range(0, depth, step):
        levels = np.arange(first, min(first + step, depth))
        shape = (len(levels), height, width)
        index = np.stack([np.broadcast_to(axis, shape) for axis in (rows, columns, levels[:, None, None])])
        out[first : first + step] = _sample(volume, to_source, index, order, fill)[0]
    return out


def restored_oblique(
    stack: np.ndarray, to_source: np.ndarray, source_shape: tuple[int, int, int], fill: float
) -> Iterator[tuple[Any, np.ndarray]]:
    """Bring a stack back to the volume piece by piece; see `SliceGeometry.restore`.

    Args:
        stack: `(D, C, H, W)`.
        to_source: `(4, 4)` index in the stack to index in the volume.
        source_shape: `(I, J, K)` of the volume.
        fill: value of voxels outside the stack.

    Yields:
        Index of the axes of the volume, and values `(C, i, J, K)`.
    """
    scores = torch.from_numpy(np.ascontiguousarray(stack.transpose(1, 2, 3, 0), dtype=np.float32))[None]
    to_grid = np.linalg.inv(to_source)
    shape = source_shape
    plane = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij"))
    step = max(1, CHUNK_POINTS // (plane[0].size * max(1, stack.shape[1] // 4)))
    for first in range(0, shape[0], step):
        levels = np.arange(first, min(first + step, shape[0]))
        full = (len(levels), *shape[1:])
        index = np.stack([np.broadcast_to(levels[:, None, None], full), *(np.broadcast_to(p, full) for p in plane)])
        yield (slice(first, first + len(levels)),), _sample(scores, to_grid, index, "linear", fill).numpy()


def _sample(volume: torch.Tensor, matrix: np.ndarray, index: np.ndarray, order: str, fill: float) -> torch.Tensor:
    """Values (C, ...) of `volume` (1, C, I, J, K) at `matrix` times `index` (3, ...)."""
    sizes = np.asarray(volume.shape[2:])
    points = np.tensordot(matrix[:3, :3].astype(np.float32), index.astype(np.float32), axes=1)
    points += matrix[:3, 3].astype(np.float32).reshape(3, 1, 1, 1)
    ends = (sizes.reshape(3, 1, 1, 1) - 1).astype(np.float32)
    beyond = ((points < -0.5 - 1e-3) | (points > ends + 0.5 + 1e-3)).any(axis=0)
    unit = np.where(ends > 0, 2.0 * np.clip(points, 0, ends) / np.maximum(ends, 1) - 1.0, 0.0)
    grid = torch.from_numpy(np.ascontiguousarray(np.moveaxis(unit[::-1], 0, -1), dtype=np.float32))[None]
    mode = "bilinear" if order == "linear" else "nearest"
    values = grid_sample(volume, grid, mode=mode, padding_mode="border", align_corners=True)[0]
    values[:, torch.from_numpy(beyond)] = fill
    return values


def _smooth(source: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Low-pass along the axes (I, J, K) on which the slices sample more coarsely than the volume."""
    sigma = 0.42 * np.sqrt(np.clip(step**2 - 1.0, 0.0, None))
    return gaussian_filter(source, sigma, mode="nearest", truncate=3.0) if sigma.max() > 0.1 else source
