"""A volume: voxels and where they lie in the patient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.modalities import SINGLE_IMAGES

if TYPE_CHECKING:
    from monai_semgan.io.dicom.source import DicomSource

COLOURS = 3
"""Channels of a picture in colours: red, green and blue."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where voxels lie, and what a user should know about it.

    Args:
        affine: (4, 4) voxel index to RAS mm.
        others: (4, 4) each, of `Volume.other_affines`.
        notes: one sentence each.
    """

    affine: np.ndarray
    others: tuple[np.ndarray, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and where they lie in the patient.

    Args:
        array: (I, J, K), float32 for images, integer for labels; of pictures in colours their brightness.
        affine: (4, 4) float64, voxel index to RAS mm.
        path: file it came from.
        header: nibabel header of that file, if it is NIfTI.
        notes: what a user should know about it, one sentence each.
        modality: as the file tells, such as `CT`; None if it does not.
        source: where in DICOM it came from, if it did.
        spacing_known: False for pictures: their spacing of 1 mm is a stand-in.
        other_affines: (4, 4) each: where programs see the voxels too; the first is where ITK and 3D Slicer do. Empty
            where all agree.
        colour: (3, I, J, K) uint8, red, green and blue of a picture in colours, with 0 black and 255 white; else None.
    """

    array: np.ndarray
    affine: np.ndarray
    path: Path | None = None
    header: Any = None
    notes: tuple[str, ...] = ()
    modality: str | None = None
    source: DicomSource | None = None
    spacing_known: bool = True
    other_affines: tuple[np.ndarray, ...] = ()
    colour: np.ndarray | None = None

    @property
    def channels(self) -> np.ndarray:
        """(C, I, J, K): the colours of a picture that has them, else the array alone; a view."""
        return self.array[None] if self.colour is None else self.colour

    @property
    def itk_affine(self) -> np.ndarray:
        """(4, 4) voxel index to RAS mm as ITK and 3D Slicer see the file."""
        return self.other_affines[0] if self.other_affines else self.affine

    @property
    def projection(self) -> bool:
        """Whether it is a single image, such as a radiograph or a photograph, and no stack of slices."""
        return self.modality in SINGLE_IMAGES

    @property
    def spacing(self) -> np.ndarray:
        """(3,) mm between neighbouring voxels."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return voxel_ml(self.affine)


MIN_SHEAR_DEGREES = 0.5
"""Rounded headers make less."""


def shear_degrees(affine: np.ndarray) -> float:
    """How far the axes of a grid are from perpendicular, as those of slices from a tilted gantry."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arcsin(np.clip(np.abs(directions.T @ directions - np.eye(3)).max(), 0.0, 1.0))))


def sheared(affine: np.ndarray) -> bool:
    """Tell whether the axes of a grid are not perpendicular."""
    return shear_degrees(affine) > MIN_SHEAR_DEGREES


def voxel_ml(affine: np.ndarray) -> float:
    """Compute the volume of a voxel in millilitres from an affine in mm, also of a sheared grid."""
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0


def keep_labels(label: np.ndarray, chosen: Iterable[int]) -> None:
    """Set all other ids of a uint8 array (I, J, K) to 0, in place."""
    table = np.zeros(256, dtype=np.uint8)
    kept = list(chosen)
    table[kept] = kept
    for plane in label:
        plane[...] = table[plane]
