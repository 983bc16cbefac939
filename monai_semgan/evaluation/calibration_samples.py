"""Organs of segmented scans, as they are and corrupted, with quality features and Dice: what a calibration learns from.

Stacks of a few slices, the parts of a body, are cut out of the results of the whole scans, which takes no further
inference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from monai_semgan.data.entries import names_of_ids, read_entry_label
from monai_semgan.errors import Cancelled
from monai_semgan.evaluation.corruptions import CORRUPTIONS
from monai_semgan.evaluation.scores import organs_listed
from monai_semgan.inference.slice_modes import inversion_settings, invert, preview, preview_settings
from monai_semgan.inference.views import smooth_across
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import voxel_ml
from monai_semgan.quality.assessment import PART, found_organs, judged_affine, kind_of, too_low
from monai_semgan.quality.features import OrganPrior, quality_features
from monai_semgan.quality.overlap import dice
from monai_semgan.slicing.postprocessing import natural_part
from monai_semgan.utils.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.data.datalist import Entry
    from monai_semgan.slicing.prepared import PreparedVolume

CLEAN = "clean"
"""Name of the corruption that changes nothing."""

PART_SLICES = (1, 2, 3, 5, 8, 12, 20)
"""So many slices do the parts of a scan have that are cut out of it, as far as they are lower than whole scans."""

PART_PLACES = 4
"""Parts of every height, at random places."""


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
        corruptions: names in `CORRUPTIONS`.
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
