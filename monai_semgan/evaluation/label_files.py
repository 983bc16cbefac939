"""Score label files, of this program or others, against the labels of a data list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.data.datalist import with_names
from monai_semgan.data.entries import of_mask, renumbered
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.evaluation.metrics import OrganScore
from monai_semgan.evaluation.prediction_ids import REMEDY, LabelIds, choose_ids
from monai_semgan.evaluation.predictions import Prediction, find_predictions
from monai_semgan.evaluation.scores import PatientScore, Study, labelled_entries, organs_listed, remarks_on, score_entry
from monai_semgan.io.formats import find_segment_reader
from monai_semgan.io.reading import ANY_ID, read_label
from monai_semgan.organs import structure_key
from monai_semgan.utils.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.data.datalist import Entry
    from monai_semgan.io.volume import Volume


def evaluate_predictions(
    folder: Path,
    entries: Sequence[Entry],
    labels: Mapping[int, str],
    *,
    label_ids: Mapping[int, str] | None = None,
    prediction_labels: str | Path | None = None,
    with_distance: bool = True,
    note: str = "",
    progress: Progress | None = None,
) -> Study:
    """Score a folder of label files against the labelled entries of a data list.

    Args:
        folder: of the predictions, named like the entries; see `find_predictions`.
        entries: of a data list.
        labels: organ name by id that the model writes, see `organ_names`.
        label_ids: organ name by id in the label files of a list without names; as `labels` when left out.
        prediction_labels: what the ids of the predictions mean: `model`, `list` or a JSON file; see `choose_ids`.
        with_distance: also surface distances.
        note: on the names of the organs.
        progress: told about every scan; a wish to stop raises `Cancelled`.

    Raises:
        SemganError: as `labelled_entries`, `find_predictions` and `choose_ids`.
    """
    progress = progress or NullProgress()
    entries = with_names(labelled_entries(entries))
    found = find_predictions(folder, entries, labels)
    ids, why = choose_ids(prediction_labels, folder, entries, found, labels, label_ids)
    scorer = _Scorer(ids, {name for item in found.values() for name in item.organs or ()}, with_distance)
    scores = []
    for number, entry in enumerate(entries):
        progress.update(number, len(entries), "scoring scan")
        if progress.should_stop():
            raise Cancelled
        scores.append(scorer.score(entry, found.get(entry.name)))
    progress.update(len(entries), len(entries))
    remarks = remarks_on(scores, labels, scorer.without_file)
    told = [line for line in (f"predictions: {why}" if why else "", note) if line]
    notes = [*told, *scorer.notes(), *remarks]
    return Study(tuple(scores), dict(labels), {"predictions": "files"}, tuple(notes))


class _Scorer:
    """Scores the predictions of a folder.

    Args:
        ids: what the ids in the files mean.
        single: organs that have a file of their own for any scan: where one is missing, the organ was not found.
        with_distance: also surface distances.
    """

    def __init__(self, ids: LabelIds, single: set[str], with_distance: bool) -> None:
        self.ids, self.single, self.with_distance = ids, single, with_distance
        self.ignored: set[str] = set()
        self.without_file: set[str] = set()

    def score(self, entry: Entry, prediction: Prediction | None) -> PatientScore:
        """Score one scan. Grids that differ are a problem, not resampled."""
        if prediction is None:
            problem = f"no prediction (it would be called {entry.name}.nii.gz, with any ending for labels)"
            return PatientScore(entry.patient, entry.modality, problem=problem, name=entry.name)
        try:
            reference = self.ids.reference(entry)
            if prediction.organs is None:
                scores = self._of_file(prediction.path, entry, reference)
            else:
                scores = self._of_folder(prediction, entry, reference)
        except SemganError as error:
            return PatientScore(entry.patient, entry.modality, problem=str(error), name=entry.name)
        return PatientScore(entry.patient, entry.modality, scores, name=entry.name)

    def notes(self) -> list[str]:
        """Tell what was left out of the predictions."""
        what = ", ".join(sorted(self.ignored, key=lambda name: (not name.isdigit(), name.zfill(3))))
        return [f"ignored in the predictions, being no organs of the model: {what}"] if what else []

    def _of_file(self, path: Path, entry: Entry, reference: Volume) -> dict[str, OrganScore]:
        found = read_label(path, reference, ANY_ID, self.ids.classes)
        names = self.ids.of(entry)
        if find_segment_reader(path) is None:
            found = of_mask(found, names)
            self._check_ids(found, names)
            found = found if names == self.ids.classes else renumbered(found, names, self.ids.classes)
        return score_entry(found.array, reference, entry, self.ids.classes, self.with_distance)

    def _check_ids(self, found: Volume, names: Mapping[int, str]) -> None:
        """Ids without an organ are fine where somebody tells what ids mean; else these may be other ids altogether."""
        known = {structure_key(name) for name in self.ids.classes.values()}
        organs = {index for index, name in names.items() if structure_key(name) in known}
        further = [int(index) for index in np.unique(found.array) if int(index) not in {0, *organs}]
        unknown = [index for index in further if index not in names]
        if unknown and not self.ids.told:
            listed = ", ".join(f"{index} {name}" for index, name in names.items())
            raise SemganError(
                f"holds the label id {unknown[0]}", remedy=f"known are {listed}; {REMEDY}", path=found.path
            )
        self.ignored.update(names.get(index, str(index)) for index in further)

    def _of_folder(self, prediction: Prediction, entry: Entry, reference: Volume) -> dict[str, OrganScore]:
        assert prediction.organs is not None
        self.ignored.update(prediction.others)
        organs = {index: name for index, name in self.ids.classes.items() if name in self.single}
        known = organs_listed(entry, self.ids.classes)
        self.without_file.update(name for name in known.values() if name not in self.single)
        nothing = np.zeros(reference.array.shape, np.uint8)
        kind = np.min_scalar_type(max(organs, default=0))  # ids of an atlas may be 500
        scores: dict[str, OrganScore] = {}
        for index, name in organs.items():
            if index not in known:
                continue
            file = prediction.organs.get(name)
            mask = nothing if file is None else read_label(file, reference, ANY_ID).array
            label = np.where(mask > 0, kind.type(index), kind.type(0))
            scores |= score_entry(label, reference, entry, {index: name}, self.with_distance)
        return scores
