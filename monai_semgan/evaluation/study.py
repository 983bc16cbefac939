"""Score label files, or a bundle, against the labels of a data list."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.bundle.load import load_bundle
from monai_semgan.data.datalist import SECTIONS, DataList, load_datalist, with_names
from monai_semgan.data.entries import names_of_ids, read_entry_label
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.evaluation.kept_scores import model_state, score_state, still_valid
from monai_semgan.evaluation.label_files import evaluate_predictions
from monai_semgan.evaluation.metrics import OrganScore
from monai_semgan.evaluation.organ_names import organ_names
from monai_semgan.evaluation.scores import PatientScore, Study, labelled_entries, remarks_on, score_entry
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from monai_semgan.utils.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.data.datalist import Entry
    from monai_semgan.io.volume import Volume
    from monai_semgan.slicing.preprocessing import Preprocessing


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
        bundle: the model, or its folder; the one that comes with the package when left out. For label files it tells
            what ids mean; without one the list does, see `organ_names`.
        mode: of the model, see `segment`.
        predictions: folder of label files, named like the scans, to score in place of the model.
        section: of the data list; the first of test, validation and training with labels when left out.
        options: `with_distance=False` leaves out the surface distances; for a model those of `segment` as well, for
            label files `prediction_labels` (`model`, `list` or a JSON file): what their ids mean.

    Raises:
        SemganError: if the list, the model or the folder cannot be used, or no entry has a label.
    """
    _, entries = labelled_section(data, section)
    if predictions is None:
        model = load_bundle(bundle) if bundle is None or isinstance(bundle, (str, Path)) else bundle
        return evaluate_bundle(model, entries, mode, **options)
    folder = bundle if bundle is None or isinstance(bundle, (str, Path)) else bundle.folder
    names = organ_names(entries, Path(predictions), folder, options.get("prediction_labels"))
    options |= {"label_ids": names.files, "note": names.note}
    return evaluate_predictions(Path(predictions), entries, names.labels, **options)


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


def score_bundle(bundle: Bundle, entry: Entry, mode: str = "preview", **options: Any) -> PatientScore:
    """Segment one scan and compare with the label, at the scan's resolution.

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
        entry = replace(entry, modality=found.prepared.modality)
        organs = score_on_scan(found.label, entry, volume, bundle.labels, bundle.preprocessing, with_distance)
    except SemganError as error:
        return PatientScore(entry.patient, entry.modality, problem=str(error), name=entry.name)
    return PatientScore(entry.patient, entry.modality, organs, seconds, name=entry.name)


def score_on_scan(
    label: np.ndarray,
    entry: Entry,
    scan: Volume | None,
    labels: Mapping[int, str],
    preprocessing: Preprocessing,
    with_distance: bool = True,
) -> dict[str, OrganScore]:
    """Score what a model found in a scan against the label of its entry: the one way, for all who run models.

    Organs that the names of the list leave out are not scored; a picture is scored in pixels.

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
    reference = replace(reference, array=preprocessing.classes(reference.array))
    return score_entry(label, reference, entry, labels, with_distance)


def evaluate_bundle(
    bundle: Bundle,
    entries: Sequence[Entry],
    mode: str = "preview",
    *,
    known: Sequence[PatientScore] = (),
    after: Callable[[Study], object] | None = None,
    tell: Callable[[str], object] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Study:
    """Segment the labelled entries of a data list and score them.

    Args:
        bundle: the model.
        entries: of a data list.
        mode: see `segment`.
        known: scores of an earlier run; those made from the same files with the same model and settings are kept.
        after: called with the `Study` so far after every scan, to save it.
        tell: called with a line on what is kept, and what is not and why.
        progress: told about every scan; a wish to stop raises `Cancelled`.
        options: as `score_bundle`.

    Raises:
        SemganError: if no entry has a label, or the model does not have the mode.
    """
    if mode not in bundle.modes:
        bundle.network.check_renders(f"mode {mode}")
    progress = progress or NullProgress()
    entries = with_names(labelled_entries(entries))
    settings = {"mode": mode, "weights": bundle.weights_sha256[:12]} | options
    common = model_state(bundle, settings)
    kept, changed = still_valid(known, entries, common)
    some = "1 scan is" if len(kept) == 1 else f"{len(kept)} scans are"
    for line in [*([f"{some} scored already"] if kept else []), *changed]:
        if tell is not None:
            tell(line)
    scores = dict(kept)
    study = Study((), dict(bundle.labels), settings)
    for number, entry in enumerate(entries):
        progress.update(number, len(entries), "scoring patient")
        if progress.should_stop():
            raise Cancelled
        if entry.name not in kept:
            state = score_state(entry, common)
            scores[entry.name] = replace(score_bundle(bundle, entry, mode, **options), state=state)
        patients = tuple(scores[entry.name] for entry in entries if entry.name in scores)
        study = replace(study, patients=patients, notes=tuple(remarks_on(patients, bundle.labels)))
        if after is not None:
            after(study)
    progress.update(len(entries), len(entries))
    return study
