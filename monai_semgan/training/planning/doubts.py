"""What may be wrong with the data of a plan, told before anything is trained on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monai_semgan.organs import adult_ml, right_of, structure_key
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.planning.decided_classes import PlannedClass
from monai_semgan.training.planning.decided_slices import field_mm, native_mm, slice_axis
from monai_semgan.training.planning.scan_look import ScanLook
from monai_semgan.training.planning.survey import Survey

ODD_FACTOR = 2.0
"""A scan whose spacing or extent differs so much from the median of all is told."""

ODD_GREY_FACTOR = 4.0
ODD_FROM = 4
"""Scans from which on a median tells what is usual."""

EMPTY_SHARE = 0.05
"""Of the median number of labelled voxels."""

CONSTANT_SHARE = 0.9
FEW_LABELLED = 5
SMALL_PIXELS = 2.0
MOST_NAMES = 4


@dataclass(frozen=True)
class Evidence:
    """What doubts are drawn from.

    Args:
        survey: of the scans.
        classes: of the plan.
        preprocessing: of the plan.
        plane: of the slices, `axial` or `stored`.
        validation: patients of the validation score.
    """

    survey: Survey
    classes: Sequence[PlannedClass]
    preprocessing: Preprocessing
    plane: str
    validation: Sequence[str]


def find_doubts(evidence: Evidence) -> tuple[str, ...]:
    """Sentences about the data, the gravest kind first."""
    return tuple(doubt for check in CHECKS for doubt in check(evidence))


def same_image_twice(evidence: Evidence) -> Iterator[str]:
    """A scan of the test with the voxels of another one; others are told when slices are cut."""
    groups: dict[str, list[ScanLook]] = {}
    for scan in evidence.survey.scans:
        groups.setdefault(scan.digest, []).append(scan)
    for group in groups.values():
        if len(group) > 1 and any(scan.section == "test" for scan in group):
            yield f"{_named([scan.name for scan in group])} are the same image: keep one, or the test is too easy."


def mixed_modality(evidence: Evidence) -> Iterator[str]:
    """Scans of several modalities make a model that has to learn all of them."""
    counts = Counter(scan.modality for scan in evidence.survey.decisive)
    if len(counts) > 1:
        told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        yield f"the training list mixes modalities ({told}): is that meant?"
    guessed = [scan for scan in evidence.survey.scans if scan.guessed]
    for modality, count in Counter(scan.modality for scan in guessed).items():
        whose = next(scan.name for scan in guessed if scan.modality == modality)
        yield (
            f"neither list nor file tells the modality of {count} scans ({whose}): their grey values are taken for "
            f'{modality}; give "modality" in the list or --modality if that is wrong.'
        )


def own_doubts(evidence: Evidence) -> Iterator[str]:
    """What a scan alone gives cause to doubt."""
    for scan in evidence.survey.scans:
        yield from (f"{scan.name}: {doubt}" for doubt in scan.doubts)
    constant = [scan.name for scan in evidence.survey.scans if scan.constant_share > CONSTANT_SHARE]
    if constant:
        yield f"more than {CONSTANT_SHARE:.0%} of {_named(constant)} has one and the same grey value."


def unnamed_classes(evidence: Evidence) -> Iterator[str]:
    """Ids without names are hard to use; that no label shows a class is told when slices are cut."""
    unnamed = [str(one.file_id) for one in evidence.classes if one.name == f"label {one.file_id}"]
    if unnamed:
        example = ", ".join(f'"{index}": "..."' for index in unnamed[:2])
        yield f'nothing names the ids {_named(unnamed)}: give "labels": {{{example}}} in the list, or --labels.'


def few_labels(evidence: Evidence) -> Iterator[str]:
    """Too little to learn from, or nothing to tell how well it is learnt."""
    patients = {scan.patient for scan in evidence.survey.decisive if scan.labelled}
    if not patients:
        yield "no training scan is labelled: nothing but the encoder of weights to begin with (--init) can be trained."
        return
    if len(patients) < FEW_LABELLED:
        count = "only 1 training patient is" if len(patients) == 1 else f"only {len(patients)} training patients are"
        yield f"{count} labelled: results will depend on who they are."
    if not evidence.validation:
        yield 'no labelled scan is left for validation: nothing tells when training is done; add "validation".'


def nearly_empty_labels(evidence: Evidence) -> Iterator[str]:
    """A label with hardly anything in it is often one that was not finished."""
    ids = {one.file_id for one in evidence.classes}
    sizes = {
        scan.name: sum(look.ml for index, look in scan.labels.items() if index in ids)
        for scan in evidence.survey.labelled
    }
    usual = float(np.median(list(sizes.values()))) if sizes else 0.0
    empty = [name for name, size in sizes.items() if size <= EMPTY_SHARE * usual]
    if empty:
        yield f"the labels of {_named(empty)} are empty, or nearly so."


def odd_scans(evidence: Evidence) -> Iterator[str]:
    """One scan that is unlike the others in spacing, size or grey values."""
    plane, scans = evidence.plane, list(evidence.survey.scans)
    yield from _odd(scans, "pixels in mm", ODD_FACTOR, lambda scan: native_mm(scan, plane))
    if evidence.preprocessing.field_of_view == "body":
        yield from _odd(scans, "slice distance in mm", ODD_FACTOR, lambda scan: _distance(scan, plane))
        yield from _odd(scans, "body width in mm", ODD_FACTOR, lambda scan: field_mm(scan, plane))
    for modality in sorted({scan.modality for scan in scans}):
        same = [scan for scan in scans if scan.modality == modality]
        yield from _odd(same, "range of grey values", ODD_GREY_FACTOR, _grey_span)


def _distance(scan: ScanLook, plane: str) -> float:
    return scan.spacing_mm[slice_axis(scan, plane)]


def _grey_span(scan: ScanLook) -> float:
    return scan.histogram_range[1] - scan.histogram_range[0]


def _odd(scans: Sequence[ScanLook], what: str, factor: float, value: Callable[[ScanLook], float]) -> Iterator[str]:
    if len(scans) < ODD_FROM:
        return
    usual = float(np.median([value(scan) for scan in scans]))
    odd = [scan for scan in scans if not usual / factor <= value(scan) <= usual * factor]
    if odd:
        first = odd[0]
        yield f"{_named([scan.name for scan in odd])}: {what} {value(first):.4g}, the others about {usual:.4g}."


def swapped_sides(evidence: Evidence) -> Iterator[str]:
    """Structures whose order from right to left is the other way round than in nearly all people."""
    place = {structure_key(one.name): one for one in evidence.classes}
    wrong: dict[tuple[str, ...], list[str]] = {}
    for right, left in right_of():
        first, second = place.get(structure_key(right)), place.get(structure_key(left))
        if first is not None and second is not None:
            scans = tuple(scan.name for scan in evidence.survey.labelled if _is_left_of(scan, first, second))
            wrong.setdefault(scans, []).append(f"{first.name} on the patient's left of {second.name}")
    for scans, places in wrong.items():
        if scans:
            yield f"{_named(places)}, in {_named(scans)}: are the sides, or the ids, mixed up?"


def _is_left_of(scan: ScanLook, first: PlannedClass, second: PlannedClass) -> bool:
    """Whether a label shows both, the first on the patient's left; x of RAS grows to the right."""
    one, other = scan.labels.get(first.file_id), scan.labels.get(second.file_id)
    return one is not None and other is not None and one.middle_mm[0] < other.middle_mm[0]


