"""Signs of a failed segmentation, organ by organ, from probabilities on the grid of the slices.

All features are at least 0, and larger is worse. They need neither the label nor further runs of a network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from monai_semgan.io.volume import voxel_ml
from monai_semgan.organs import passes_through
from monai_semgan.slicing.postprocessing import natural_part

FEATURES = ("doubt", "pieces", "unevenness", "volume", "place", "missing")
"""doubt: 1 - soft Dice of probabilities and label; pieces: share outside the pieces that the organ naturally has;
unevenness: how much neighbouring slices differ; volume, place: distance from the training organs in standard deviations
beyond the first; missing: the organ was not found."""

FARTHEST = 4.0
"""Standard deviations beyond which an organ cannot be more unusual."""

SLICE_MM = 5.0
"""Distance of slices at which unevenness is taken as it is."""


SLICES_AT_ONCE = 32
"""Slices taken together: numbers of classes come in eight bytes each, those of a long scan all at once in 100 MB."""


@dataclass(frozen=True)
class OrganPrior:
    """Size and place of an organ in the training volumes.

    Args:
        log_ml: mean and standard deviation of the logarithm of the volume in ml.
        offset_mm: mean `(3,)` of the organ's centre minus the mean of all organs' centres, in RAS mm.
        spread_mm: standard deviation `(3,)` of the same.
    """

    log_ml: tuple[float, float]
    offset_mm: tuple[float, ...]
    spread_mm: tuple[float, ...]


@dataclass(frozen=True)
class OrganShape:
    """Size and place of an organ in one volume.

    Args:
        ml: volume.
        centre_mm: `(3,)` centre in RAS mm.
    """

    ml: float
    centre_mm: np.ndarray


def organ_shapes(label: np.ndarray, affine: np.ndarray, organs: Mapping[int, str]) -> dict[str, OrganShape]:
    """Size and place of the organs that occur; structures that go on beyond the scan have neither.

    Args:
        label: ids `(D, H, W)`.
        affine: `(4, 4)` index (row, column, slice) to RAS mm.
        organs: name by id.
    """
    shapes = {}
    for index, name in organs.items():
        if passes_through(name):
            continue
        d, h, w = np.nonzero(label == index)
        if len(d):
            centre = affine[:3, :3] @ np.array([h.mean(), w.mean(), d.mean()]) + affine[:3, 3]
            shapes[name] = OrganShape(len(d) * voxel_ml(affine), centre)
    return shapes


def quality_features(
    probabilities: torch.Tensor, affine: np.ndarray, organs: Mapping[int, str], priors: Mapping[str, OrganPrior]
) -> dict[str, dict[str, float]]:
    """The features by organ.

    Args:
        probabilities: `(D, K, H, W)` on the grid of the slices, background first.
        affine: `(4, 4)` index (row, column, slice) to RAS mm.
        organs: name by id.
        priors: size and place in training by organ name; without one, `volume` and `place` are 0.
    """
    label = best_class(probabilities).numpy()
    main = {index: _main_part(label == index, name, voxel_ml(affine)) for index, name in organs.items()}
    cleaned = np.zeros_like(label)
    for index, mask in main.items():
        cleaned[mask] = index
    shapes = organ_shapes(cleaned, affine, organs)
    middle = np.mean([s.centre_mm for s in shapes.values()], axis=0) if shapes else np.zeros(3)
    distance = float(np.linalg.norm(affine[:3, 2]))
    organ_features = {}
    for index, name in organs.items():
        found = dict.fromkeys(FEATURES, 0.0)
        if not main[index].any():
            organ_features[name] = found | {"missing": 1.0}
            continue
        mask = label == index
        found["doubt"] = 1.0 - soft_dice(probabilities[:, index].numpy(), mask)
        found["pieces"] = 1.0 - float(main[index].sum()) / float(mask.sum())
        found["unevenness"] = _unevenness(main[index], distance)
        if name in shapes and name in priors:
            found["volume"], found["place"] = _unusual(shapes[name], middle, priors[name], len(shapes) > 1)
        organ_features[name] = found
    return organ_features


def best_class(probabilities: torch.Tensor) -> torch.Tensor:
    """The most probable class `(D, H, W)` uint8 of `(D, K, H, W)`; where no organ is, in half of the time."""
    label = torch.zeros(probabilities.shape[0], *probabilities.shape[2:], dtype=torch.uint8)
    for index in shown(probabilities).split(SLICES_AT_ONCE):
        label[index] = probabilities[index].argmax(1).to(torch.uint8)
    return label


def shown(probabilities: torch.Tensor) -> torch.Tensor:
    """Indices of the slices `(D, K, H, W)` in which a class beats the background somewhere."""
    parts = probabilities.split(SLICES_AT_ONCE)
    return torch.cat([(p[:, 1:].amax(1) > p[:, 0]).flatten(1).any(1) for p in parts]).nonzero().squeeze(1)


def slice_uncertainty(probabilities: torch.Tensor) -> np.ndarray:
    """`(D,)`: 1 - soft Dice of all organs together in each slice; NaN in slices in which none was found."""
    uncertainty = torch.full((probabilities.shape[0],), torch.nan)
    for index in shown(probabilities).split(SLICES_AT_ONCE):
        uncertainty[index] = _slice_uncertainty(probabilities[index])
    return uncertainty.numpy()


def _slice_uncertainty(probabilities: torch.Tensor) -> torch.Tensor:
    label = probabilities.argmax(1)
    inside = (label > 0).float()
    organ = probabilities.gather(1, label[:, None])[:, 0] * inside
    outside = (1 - probabilities[:, 0]) * (1 - inside)
    total = organ.sum((1, 2)) + outside.sum((1, 2)) + inside.sum((1, 2))
    uncertainty = 1.0 - 2.0 * organ.sum((1, 2)) / total.clamp_min(1e-6)
    return torch.where(inside.sum((1, 2)) > 0, uncertainty, torch.tensor(torch.nan))


def soft_dice(probability: np.ndarray, mask: np.ndarray) -> float:
    """Dice that calibrated probabilities promise for a mask: 2 sum(p m) / (sum(p) + sum(m))."""
    total = float(probability.sum()) + float(mask.sum())
    return 2.0 * float(probability[mask].sum()) / total if total else 1.0


def _main_part(mask: np.ndarray, name: str, ml: float) -> np.ndarray:
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    result = np.zeros_like(mask)
    if boxes:
        result[boxes[0]] = natural_part(mask[boxes[0]], name, ml)
    return result


def _unevenness(mask: np.ndarray, distance_mm: float) -> float:
    """1 - Dice of neighbouring slices, mean weighted by their area, scaled to slices of `SLICE_MM`."""
    first, second = mask[:-1], mask[1:]
    areas = first.sum((1, 2)) + second.sum((1, 2))
    if not areas.sum():
        return 0.0
    common = 2.0 * np.logical_and(first, second).sum((1, 2))
    return float(1.0 - common.sum() / areas.sum()) * min(1.0, SLICE_MM / distance_mm)


def _unusual(shape: OrganShape, middle: np.ndarray, prior: OrganPrior, placed: bool) -> tuple[float, float]:
    """Standard deviations of volume and place beyond the first."""
    volume = abs(math.log(shape.ml) - prior.log_ml[0]) / prior.log_ml[1]
    place = np.abs(shape.centre_mm - middle - np.asarray(prior.offset_mm)) / np.asarray(prior.spread_mm)
    beyond = np.clip(np.array([volume, float(place.max()) if placed else 0.0]) - 1.0, 0.0, FARTHEST)
    return float(beyond[0]), float(beyond[1])
