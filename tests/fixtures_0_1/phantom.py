"""The patient on whom release 0.1 made `expected.json`, and its brothers from whom the fixture's bundle learnt.

Needs numpy only, draws nothing at random and rounds to whole HU, so that it is the same everywhere.
"""

from __future__ import annotations

import numpy as np

SHAPE = (34, 12, 26)
"""Voxels of the scan; its second axis is that of the slices."""

TRAINING_SHAPE = (40, 30, 12)

CENTRE = (6.0, -18.0, 30.0)
"""Of the body, in RAS mm."""

ORGANS = (
    ((62.0, 12.0, 12.0), (58.0, 58.0, 60.0), 120),
    ((70.0, -52.0, -38.0), (30.0, 26.0, 44.0), 200),
    ((-66.0, -46.0, -8.0), (34.0, 30.0, 50.0), 200),
)
"""Centre from that of the body and half axes in RAS mm, and HU, of the labels; kidneys larger than life."""

LABELS = ("liver", "right kidney", "left kidney")


def scan() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU (int16), labels (uint8) and affine of the patient, on an oblique, left-handed grid stored as LSP."""
    affine = _centred(np.array([[-9.7, 1.0, -0.7], [-0.8, 1.2, -10.0], [1.0, 15.9, 0.9]]), SHAPE)
    return (*_drawn(affine, SHAPE, 0), affine)


def training_scan(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, labels and affine of another patient, number 1, 2, ..., on a plain grid."""
    affine = _centred(np.diag([-9.0, 9.0, 16.0]), TRAINING_SHAPE)
    return (*_drawn(affine, TRAINING_SHAPE, number), affine)


def _centred(axes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = np.array(CENTRE) - axes @ ((np.array(shape) - 1) / 2)
    return affine


def _drawn(affine: np.ndarray, shape: tuple[int, ...], number: int) -> tuple[np.ndarray, np.ndarray]:
    """HU and labels on a grid; the number of the patient moves and sizes body and organs."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    points = index @ affine[:3, :3].T + affine[:3, 3] - CENTRE
    x, y, z = np.moveaxis(points, -1, 0)
    width = 1 + 0.06 * np.sin(2.0 * number)
    hu = np.full(shape, -1000.0)
    hu[(x / (150 * width)) ** 2 + (y / (105 * width)) ** 2 < 1] = -80
    hu[(x / (136 * width)) ** 2 + (y / (91 * width)) ** 2 < 1] = 30
    label = np.zeros(shape, np.uint8)
    for organ, (centre, half_axes, value) in enumerate(ORGANS, 1):
        moved = 6 * np.sin(np.array([1.7, 2.9, 4.3]) * number * organ)
        size = 1 + 0.1 * np.sin(3.1 * number + organ)
        inside = (((points - centre - moved) / (np.array(half_axes) * size)) ** 2).sum(axis=-1) < 1
        hu[inside], label[inside] = value, organ
    texture = 9 * np.sin(0.9 * x + 1.3 * y + number) * np.cos(0.7 * z - 0.4 * x)
    return np.round(hu + texture).astype(np.int16), label
