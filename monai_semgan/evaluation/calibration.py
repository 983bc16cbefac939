"""Fit the domain model of a bundle: which quality features come with which Dice, on scans as they are and corrupted.

Parts of a body have weights of their own. Stacks of a few slices are cut out of the results of the whole scans for
them, which takes no further inference.
"""

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
from monai_semgan.evaluation.scores import organs_listed
from monai_semgan.inference.segmentation import inversion_settings, invert, preview, preview_settings
from monai_semgan.inference.views import smooth_across
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import voxel_ml
from monai_semgan.quality.assessment import (
    PART,
    PART_SIGNS,
    DomainModel,
    found_organs,
    judged_affine,
    kind_of,
    too_low,
)
from monai_semgan.quality.features import FEATURES, OrganPrior, OrganShape, organ_shapes, quality_features
from monai_semgan.quality.overlap import dice
from monai_semgan.slicing.postprocessing import natural_part
from monai_semgan.utils.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.data.datalist import Entry
    from monai_semgan.slicing.preprocessing import PreparedVolume

RIDGE = 1e-3

CLEAN = "clean"
"""Name of the corruption that changes nothing."""

PART_SLICES = (1, 2, 3, 5, 8, 12, 20)
"""So many slices do the parts of a scan have that are cut out of it, as far as they are lower than whole scans."""

PART_PLACES = 4
"""Parts of every height, at random places."""

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
        height_mm: of the part of a body that it was judged in; 0 for a whole one.
        first_slice: where that part begins.
    """

    patient: str
    corruption: str
    mode: str
    organ: str
    organ_features: Mapping[str, float]
    dice: float
    name: str = ""
    height_mm: float = 0.0
    first_slice: int = 0

    @property
    def kind(self) -> str:
        """Which weights are for it, see `DomainModel`."""
        return kind_of(self.mode) + (PART if self.height_mm else "")


@dataclass(frozen=True, eq=False)
class _Result:
    """What was found in a scan or in a part of it.

    Attributes:
        sample: what is known of it.
        found: `(D, K, H, W)` probabilities.
        truth: `(D, H, W)` classes.
        affine: by which it is judged.
        organs: name by class.
        listed: organs that the label knows.
        single: a single image, which is no part of anything.
    """

    sample: Sample
    found: torch.Tensor
    truth: np.ndarray
    affine: np.ndarray
    organs: Mapping[int, str]
    listed: frozenset[str]
    single: bool = False

    def part(self, where: slice) -> _Result:
        """The same of some slices."""
        sample = replace(self.sample, first_slice=where.start)
        return replace(self, sample=sample, found=self.found[where].clone(), truth=self.truth[where])


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
        listed = frozenset(organs_listed(entry, bundle.labels).values())
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
            sample = Sample(entry.patient, name, mode, "", {}, 0.0, entry.name)
            judged = judged_affine(bundle.preprocessing, affine)
            single = bundle.preprocessing.field_of_view == "image"
            result = _Result(sample, found, truth.numpy(), judged, bundle.labels, listed, single)
            smoothing = preview_settings(bundle).smoothing_mm if mode == "preview" else 0.0
            for where in part_places(len(found), judged, np.random.default_rng([seed, number, place])):
                yield from _samples(result.part(where), priors, smoothing)
            yield from _samples(result, priors, smoothing)
    progress.update(total, total)


def part_places(slices: int, affine: np.ndarray, generator: np.random.Generator) -> Iterator[slice]:
    """Places of the parts of a scan.

    Args:
        slices: of the scan.
        affine: `(4, 4)` index (row, column, slice) to RAS mm.
        generator: chooses where the parts lie.
    """
    for count in PART_SLICES:
        if count < slices and too_low(count, affine):
            starts = slices - count + 1
            for start in generator.choice(starts, min(PART_PLACES, starts), replace=False):
                yield slice(int(start), int(start) + count)


def probabilities(bundle: Bundle, prepared: PreparedVolume, mode: str) -> torch.Tensor:
    """Probabilities `(D, K, H, W)` of slices as `segment` makes them, but not smoothed across the slices."""
    if mode == "preview":
        return preview(bundle, prepared, replace(preview_settings(bundle), smoothing_mm=0.0))
    return invert(bundle, prepared, inversion_settings(bundle, mode), mode).probabilities


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


def _samples(result: _Result, priors: Mapping[str, OrganPrior], smoothing_mm: float) -> Iterator[Sample]:
    """The organs of a result, smoothed in place; of a part those that were found, as nothing is said of others."""
    distance = float(np.linalg.norm(result.affine[:3, 2]))
    found = smooth_across(result.found, smoothing_mm, distance)
    label = found.argmax(1).numpy()
    part = not result.single and too_low(len(label), result.affine)
    height = len(label) * distance if part else 0.0
    judged = found_organs(found, result.affine, result.organs) if height else set(result.organs.values())
    features = quality_features(found, result.affine, result.organs, priors)
    for index, name in result.organs.items():
        value = dice(natural_part(label == index, name, voxel_ml(result.affine)), result.truth == index)
        if name in judged & result.listed and not math.isnan(value):
            yield replace(
                result.sample, organ=name, organ_features=features[name], dice=value, height_mm=round(height, 2)
            )
