"""What an evaluation gives: scores of scans, and of the whole study."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.data.organ_folder import organ_files
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.metrics import OrganScore, mean_dice
from monai_semgan.organs import structure_key

if TYPE_CHECKING:
    from monai_semgan.data.datalist import Entry


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

    @property
    def dice(self) -> dict[str, float]:
        """Mean Dice over the scored scans by organ, and over organs under `mean`."""
        return mean_dice(p.organs for p in self.scored)


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

    All where nothing tells names, or none of these.
    """
    if entry.label is not None and entry.label.is_dir():
        files, _ = organ_files(entry.label, labels)
        labels = {index: name for index, name in labels.items() if name in files}
    listed = {structure_key(name) for _, name in entry.names}
    found = {index: name for index, name in labels.items() if structure_key(name) in listed}
    return found or dict(labels)


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
    every = {name: [organs[name] for organs in scored if name in organs] for name in labels.values()}
    left_out = [name for name, scores in every.items() if not scores and name not in without_file]
    no_file = [name for name, scores in every.items() if not scores and name in without_file]
    unlabelled = [n for n, s in every.items() if s and not any(score.reference_ml for score in s)]
    unseen = [n for n, s in every.items() if n not in unlabelled and s and not any(score.predicted_ml for score in s)]
    return [
        *(
            [f"{', '.join(left_out)}: not scored, named neither by the list nor by files of its labels"]
            if left_out
            else []
        ),
        *([f"{', '.join(no_file)}: not scored, no prediction has a file of that name"] if no_file else []),
        *([f"{', '.join(unlabelled)}: in no label; check the ids and the names of the list"] if unlabelled else []),
        *([f"{', '.join(unseen)}: in no prediction; check the ids"] if unseen else []),
    ]
