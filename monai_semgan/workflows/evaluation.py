"""Dice of a bundle's evaluation: a handler for MONAI's evaluators, on one process or several."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ignite.engine import Events
from torch import distributed

from monai_semgan.data.datalist import SECTIONS, load_datalist
from monai_semgan.data.entries import entry_of_item, names_of_ids, read_entry_label
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.study import PatientScore, Study, labelled_entries, score_labels
from monai_semgan.evaluation.tables import write_json

if TYPE_CHECKING:
    from monai_semgan.slicing.preprocessing import Preprocessing

logger = logging.getLogger(__name__)


def evaluation_entries(data_list_file_path: str | Path, section: str = "validation") -> list[dict[str, str]]:
    """Labelled entries of one section of a data list, for a MONAI data set.

    Raises:
        SemganError: if the list cannot be used, or the section has no labelled volumes.
    """
    if not data_list_file_path:
        problem = "data_list_file_path: no data list was given"
        raise SemganError(problem, remedy="give --data_list_file_path LIST.json")
    path = Path(data_list_file_path)
    if section not in SECTIONS:
        problem = f"data_list_key: unknown section {section!r}"
        raise SemganError(problem, remedy=f"use {', '.join(SECTIONS)}", path=path)
    remedy = "choose another with --data_list_key, or add labels"
    entries = labelled_entries(getattr(load_datalist(path), section), path, remedy)
    return [
        {"image": str(e.image), "label": str(e.label), "patient": e.patient, "modality": e.modality or ""}
        for e in entries
    ]


class DiceReport:
    """Scores every volume in 3D at its own resolution, prints the means, writes what `semgan evaluate` writes as JSON.

    Means are over patients by organ, then over organs (`mean`). Every volume counts once, however many processes there
    are. The evaluator's `state.metrics` get them too.

    Args:
        labels: organ name by id.
        preprocessing: of the bundle; tells what the ids of label files mean.
        output: JSON file; none is written when left out.
        with_distance: also the 95th percentile of the surface distance, which takes seconds.
    """

    def __init__(
        self,
        labels: Mapping[int, str],
        preprocessing: Preprocessing,
        output: str | Path | None = None,
        with_distance: bool = False,
    ) -> None:
        self.labels = dict(labels)
        self.preprocessing = preprocessing
        self.output = Path(output) if output is not None else None
        self.with_distance = with_distance
        self.scores: dict[str, PatientScore] = {}

    def attach(self, engine: Any) -> None:
        """Register with an ignite engine, as MONAI's handlers do."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.scores.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def score(self, engine: Any) -> None:
        """Score the volumes of one iteration."""
        names = names_of_ids(self.preprocessing, self.labels)
        for entry, output in zip(engine.state.batch, engine.state.output, strict=True):
            patient, prediction = str(entry["patient"]), np.asarray(output["pred"])[0]
            reference = read_entry_label(entry_of_item(entry), names=names)
            if reference.array.shape != prediction.shape:
                problem = f"label of {patient} and image differ in shape"
                raise SemganError(problem, remedy="resample the label onto the image's grid", path=reference.path)
            organs = score_labels(prediction, reference, self.labels, self.with_distance, self.preprocessing)
            self.scores[patient] = PatientScore(patient, str(entry.get("modality", "")) or None, organs)

    def finish(self, engine: Any) -> None:
        """Bring the scores of all processes together, print and write the means."""
        study = Study(tuple(gathered(self.scores).values()), self.labels, {"predictions": "monai.bundle"})
        means = study.dice
        engine.state.metrics.update({f"dice_{name.replace(' ', '_')}": value for name, value in means.items()})
        if _rank() > 0:
            return
        for name, value in means.items():
            logger.info("Dice %-16s %.4f", name, value)
        if self.output is not None:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            write_json(study, self.output)


def gathered(scores: Mapping[str, PatientScore]) -> dict[str, PatientScore]:
    """Scores of all processes, by patient in alphabetical order."""
    parts: list[Any] = [dict(scores)]
    if distributed.is_available() and distributed.is_initialized():
        parts = [None] * distributed.get_world_size()
        distributed.all_gather_object(parts, dict(scores))
    merged = {patient: value for part in parts for patient, value in part.items()}
    return {patient: merged[patient] for patient in sorted(merged)}


def _rank() -> int:
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
