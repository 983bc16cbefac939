"""Fit the domain model of a bundle: which quality features come with which Dice, on scans as they are and corrupted.

Parts of a body have weights of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from monai_semgan.data.entries import names_of_ids, read_entry_label
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.calibration_samples import CLEAN, Sample
from monai_semgan.evaluation.corruptions import SILENT
from monai_semgan.evaluation.scores import organs_listed
from monai_semgan.io.reading import read_volume
from monai_semgan.quality.assessment import PART, PART_SIGNS, DomainModel, judged_affine
from monai_semgan.quality.features import FEATURES, OrganPrior, OrganShape, organ_shapes
from monai_semgan.utils.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.data.datalist import Entry

RIDGE = 1e-3

SMALLEST_SPREAD = {"log_ml": 0.1, "mm": 5.0}

FEWEST = 3
"""So many scans it takes to tell how sizes and places of organs spread."""


def organ_priors(shapes: Sequence[Mapping[str, OrganShape]]) -> dict[str, OrganPrior]:
    """Size and place of the organs over volumes; organs seen in fewer than `FEWEST` are left out."""
    offsets: dict[str, list[np.ndarray]] = {}
    volumes: dict[str, list[float]] = {}
    for volume in shapes:
        middle = np.mean([shape.centre_mm for shape in volume.values()], axis=0) if volume else np.zeros(3)
        for name, shape in volume.items():
            offsets.setdefault(name, []).append(shape.centre_mm - middle)
            volumes.setdefault(name, []).append(math.log(shape.ml))
    priors = {}
    for name, logs in volumes.items():
        if len(logs) < FEWEST:
            continue
        place, spread = np.mean(offsets[name], axis=0), np.std(offsets[name], axis=0, ddof=1)
        spread = np.maximum(spread, SMALLEST_SPREAD["mm"])
        log_ml = float(np.mean(logs)), max(float(np.std(logs, ddof=1)), SMALLEST_SPREAD["log_ml"])
        priors[name] = OrganPrior(log_ml, tuple(map(float, place)), tuple(map(float, spread)))
    return priors


def label_shapes(bundle: Bundle, entries: Sequence[Entry], progress: Progress | None = None) -> list[Any]:
    """Sizes and places in the labels of the entries; not of those whose list leaves organs out.

    An organ's place is told from the middle of all organs, which is not known where some are not.
    """
    progress = progress or NullProgress()
    shapes = []
    for number, entry in enumerate(entries):
        progress.update(number, len(entries), "measuring labels")
        if organs_listed(entry, bundle.labels) != dict(bundle.labels):
            continue
        volume = read_volume(entry.image)
        prepared = bundle.preprocessing(volume, entry.modality)
        names = names_of_ids(bundle.preprocessing, bundle.labels)
        true = read_entry_label(entry, volume, names).array
        label = bundle.preprocessing.label_slices(true, prepared.geometry)
        affine = judged_affine(bundle.preprocessing, prepared.geometry.grid_affine)
        shapes.append(organ_shapes(label.numpy(), affine, bundle.labels))
    progress.update(len(entries), len(entries))
    return shapes


def fit_kinds(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Weights by kind of result, see `DomainModel`; of parts only for those signs that parts have.

    Raises:
        SemganError: if there is nothing to learn from.
    """
    samples = [sample for sample in samples if sample.corruption not in SILENT]
    if not samples:
        raise SemganError("no organ to learn from", remedy="give a data list with labels")
    weights = {}
    for kind in sorted({sample.kind for sample in samples}):
        signs = PART_SIGNS if kind.endswith(PART) else FEATURES
        weights[kind] = fit_weights([sample for sample in samples if sample.kind == kind], signs)
    return weights


def fit_weights(samples: Sequence[Sample], signs: Sequence[str] = FEATURES) -> dict[str, float]:
    """Logistic regression of Dice on features; none may raise the expected Dice, and `SILENT` ones are left out.

    Args:
        samples: of one kind.
        signs: features that may count.

    Raises:
        SemganError: if there is nothing to learn from.
    """
    samples = [sample for sample in samples if sample.corruption not in SILENT]
    if not samples:
        raise SemganError("no organ to learn from", remedy="give a data list with labels")
    organ_features = np.array([[s.organ_features[name] for name in signs] for s in samples])
    target = np.array([s.dice for s in samples])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logit = weights[0] - organ_features @ weights[1:]
        expected = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        value = np.mean(np.logaddexp(0, logit) - target * logit) + RIDGE * np.sum(weights[1:] ** 2)
        gradient = (expected - target) / len(target)
        return float(value), np.concatenate([[gradient.sum()], -(gradient @ organ_features) + 2 * RIDGE * weights[1:]])

    start = np.concatenate([[1.0], np.ones(len(signs))])
    bounds = [(None, None), *[(0.0, None)] * len(signs)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return {"intercept": round(float(found[0]), 4)} | {
        name: round(float(value), 4) for name, value in zip(signs, found[1:], strict=True)
    }


def clean_scores(samples: Sequence[Sample], model: DomainModel) -> list[float]:
    """Out-of-domain scores of whole scans as they are, lowest first: what a model should call in domain.

    Args:
        samples: of `collect`.
        model: fitted to them.
    """
    scans: dict[tuple[str, str], list[float]] = {}
    for sample in samples:
        if sample.corruption == CLEAN and not sample.height_mm:
            key = sample.name or sample.patient, sample.mode
            scans.setdefault(key, []).append(model.expected_dice(sample.kind, sample.organ_features))
    return sorted(1.0 - float(np.mean(expected)) for expected in scans.values())


def priors_to_dict(priors: Mapping[str, OrganPrior]) -> dict[str, Any]:
    """For a bundle's configuration."""
    plain = {name: asdict(prior) for name, prior in priors.items()}
    return {name: {k: [round(float(x), 3) for x in v] for k, v in prior.items()} for name, prior in plain.items()}
