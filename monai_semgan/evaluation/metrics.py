"""Overlap and distance of label volumes, per organ, at the resolution of the scan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_erosion, generate_binary_structure
from scipy.spatial import KDTree

from monai_semgan.quality.overlap import dice, means_by_organ, overall

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume

LEAF_SIZE = 32
"""Of the trees: larger than usual is faster where a tree is asked only once."""


@dataclass(frozen=True)
class OrganScore:
    """How well one organ of one patient was found.

    Attributes:
        dice: 3D Dice, 0 to 1; NaN if the organ is in neither volume.
        hd95: 95th percentile of the surface distance in mm, of a picture or radiograph in pixels; NaN if the organ is
            missing in one of the two.
        reference_ml: volume in the reference, in ml; NaN of a picture.
        predicted_ml: volume in the prediction, in ml; NaN of a picture.
        assd: average symmetric surface distance, in the unit of `hd95`; NaN as that.
        reference_pixels: area in the reference, in pixels; NaN of a volume.
        predicted_pixels: area in the prediction, in pixels; NaN of a volume.
        assumed: nothing but the label's ids tells that it knows the organ, see `Study.unknown`.
    """

    dice: float
    hd95: float
    reference_ml: float
    predicted_ml: float
    assd: float = math.nan
    reference_pixels: float = math.nan
    predicted_pixels: float = math.nan
    assumed: bool = False

    @property
    def in_pixels(self) -> bool:
        """Whether sizes and distances are in pixels, since nobody knows how many mm one has in the patient."""
        return math.isfinite(self.reference_pixels)

    @property
    def reference_size(self) -> float:
        """Size in the reference, in ml or pixels."""
        return self.reference_pixels if self.in_pixels else self.reference_ml

    @property
    def predicted_size(self) -> float:
        """Size in the prediction, in ml or pixels."""
        return self.predicted_pixels if self.in_pixels else self.predicted_ml

    @property
    def error(self) -> float:
        """Predicted minus true size, in ml or pixels."""
        return self.predicted_size - self.reference_size

    @property
    def error_ml(self) -> float:
        """Predicted minus true volume, in ml; NaN of a picture."""
        return self.predicted_ml - self.reference_ml

    @property
    def error_percent(self) -> float:
        """The error as a percentage of the true size; NaN if there is none."""
        return 100.0 * self.error / self.reference_size if self.reference_size else math.nan


def surface_distances(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float]) -> tuple[float, float]:
    """95th percentile Hausdorff and average symmetric surface distance in mm; NaN if a volume is empty.

    The definitions of `monai.metrics`, from edge voxel to nearest edge voxel; a single slice or picture has its edges
    within its plane. Both come from one search, and MONAI, whose import takes longer than the scores of a patient, is
    not needed.

    Args:
        prediction: bool `(I, J, K)`.
        reference: bool `(I, J, K)`.
        spacing: of a voxel along each axis, in mm (or 1, for distances in pixels).
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
    axes = [axis for axis in range(3) if either.shape[axis] > 1]  # across a plane everything would be an edge
    inside = generate_binary_structure(3, 1) & _within(axes)
    return [np.argwhere(volume[box] & ~binary_erosion(volume[box], inside)) for volume in (prediction, reference)]


def _within(axes: Sequence[int]) -> np.ndarray:
    """Neighbours `(3, 3, 3)` along some axes only."""
    chosen = np.ones((3, 3, 3), dtype=bool)
    for axis in set(range(3)) - set(axes):
        chosen[tuple(slice(None) if other != axis else [0, 2] for other in range(3))] = False
    return chosen


def score_volume(
    prediction: np.ndarray,
    reference: Volume,
    labels: Mapping[int, str],
    with_distance: bool = True,
    *,
    in_pixels: bool = False,
    assumed: bool = False,
) -> dict[str, OrganScore]:
    """Score every organ of one patient.

    Args:
        prediction: label ids `(I, J, K)`.
        reference: the true label on the same grid.
        labels: name by id, without the background, of the organs that the reference knows.
        with_distance: compute the surface distances too, which takes seconds.
        in_pixels: report sizes and distances in pixels, as of a picture or radiograph.
        assumed: see `OrganScore`.

    Raises:
        ValueError: if the grids differ.
    """
    if prediction.shape != reference.array.shape:
        raise ValueError(f"grids differ: {prediction.shape} and {reference.array.shape}")
    spacing = (1.0, 1.0, 1.0) if in_pixels else tuple(float(mm) for mm in reference.spacing)
    scores = {}
    for index, name in labels.items():
        found, true = prediction == index, reference.array == index
        hd95, assd = surface_distances(found, true, spacing) if with_distance else (math.nan, math.nan)
        score = OrganScore(dice(found, true), hd95, math.nan, math.nan, assd, assumed=assumed)
        true_size, found_size = float(true.sum()), float(found.sum())
        if in_pixels:
            scores[name] = replace(score, reference_pixels=true_size, predicted_pixels=found_size)
        else:
            ml = reference.voxel_ml
            scores[name] = replace(score, reference_ml=true_size * ml, predicted_ml=found_size * ml)
    return scores


def mean_dice(patients: Iterable[Mapping[str, OrganScore]]) -> dict[str, float]:
    """Mean Dice over patients by organ, and over organs under `mean`; an organ that is nowhere is left out."""
    means = means_by_organ({name: score.dice for name, score in patient.items()} for patient in patients)
    return means | {"mean": overall(means)} if means else {}
