"""Dice of a bundle's evaluation: a handler for MONAI's evaluators, on one process or several."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ignite.engine import Events
from torch import distributed

from monai_semgan.data.cache import entry_item
from monai_semgan.data.datalist import SECTIONS, Entry, load_datalist
from monai_semgan.data.entries import entry_of_item
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.scores import PatientScore, Study, labelled_entries, remarks_on
from monai_semgan.evaluation.study import score_on_scan
from monai_semgan.evaluation.tables import write_json
from monai_semgan.io.formats import find_segment_reader, stem
from monai_semgan.transforms.scan_meta import NAME, scan_grid
from monai_semgan.workflows.scan_dataset import FAILURE
from monai_semgan.workflows.scan_evaluator import ScanEvaluator, from_all

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
    return [{"modality": "", **entry_item(entry), "patient": entry.patient, NAME: entry.name} for entry in entries]


class DiceReport:
    """Scores every volume in 3D at its own resolution, prints the means, writes what `semgan evaluate` writes as JSON.

    Every entry of the data list counts once, however many processes there are, and is scored as `semgan evaluate`
    does: ids of labels mean what the list says, and labels have to lie on the scan's grid. Means are over entries by
    organ, then over organs (`mean`); the evaluator's `state.metrics` get them too. What cannot be scored stands in the
    JSON with the reason.

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
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            entry, image = _entry(item), item["image"]
            score = PatientScore(entry.patient, image.meta.get("modality") or entry.modality, name=entry.name)
            # segments by name are read with the header of the scan, and not with its grid alone
            scan = None if find_segment_reader(_label(entry)) is not None else scan_grid(image)
            found = np.asarray(output["pred"])[0]
            try:
                organs = score_on_scan(found, entry, scan, self.labels, self.preprocessing, self.with_distance)
                self.scores[score.key] = replace(score, organs=organs)
            except SemganError as error:
                self.scores[score.key] = replace(score, problem=str(error))
                if isinstance(engine, ScanEvaluator):
                    engine.fail({NAME: score.key}, str(error))

    def finish(self, engine: Any) -> None:
        """Bring the scores of all processes together, print and write the means.

        Raises:
            SemganError: labels cannot be used, and the evaluator does not tell that itself; all others are scored.
        """
        failed = engine.failures if isinstance(engine, ScanEvaluator) else ()
        unread = {score.key: score for score in map(_unread, failed)}
        scores = {key: score for part in from_all(unread | self.scores) for key, score in part.items()}
        study = Study(tuple(scores[key] for key in sorted(scores)), self.labels, {"predictions": "monai.bundle"})
        study = replace(study, notes=tuple(remarks_on(study.patients, self.labels)))
        means = study.dice
        engine.state.metrics.update({f"dice_{name.replace(' ', '_')}": value for name, value in means.items()})
        if _rank() == 0:
            self._tell(study)
        if study.missing and not isinstance(engine, ScanEvaluator):
            first, count = study.missing[0], len(study.missing)
            problem = f"{count} of {len(study.patients)} scans have no score: {first.title} ({first.problem})"
            raise SemganError(problem, remedy="correct the labels or leave the scans out; all others are scored")

    def _tell(self, study: Study) -> None:
        for name, value in study.dice.items():
            logger.info("Dice %-16s %.4f", name, value)
        for note in study.notes:
            logger.warning("%s", note)
        if self.output is not None:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            write_json(study, self.output)


def _entry(item: Mapping[str, Any]) -> Entry:
    """The entry that an item of the data set stands for; lists that others make may leave out whom it shows."""
    entry = entry_of_item(item)
    name = str(item.get(NAME) or stem(entry.image))
    return replace(entry, patient=str(item.get("patient") or name), modality=item.get("modality") or None, name=name)


def _label(entry: Entry) -> Path:
    assert entry.label is not None
    return entry.label


def _unread(failure: Mapping[str, Any]) -> PatientScore:
    """What there is of a scan that the evaluator could not segment."""
    name = str(failure.get(NAME, ""))
    patient = str(failure.get("patient") or name)
    return PatientScore(patient, failure.get("modality") or None, problem=failure[FAILURE], name=name)


def _rank() -> int:
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
