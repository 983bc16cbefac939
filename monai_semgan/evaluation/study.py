"""Score label files, or a bundle, against the labels of a data list."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.bundle.labels import bundle_folder, organ_labels, read_metadata
from monai_semgan.bundle.load import load_bundle
from monai_semgan.data.datalist import SECTIONS, DataList, load_datalist
from monai_semgan.data.entries import names_of_ids, read_entry_label
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.evaluation.metrics import OrganScore, mean_dice, score_volume
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.formats import label_endings, stem
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.utils.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.data.datalist import Entry
    from monai_semgan.io.volume import Volume
    from monai_semgan.slicing.preprocessing import Preprocessing


@dataclass(frozen=True)
class PatientScore:
    """What came out for one patient.

    Attributes:
        patient: as in the data list.
        modality: `CT`, `MR`, or None where the list does not tell.
        organs: score by organ name; empty if nothing could be scored.
        seconds: to segment; NaN where label files were given.
        problem: why there is no score; empty if there is one.
    """

    patient: str
    modality: str | None = None
    organs: Mapping[str, OrganScore] = field(default_factory=dict)
    seconds: float = math.nan
    problem: str = ""


@dataclass(frozen=True)
class Study:
    """Scores of many patients.

    Attributes:
        patients: one entry for every labelled patient of the list, also for those without a prediction.
        labels: organ name by id.
        settings: how the predictions came about.
    """

    patients: tuple[PatientScore, ...]
    labels: Mapping[int, str]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scored(self) -> tuple[PatientScore, ...]:
        """Patients with a score."""
        return tuple(p for p in self.patients if not p.problem)

    @property
    def missing(self) -> tuple[PatientScore, ...]:
        """Patients without one."""
        return tuple(p for p in self.patients if p.problem)

    @property
    def dice(self) -> dict[str, float]:
        """Mean Dice over the scored patients by organ, and over organs under `mean`."""
        return mean_dice(p.organs for p in self.scored)


def evaluate(
    data: str | Path | DataList,
    bundle: Bundle | str | Path | None = None,
    mode: str = "preview",
    *,
    predictions: str | Path | None = None,
    section: str | None = None,
    **options: Any,
) -> Study:
    """Score a model, or label files, against the labels of a data list.

    Args:
        data: data list, or its file.
        bundle: the model, or its folder; the one that comes with the package when left out. It also names the labels.
        mode: of the model, see `segment`.
        predictions: folder of label files, named like patient or image, to score in place of the model.
        section: of the data list; the first of test, validation and training with labels when left out.
        options: `with_distance=False` leaves out the surface distances; for a model those of `segment` as well.

    Raises:
        SemganError: if the list, the model or the folder cannot be used, or no entry has a label.
    """
    _, entries = labelled_section(data, section)
    if predictions is None:
        model = load_bundle(bundle) if bundle is None or isinstance(bundle, (str, Path)) else bundle
        return evaluate_bundle(model, entries, mode, **options)
    folder = bundle_folder(bundle) if bundle is None or isinstance(bundle, (str, Path)) else bundle.folder
    return evaluate_predictions(Path(predictions), entries, organ_labels(read_metadata(folder)), **options)


def labelled_section(data: str | Path | DataList, section: str | None = None) -> tuple[str, list[Entry]]:
    """Choose a section of a data list: its name, and its entries that have a label.

    Args:
        data: data list, or its file.
        section: the first of test, validation and training with labels when left out.

    Raises:
        SemganError: if there is no such section, or no labels in it.
    """
    path = None if isinstance(data, DataList) else Path(data)
    datalist = data if isinstance(data, DataList) else load_datalist(data)
    if section and section not in SECTIONS:
        raise SemganError(f"unknown section {section!r}", remedy=f"use {', '.join(SECTIONS)}")
    order = (section,) if section else ("test", "validation", "training")
    for name in order:
        entries = getattr(datalist, name)
        if any(entry.label is not None for entry in entries):
            return name, labelled_entries(entries)
    return order[0], labelled_entries([], path)


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


def score_bundle(bundle: Bundle, entry: Entry, mode: str = "preview", **options: Any) -> PatientScore:
    """Segment one patient and compare with the label, at the scan's resolution.

    Args:
        bundle: the model.
        entry: with a label.
        mode: see `segment`.
        options: of `segment`; `with_distance=False` leaves out the surface distances.
    """
    with_distance = options.pop("with_distance", True)
    try:
        volume = read_volume(entry.image)
        started = time.perf_counter()
        found = segment(volume, bundle, mode, modality=entry.modality, **options)
        seconds = time.perf_counter() - started
        organs = score_on_scan(found.label, entry, volume, bundle.labels, bundle.preprocessing, with_distance)
    except SemganError as error:
        return PatientScore(entry.patient, entry.modality, problem=str(error))
    return PatientScore(entry.patient, found.prepared.modality, organs, seconds)


def score_on_scan(
    label: np.ndarray,
    entry: Entry,
    scan: Volume | None,
    labels: Mapping[int, str],
    preprocessing: Preprocessing,
    with_distance: bool = True,
) -> dict[str, OrganScore]:
    """Score what a model found in a scan against the label of its entry: the one way, for all who run models.

    Args:
        label: classes `(I, J, K)` on the scan's grid.
        entry: with a label.
        scan: on whose grid the reference has to lie; only its grid is looked at. It is read when left out.
        labels: organ name by class.
        preprocessing: of the model; tells what ids in label files mean.
        with_distance: also surface distances.

    Raises:
        SemganError: the reference cannot be used, or lies on another grid.
    """
    scan = scan if scan is not None else read_volume(entry.image)
    reference = read_entry_label(entry, scan, names_of_ids(preprocessing, labels))
    return score_labels(label, reference, labels, with_distance, preprocessing)


def score_file(prediction: Path, entry: Entry, labels: Mapping[int, str], with_distance: bool = True) -> PatientScore:
    """Compare a label file with the label of a patient. Grids that differ are a problem, not resampled."""
    try:
        reference = read_entry_label(entry, names=labels)
        found = read_label(prediction, reference, names=labels).array
        unknown = sorted({int(index) for index in np.unique(found)} - {0, *labels})
        if unknown:
            known = ", ".join(f"{index} {name}" for index, name in labels.items())
            raise SemganError(f"holds the label id {unknown[0]}", remedy=f"known are {known}", path=prediction)
        organs = score_labels(found, reference, labels, with_distance)
    except SemganError as error:
        return PatientScore(entry.patient, entry.modality, problem=str(error))
    return PatientScore(entry.patient, entry.modality, organs)


def find_predictions(folder: Path, entries: Sequence[Entry]) -> dict[str, Path]:
    """Label file by patient: named like the patient or like the image file, in any format.

    Raises:
        SemganError: if the folder is missing, holds no label file, or two files for a patient.
    """
    if not folder.is_dir():
        raise SemganError("no such folder of predictions", remedy="check --predictions", path=folder)
    endings = (*label_endings(), ".mhd")
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.name.lower().endswith(endings) and not file.name.startswith("."):
            files.setdefault(stem(file), []).append(file)
    if not files:
        raise SemganError("holds no label files", remedy=f"known endings: {', '.join(endings)}", path=folder)
    found = {}
    for entry in entries:
        names = dict.fromkeys([entry.patient, stem(entry.image), entry.image.name])
        candidates = [file for name in names for file in files.get(name, [])]
        if len(candidates) > 1:
            both = " and ".join(file.name for file in candidates[:2])
            raise SemganError(f"{both} are both of patient {entry.patient}", remedy="keep one", path=folder)
        if candidates:
            found[entry.patient] = candidates[0]
    return found


def evaluate_predictions(
    folder: Path,
    entries: Sequence[Entry],
    labels: Mapping[int, str],
    *,
    with_distance: bool = True,
    progress: Progress | None = None,
) -> Study:
    """Score a folder of label files against the labelled entries of a data list.

    Raises:
        SemganError: as `labelled_entries` and `find_predictions`.
    """
    progress = progress or NullProgress()
    entries = labelled_entries(entries)
    files = find_predictions(folder, entries)
    patients = []
    for number, entry in enumerate(entries):
        progress.update(number, len(entries), "scoring patient")
        if progress.should_stop():
            raise Cancelled
        if entry.patient in files:
            patients.append(score_file(files[entry.patient], entry, labels, with_distance))
        else:
            patients.append(PatientScore(entry.patient, entry.modality, problem="no prediction"))
    progress.update(len(entries), len(entries))
    return Study(tuple(patients), dict(labels), {"predictions": "files"})


def evaluate_bundle(
    bundle: Bundle,
    entries: Sequence[Entry],
    mode: str = "preview",
    *,
    known: Mapping[str, PatientScore] | None = None,
    after: Any = None,
    progress: Progress | None = None,
    **options: Any,
) -> Study:
    """Segment the labelled entries of a data list and score them.

    Args:
        bundle: the model.
        entries: of a data list.
        mode: see `segment`.
        known: scores of an earlier, interrupted run by patient; these are not computed again.
        after: called with the `Study` so far after every patient, to save it.
        progress: told about every patient; a wish to stop raises `Cancelled`.
        options: as `score_bundle`.

    Raises:
        SemganError: if no entry has a label.
    """
    progress = progress or NullProgress()
    entries = labelled_entries(entries)
    settings = {"mode": mode, "weights": bundle.weights_sha256[:12]} | options
    patients: list[PatientScore] = []
    study = Study((), dict(bundle.labels), settings)
    for number, entry in enumerate(entries):
        progress.update(number, len(entries), "scoring patient")
        if progress.should_stop():
            raise Cancelled
        patients.append((known or {}).get(entry.patient) or score_bundle(bundle, entry, mode, **options))
        study = Study(tuple(patients), dict(bundle.labels), settings)
        if after is not None:
            after(study)
    progress.update(len(entries), len(entries))
    return study


def score_labels(
    label: np.ndarray,
    reference: Volume,
    labels: Mapping[int, str],
    with_distance: bool = True,
    preprocessing: Preprocessing | None = None,
) -> dict[str, OrganScore]:
    """Score of every organ of one patient.

    Args:
        label: ids `(I, J, K)` of the prediction.
        reference: the true label on the same grid.
        labels: organ name by id.
        with_distance: also surface distances.
        preprocessing: of the bundle, which tells what other ids in label files mean; none when left out.
    """
    if preprocessing is not None:
        reference = replace(reference, array=preprocessing.classes(reference.array))
    return score_volume(label, reference, labels, with_distance)