def unlikely_volumes(evidence: Evidence) -> Iterator[str]:
    """Structures whose usual volume is far from that of adults: the ids, or the spacing, may be wrong."""
    if evidence.preprocessing.field_of_view != "body":
        return
    for one in evidence.classes:
        bounds = adult_ml(one.name)
        if bounds is not None and one.scans and one.ml > bounds[1]:
            told = f"{one.name} has {one.ml:.0f} ml on average, adults have at most {bounds[1]:.0f}"
            yield f"{told}: are ids and spacing right?"


def small_classes(evidence: Evidence) -> Iterator[str]:
    """Structures that are hardly more than a pixel in the slices."""
    settings = evidence.preprocessing
    for one in evidence.classes:
        widths = [_width(scan, one.file_id, settings, evidence.plane) for scan in evidence.survey.labelled]
        seen = [width for width in widths if width is not None]
        if seen and float(np.median(seen)) < SMALL_PIXELS:
            yield (
                f"{one.name} is {np.median(seen):.1f} pixels wide in a slice of {settings.size}: too small to be "
                "learnt; give a larger --size, or leave it out with --labels."
            )


def _width(scan: ScanLook, file_id: int, settings: Preprocessing, plane: str) -> float | None:
    """Width in pixels of the square with the mean area that a structure has in a slice."""
    look = scan.labels.get(file_id)
    if look is None:
        return None
    if settings.field_of_view == "image":
        return float(np.sqrt(look.voxels)) * settings.size / max(scan.shape)
    axis = slice_axis(scan, plane)
    pixels = [spacing for other, spacing in enumerate(scan.spacing_mm) if other != axis]
    area = look.voxels / max(1, look.slices[axis]) * pixels[0] * pixels[1]
    return float(np.sqrt(area)) / max(settings.pixel_mm, field_mm(scan, plane) / settings.size)


def _named(names: Sequence[str]) -> str:
    """Names in a sentence; of many the first ones."""
    more = len(names) - MOST_NAMES
    listed = list(names) if more <= 0 else [*names[:MOST_NAMES], f"{more} more"]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"


CHECKS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    same_image_twice,
    mixed_modality,
    unnamed_classes,
    few_labels,
    own_doubts,
    swapped_sides,
    nearly_empty_labels,
    unlikely_volumes,
    small_classes,
    odd_scans,
)
"""Each looks at the evidence and says what gives cause to doubt."""
