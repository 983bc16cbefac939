"""What an evaluation gives: scores of scans, and of the whole study."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.data.entries import known_keys
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.metrics import OrganScore, mean_dice, score_volume
from monai_semgan.io.formats import image2d_endings
from monai_semgan.modalities import SINGLE_IMAGES
from monai_semgan.organs import structure_key
from monai_semgan.quality.overlap import beyond_labels

if TYPE_CHECKING:
    import numpy as np

    from monai_semgan.data.datalist import Entry
    from monai_semgan.io.volume import Volume


@dataclass(frozen=True)
class PatientScore:
    """What came out for one scan of a patient.

    Attributes:
        patient: as in the data list.
        modality: `CT`, `MR`, or None where the list does not tell.
        organs: score by organ name; empty if nothing could be scored.
        seconds: to segment; NaN where label files were given.
        problem: why there is no score; empty if there is one.
        name: of the scan, unique in its list; empty in files of earlier versions.
        state: hashes of what the score was made from, by part; empty where label files were given.
    """

    patient: str
    modality: str | None = None
    organs: Mapping[str, OrganScore] = field(default_factory=dict)
    seconds: float = math.nan
    problem: str = ""
    name: str = ""
    state: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What scores are told apart by."""
        return self.name or self.patient

    @property
    def title(self) -> str:
        """Name of the scan, and of the patient where it differs."""
        return self.key if self.patient in ("", self.key) else f"{self.key} ({self.patient})"


@dataclass(frozen=True)
class Study:
    """Scores of many scans.

    Attributes:
        patients: one score for every labelled entry of the list, also for those without a prediction.
        labels: organ name by id.
        settings: how the predictions came about.
        notes: what a reader of the figures should know.
    """

    patients: tuple[PatientScore, ...]
    labels: Mapping[int, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def scored(self) -> tuple[PatientScore, ...]:
        """Scans with a score."""
        return tuple(p for p in self.patients if not p.problem)

    @property
    def missing(self) -> tuple[PatientScore, ...]:
        """Scans without one."""
        return tuple(p for p in self.patients if p.problem)

    @cached_property  # the lines of every table ask, and it looks at all scores
    def unknown(self) -> frozenset[str]:
        """Organs that no reference knows: nothing names them, and ids end below theirs, see `beyond_labels`."""
        scores = [(name, score) for patient in self.scored for name, score in patient.organs.items()]
        assumed, told = ({name for name, score in scores if score.assumed is kind} for kind in (True, False))
        shown = {name for name, score in scores if score.reference_size}
        beyond = beyond_labels(self.labels, [index for index, name in self.labels.items() if name in shown])
        return frozenset({self.labels[index] for index in beyond} & assumed - told)

    @property
    def organs(self) -> list[str]:
        """Organs that are scored, in the order of their ids."""
        there = {name for patient in self.scored for name in patient.organs} - self.unknown
        return [name for name in self.labels.values() if name in there]

    @property
    def dice(self) -> dict[str, float]:
        """Mean Dice over the scored scans by organ, and over organs under `mean`; see `quality.overlap`."""
        known = set(self.organs)
        return mean_dice({n: score for n, score in p.organs.items() if n in known} for p in self.scored)


def labelled_entries(
    entries: Sequence[Entry], path: Path | None = None, remedy: str = "choose another --section, or add labels"
) -> list[Entry]:
    """The entries that have a label.

    Args:
        entries: of a section of a data list.
        path: of the list, for the error.
        remedy: for the error.

    Raises:
        SemganError: if there are none.
    """
    found = [entry for entry in entries if entry.label is not None]
    if not found:
        raise SemganError("no labelled entry to score", remedy=remedy, path=path)
    return found


def organs_listed(entry: Entry, labels: Mapping[int, str]) -> dict[int, str]:
    """Organs that the label of an entry tells of; what its list or folder leaves out is unknown there, not absent.

    All where nothing tells, or the list names none of these.
    """
    told = organs_told(entry, labels)
    return dict(labels) if told is None else told


def organs_told(entry: Entry, labels: Mapping[int, str]) -> dict[int, str] | None:
    """Organs that list or folder say the label of an entry knows; None where nothing tells."""
    keys = known_keys(entry, labels)
    listed = {structure_key(name) for _, name in entry.names}
    named = {index: name for index, name in labels.items() if structure_key(name) in listed}
    if keys is None:
        return named or None
    known = {index: {structure_key(name), structure_key(str(index))} & keys for index, name in labels.items()}
    return {index: name for index, name in (named or labels).items() if known[index]}


def in_pixels(entry: Entry, modality: str | None = None) -> bool:
    """Whether sizes and distances in an entry's image are told in pixels: nobody knows their mm in the patient.

    Args:
        entry: of a data list.
        modality: that the image has turned out to be; what the list tells when left out.
    """
    return (modality or entry.modality) in SINGLE_IMAGES or entry.image.name.lower().endswith(image2d_endings())


def score_entry(
    label: np.ndarray, reference: Volume, entry: Entry, labels: Mapping[int, str], with_distance: bool = True
) -> dict[str, OrganScore]:
    """Score every organ that the reference of an entry knows: of a picture in pixels.

    Args:
        label: ids `(I, J, K)` of the prediction.
        reference: the label of the entry, in the same ids and on the same grid.
        entry: of a data list.
        labels: organ name by id.
        with_distance: also surface distances, which takes seconds.
    """
    told = organs_told(entry, labels)
    options = {"in_pixels": in_pixels(entry), "assumed": told is None}
    return score_volume(label, reference, labels if told is None else told, with_distance, **options)


def remarks_on(
    patients: Sequence[PatientScore], labels: Mapping[int, str], without_file: Collection[str] = ()
) -> list[str]:
    """Name organs that are nowhere: their figures tell more of names and ids than of the segmentation.

    Args:
        patients: scores of an evaluation.
        labels: organ name by id.
        without_file: organs that the labels tell of, but that no prediction has a file for.
    """
    scored = [patient.organs for patient in patients if not patient.problem]
    if not scored:
        return []
    study = Study(tuple(patients), labels)
    every = {name: [organs[name] for organs in scored if name in organs] for name in labels.values()}
    beyond = [name for name in labels.values() if name in study.unknown]
    left_out = [name for name, scores in every.items() if not scores and name not in without_file]
    no_file = [name for name, scores in every.items() if not scores and name in without_file]
    counted = {n: scores for n, scores in every.items() if scores and n not in beyond}
    unlabelled = [n for n, scores in counted.items() if not any(score.reference_size for score in scores)]
    unseen = [n for n, scores in counted.items() if n not in unlabelled and not any(s.predicted_size for s in scores)]
    told = (
        (beyond, 'not scored, no label shows them; where labels would, name them in the list\'s "labels"'),
        (left_out, "not scored, not named by list (labels, labelled) or label files"),
        (no_file, "not scored, no prediction has a file of that name"),
        (unlabelled, "in no label; check the ids and the names of the list"),
        (unseen, "in no prediction; check the ids"),
    )
    return [f"{', '.join(names)}: {what}" for names, what in told if names]
