"""Overlap and distance of label volumes, per organ, at the resolution of the scan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume

LEAF_SIZE = 32
"""Of the trees: larger than usual is faster where a tree is asked only once."""


@dataclass(frozen=True)
class OrganScore:
    """How well one organ of one patient was found.

    Attributes:
        dice: 3D Dice, 0 to 1; NaN if the organ is in neither volume.
        hd95: 95th percentile of the surface distance in mm; NaN if the organ is missing in one of the two.
        reference_ml: volume in the reference, in ml.
        predicted_ml: volume in the prediction, in ml.
        assd: average symmetric surface distance in mm; NaN as `hd95`.
    """

    dice: float
    hd95: float
    reference_ml: float
    predicted_ml: float
    assd: float = math.nan

    @property
    def error_ml(self) -> float:
        """Predicted minus true volume, in ml."""
        return self.predicted_ml - self.reference_ml

    @property
    def error_percent(self) -> float:
        """The same as a percentage of the true volume; NaN if there is none."""
        return 100.0 * self.error_ml / self.reference_ml if self.reference_ml else math.nan


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Dice of two boolean arrays; NaN if both are empty."""
    total = int(prediction.sum()) + int(reference.sum())
    return 2.0 * int(np.logical_and(prediction, reference).sum()) / total if total else math.nan


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, float, float]
) -> tuple[float, float]:
    """95th percentile Hausdorff and average symmetric surface distance in mm; NaN if a volume is empty.

    The definitions of `monai.metrics`, from edge voxel to nearest edge voxel. Both come from one search, and MONAI,
    whose import takes longer than the scores of a patient, is not needed.

    Args:
        prediction: bool `(I, J, K)`.
        reference: bool `(I, J, K)`.
        spacing: of a voxel, in mm.
    """
    if not prediction.any() or not reference.any():
        return math.nan, math.nan
    one, other = (edge * np.asarray(spacing, dtype=np.float64) for edge in _edges(prediction, reference))
    distances = [KDTree(b, LEAF_SIZE).query(a)[0] for a, b in ((one, other), (other, one))]
    farthest = max(float(np.quantile(part, 0.95)) for part in distances)
    return farthest, float(np.concatenate(distances).mean())


def _edges(prediction: np.ndarray, reference: np.ndarray) -> list[np.ndarray]:
    """Indices `(n, 3)` of the voxels of each volume that touch its outside, searched for where either is."""
    either = prediction | reference
    spans = [np.flatnonzero(either.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    box = tuple(slice(span[0], span[-1] + 1) for span in spans)
    return [np.argwhere(volume[box] & ~binary_erosion(volume[box])) for volume in (prediction, reference)]


def score_volume(
    prediction: np.ndarray,
    reference: Volume,
    labels: Mapping[int, str],
    with_distance: bool = True,
) -> dict[str, OrganScore]:
    """Score every organ of one patient.

    Args:
        prediction: label ids `(I, J, K)`.
        reference: the true label on the same grid.
        labels: name by id, without the background.
        with_distance: compute the surface distances too, which takes seconds.

    Raises:
        ValueError: if the grids differ.
    """
    if prediction.shape != reference.array.shape:
        raise ValueError(f"grids differ: {prediction.shape} and {reference.array.shape}")
    spacing = (float(reference.spacing[0]), float(reference.spacing[1]), float(reference.spacing[2]))
    scores = {}
    for index, name in labels.items():
        found, true = prediction == index, reference.array == index
        hd95, assd = surface_distances(found, true, spacing) if with_distance else (math.nan, math.nan)
        volumes = float(true.sum()) * reference.voxel_ml, float(found.sum()) * reference.voxel_ml
        scores[name] = OrganScore(dice(found, true), hd95, *volumes, assd)
    return scores


def mean_dice(patients: Iterable[Mapping[str, OrganScore]]) -> dict[str, float]:
    """Mean Dice over patients by organ, and over organs under `mean`; an organ that is nowhere is left out."""
    collected: dict[str, list[float]] = {}
    for patient in patients:
        for name, score in patient.items():
            collected.setdefault(name, []).append(score.dice)
    means = {name: float(np.nanmean(values)) for name, values in collected.items() if not np.all(np.isnan(values))}
    if means:
        means["mean"] = float(np.mean(list(means.values())))
    return means
