"""Fit the domain model of a bundle: which quality features come with which Dice, on scans as they are and corrupted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import minimize

from monai_semgan.data.entries import names_of_ids, read_entry_label
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.evaluation.corruptions import CORRUPTIONS, SILENT
from monai_semgan.evaluation.metrics import dice
from monai_semgan.evaluation.scores import organs_listed
from monai_semgan.inference.segmentation import inversion_settings, invert, preview, preview_settings
from monai_semgan.io.reading import read_volume
from monai_semgan.quality.features import FEATURES, OrganPrior, OrganShape, organ_shapes, quality_features
from monai_semgan.slicing.postprocessing import largest_piece
from monai_semgan.utils.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.data.datalist import Entry
    from monai_semgan.slicing.preprocessing import PreparedVolume

RIDGE = 1e-3
SMALLEST_SPREAD = {"log_ml": 0.1, "mm": 5.0}


@dataclass(frozen=True)
class Sample:
    """One organ of one scan.

    Attributes:
        patient: as in the data list.
        corruption: what was done to the scan.
        mode: of the segmentation.
        organ: name.
        organ_features: see `FEATURES`.
        dice: against the label, on the grid of the slices.
        name: of the scan, unique in its list.
    """

    patient: str
    corruption: str
    mode: str
    organ: str
    organ_features: Mapping[str, float]
    dice: float
    name: str = ""


def organ_priors(shapes: Sequence[Mapping[str, OrganShape]]) -> dict[str, OrganPrior]:
    """Size and place of the organs over volumes; organs seen in fewer than three are left out."""
    offsets: dict[str, list[np.ndarray]] = {}
    volumes: dict[str, list[float]] = {}
    for volume in shapes:
        middle = np.mean([shape.centre_mm for shape in volume.values()], axis=0) if volume else np.zeros(3)
        for name, shape in volume.items():
            offsets.setdefault(name, []).append(shape.centre_mm - middle)
            volumes.setdefault(name, []).append(math.log(shape.ml))
    priors = {}
    for name, logs in volumes.items():
        if len(logs) < 3:
            continue
        place, spread = np.mean(offsets[name], axis=0), np.std(offsets[name], axis=0, ddof=1)
        spread = np.maximum(spread, SMALLEST_SPREAD["mm"])
        log_ml = float(np.mean(logs)), max(float(np.std(logs, ddof=1)), SMALLEST_SPREAD["log_ml"])
        priors[name] = OrganPrior(log_ml, tuple(map(float, place)), tuple(map(float, spread)))
    return priors


def label_shapes(bundle: Bundle, entries: Sequence[Entry], progress: Progress | None = None) -> list[Any]:
    """Sizes and places in the labels of the entries."""
    progress = progress or NullProgress()
    shapes = []
    for number, entry in enumerate(entries):
        progress.update(number, len(entries), "measuring labels")
        volume = read_volume(entry.image)
        prepared = bundle.preprocessing(volume, entry.modality)
        names = names_of_ids(bundle.preprocessing, bundle.labels)
        true = read_entry_label(entry, volume, names).array
        label = bundle.preprocessing.label_slices(true, prepared.geometry)
        shapes.append(organ_shapes(label.numpy(), prepared.geometry.grid_affine, bundle.labels))
    progress.update(len(entries), len(entries))
    return shapes


def collect(
    bundle: Bundle,
    entries: Sequence[Entry],
    priors: Mapping[str, OrganPrior],
    corruptions: Sequence[str] = tuple(CORRUPTIONS),
    mode: str = "preview",
    *,
    every: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Sample]:
    """Segment scans, as they are and made unlike, and compare with their labels on the grid of the slices.

    Args:
        bundle: the model.
        entries: with labels.
        priors: of the organs.
        corruptions: names in `SPOILINGS`.
        mode: `preview`, or another mode of segmentation.
        every: take every n-th slice only, to save time.
        seed: of what is random in the corruptions.
        progress: told about every scan.
    """
    progress, total = progress or NullProgress(), len(entries) * len(corruptions)
    for number, entry in enumerate(entries):
        volume = read_volume(entry.image)
        prepared = bundle.preprocessing(volume, entry.modality)
        names = names_of_ids(bundle.preprocessing, bundle.labels)
        true = read_entry_label(entry, volume, names).array
        label = bundle.preprocessing.label_slices(true, prepared.geometry)
        listed = organs_listed(entry, bundle.labels).values()
        affine = prepared.geometry.grid_affine.copy()
        affine[:3, 2] *= every
        image, label = prepared.image[::every], label[::every]
        for place, name in enumerate(corruptions):
            progress.update(number * len(corruptions) + place, total, "segmenting scan")
            if progress.should_stop():
                raise Cancelled
            generator = torch.Generator().manual_seed(seed + 1000 * number + place)
            corrupted, truth = CORRUPTIONS[name](image, label, generator)
            geometry = replace(prepared.geometry, grid_affine=affine, num_slices=len(corrupted))
            found = probabilities(bundle, replace(prepared, image=corrupted, geometry=geometry), mode)
            samples = _samples(entry, name, mode, found, truth.numpy(), affine, bundle.labels, priors)
            yield from (sample for sample in samples if sample.organ in listed)
    progress.update(total, total)


def probabilities(bundle: Bundle, prepared: PreparedVolume, mode: str) -> torch.Tensor:
    """Probabilities `(D, K, H, W)` of slices, as `segment` makes them."""
    if mode == "preview":
        return preview(bundle, prepared, preview_settings(bundle))
    return invert(bundle, prepared, inversion_settings(bundle, mode), mode).probabilities


def fit_weights(samples: Sequence[Sample]) -> dict[str, float]:
    """Logistic regression of Dice on the features; none may raise the expected Dice, and `SILENT` ones are left out.

    Raises:
        SemganError: if there is nothing to learn from.
    """
    samples = [sample for sample in samples if sample.corruption not in SILENT]
    if not samples:
        raise SemganError("no organ to learn from", remedy="give a data list with labels")
    organ_features = np.array([[s.organ_features[name] for name in FEATURES] for s in samples])
    target = np.array([s.dice for s in samples])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logit = weights[0] - organ_features @ weights[1:]
        expected = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        value = np.mean(np.logaddexp(0, logit) - target * logit) + RIDGE * np.sum(weights[1:] ** 2)
        gradient = (expected - target) / len(target)
        return float(value), np.concatenate([[gradient.sum()], -(gradient @ organ_features) + 2 * RIDGE * weights[1:]])

    start = np.concatenate([[1.0], np.ones(len(FEATURES))])
    bounds = [(None, None), *[(0.0, None)] * len(FEATURES)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return {"intercept": round(float(found[0]), 4)} | {
        name: round(float(value), 4) for name, value in zip(FEATURES, found[1:], strict=True)
    }


def priors_to_dict(priors: Mapping[str, OrganPrior]) -> dict[str, Any]:
    """For a bundle's configuration."""
    plain = {name: asdict(prior) for name, prior in priors.items()}
    return {name: {k: [round(float(x), 3) for x in v] for k, v in prior.items()} for name, prior in plain.items()}


def _samples(
    entry: Entry,
    corruption: str,
    mode: str,
    found: torch.Tensor,
    truth: np.ndarray,
    affine: np.ndarray,
    organs: Mapping[int, str],
    priors: Mapping[str, OrganPrior],
) -> Iterator[Sample]:
    label = found.argmax(1).numpy()
    for (index, name), organ_features in zip(
        organs.items(), quality_features(found, affine, organs, priors).values(), strict=True
    ):
        value = dice(largest_piece(label == index), truth == index)
        if not math.isnan(value):
            yield Sample(entry.patient, corruption, mode, name, organ_features, value, entry.name)
