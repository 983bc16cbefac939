"""Axial planes through volumes that lie oblique to the patient's axes, by interpolation in 3D."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from monai_semgan.data.volume import Volume
    from monai_semgan.transforms.body import Body
    from monai_semgan.transforms.geometry import SliceGeometry

CHUNK_POINTS = 2_000_000
MAX_SLICES = 1000
MIN_SLICE_MM = 1.5
"""Axial planes are not put closer than this."""


def plan_axial(volume: Volume, body: Body, pixel_mm: float, size: int) -> SliceGeometry:
    """True axial planes, right to left and posterior to anterior, that cover the whole height of the volume.

    Args:
        volume: an oblique volume.
        body: where the body is.
        pixel_mm: requested edge of a pixel.
        size: H = W of the slices.
    """
    from monai_semgan.transforms.geometry import SliceGeometry, fitting_pixel

    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in volume.array.shape], indexing="ij"), -1).reshape(-1, 3)
    heights = (corners @ volume.affine[:3, :3].T + volume.affine[:3, 3])[:, 2]
    cells = np.argwhere(body.mask) * body.factors + (np.asarray(body.factors) - 1) / 2
    points = cells @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    margin = 0.5 * (np.abs(volume.affine[:3, :3]) @ np.asarray(body.factors, dtype=np.float64))
    low, high = (points.min(axis=0) - margin)[:2], (points.max(axis=0) + margin)[:2]
    actual = fitting_pixel(float((high - low).max()), pixel_mm, size)
    distance = max(MIN_SLICE_MM, 1.0 / float(np.linalg.norm(np.linalg.inv(volume.affine[:3, :3])[:, 2])))
    distance = max(distance, float(np.ptp(heights)) / MAX_SLICES)
    count = max(1, int(np.ceil(np.ptp(heights) / distance - 1e-6)))
    grid = np.diag([-actual, actual, distance, 1.0])
    middle = (low + high) / 2
    grid[:3, 3] = (
        middle[0] + (size - 1) / 2 * actual,
        middle[1] - (size - 1) / 2 * actual,
        (heights.min() + heights.max()) / 2 - (count - 1) / 2 * distance,
    )
    return SliceGeometry(tuple(volume.array.shape), volume.affine, size, actual, pixel_mm, grid, count)


def extract_oblique(geometry: SliceGeometry, array: np.ndarray, order: str, fill: float, convert: Any) -> torch.Tensor:
    """Slices (D, H, W) by trilinear or nearest interpolation; see :meth:`SliceGeometry.extract`."""
    import torch

    source = (array if convert is None else convert(array)).astype(np.float32, copy=False)
    if order == "linear":
        source = _smooth(source, np.linalg.norm(geometry.to_source[:3, :2], axis=1))
    volume = torch.from_numpy(np.ascontiguousarray(source))[None, None]
    rows, columns = np.meshgrid(np.arange(geometry.size), np.arange(geometry.size), indexing="ij")
    out = torch.empty(geometry.num_slices, geometry.size, geometry.size)
    step = max(1, CHUNK_POINTS // geometry.size**2)
    for first in range(0, geometry.num_slices, step):
        levels = np.arange(first, min(first + step, geometry.num_slices))
        shape = (len(levels), geometry.size, geometry.size)
        index = np.stack([np.broadcast_to(axis, shape) for axis in (rows, columns, levels[:, None, None])])
        out[first : first + step] = _sample(volume, geometry.to_source, index, order, fill)[0]
    return out


def restored_oblique(geometry: SliceGeometry, stack: np.ndarray, fill: float) -> Iterator[tuple[Any, np.ndarray]]:
    """Yields (index of the volume's axes, values (C, i, J, K)) piece by piece; see :meth:`SliceGeometry.restore`."""
    import torch

    scores = torch.from_numpy(np.ascontiguousarray(stack.transpose(1, 2, 3, 0), dtype=np.float32))[None]
    to_grid = np.linalg.inv(geometry.to_source)
    shape = geometry.source_shape
    plane = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij"))
    step = max(1, CHUNK_POINTS // (plane[0].size * max(1, stack.shape[1] // 4)))
    for first in range(0, shape[0], step):
        levels = np.arange(first, min(first + step, shape[0]))
        full = (len(levels), *shape[1:])
        index = np.stack([np.broadcast_to(levels[:, None, None], full), *(np.broadcast_to(p, full) for p in plane)])
        yield (slice(first, first + len(levels)),), _sample(scores, to_grid, index, "linear", fill).numpy()


def _sample(volume: torch.Tensor, matrix: np.ndarray, index: np.ndarray, order: str, fill: float) -> torch.Tensor:
    """Values (C, ...) of ``volume`` (1, C, I, J, K) at ``matrix`` times ``index`` (3, ...)."""
    import torch
    from torch.nn.functional import grid_sample

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
    from scipy.ndimage import gaussian_filter

    sigma = 0.42 * np.sqrt(np.clip(step**2 - 1.0, 0.0, None))
    return gaussian_filter(source, sigma, mode="nearest", truncate=3.0) if sigma.max() > 0.1 else source
