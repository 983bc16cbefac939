"""Whether a stage of a run is trained on the data that the run has been trained on before, by any of its stages."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.errors import SemganError
from monai_semgan.training.data_print import DataPrint
from monai_semgan.training.engine.record import DataRecord, moved_patient, new_labels, other_patients
from monai_semgan.training.engine.run_files import FOLDS, read_json, stage_folders

if TYPE_CHECKING:
    from monai_semgan.training.datasets import RunData
    from monai_semgan.training.training_settings import TrainSettings

logger = logging.getLogger(__name__)

SAME_DATA = (
    "go on with the same data, or start a new run from these weights: another --out (output_dir) with --from RUN"
)
"""What to do when the data are not those of the run."""


def check_data(out: Path, name: str, data: RunData, settings: TrainSettings) -> tuple[DataPrint, list[str]]:
    """Compare the data with those that the stages of a run have been trained on.

    All stages have the same patients in each section, the same ones labelled, and the same scans and labels of them;
    with `more_labels` training patients may have got labels. What is scored was not trained on by the run whose weights
    this one began with.

    Args:
        out: folder of the run.
        name: of the stage that is to be trained.
        data: of the stage.
        settings: of the run.

    Returns:
        What the run is trained on from now on, and training patients with new labels.

    Raises:
        SemganError: naming the first patient or scan that is another than before.
    """
    now, folders = DataPrint.of(data), stage_folders(out)
    kept = DataPrint.load(out) if folders else None
    if kept is not None:
        remembered = kept.history()
        others = [one for one in _ancestors(settings) if one not in remembered]
        now = dataclasses.replace(now, ancestors=[*kept.ancestors, *others])
        added = _compare(kept, now, out, folders[-1].name, settings.more_labels)
    else:
        added = check_patients(out, name, data.record(), settings) if folders else []
        now = dataclasses.replace(now, ancestors=_ancestors(settings))
    _refuse_scored(now, settings)
    return now, added


def _compare(kept: DataPrint, now: DataPrint, out: Path, stage: str, more_labels: bool) -> list[str]:
    before, after = ({"sections": one.sections, "labelled": one.labelled} for one in (kept, now))
    changed = other_patients(before, after) or kept.changed_scan(now)
    if changed:
        raise SemganError(f"{changed}, since the {stage} was trained", remedy=SAME_DATA, path=out)
    return _added_labels(*new_labels(before, after), more_labels, out)


def _added_labels(added: list[str], lost: list[str], more_labels: bool, path: Path) -> list[str]:
    if lost:
        problem = f"was started with a label of {', '.join(lost)}, who has none now"
        raise SemganError(problem, remedy=SAME_DATA, path=path)
    if added and not more_labels:
        remedy = "start another --out (output_dir) from these weights with --from RUN (from_run)"
        remedy += ", or go on in this one with --more-labels (more_labels)"
        raise SemganError(f"was started without a label of {', '.join(added)}", remedy=remedy, path=path)
    return added


def _ancestors(settings: TrainSettings) -> list[dict[str, object]]:
    """What the weights to begin with were trained on, as far as runs tell."""
    found: list[dict[str, object]] = []
    for source in settings.sources:
        place = source if source.is_dir() else source.parent
        place = place / "fold_1" if (place / FOLDS).is_file() else place  # whose student averaged ones begin with
        kept = DataPrint.load(place) or DataPrint.load(place.parent)
        if kept is not None:
            found.extend(kept.history())
        else:
            records = [read_json(folder / "record.json").get("data", {}) for folder in stage_folders(place)]
            found.extend({"sections": r["sections"], "labelled": r["labelled"]} for r in records if r.get("sections"))
    return found


def _refuse_scored(now: DataPrint, settings: TrainSettings) -> None:
    """Refuse scores on patients whom an ancestor was trained on; weights of `init` alone are warned of."""
    scored = now.scored_ancestor()
    if scored is None:
        return
    if settings.from_run is None:
        logger.warning("%s: their scores say nothing", scored)
        return
    remedy = 'move them to "training", or leave them out'
    raise SemganError(scored, remedy=remedy, path=settings.from_run)


def check_patients(out: Path, name: str, record: DataRecord, settings: TrainSettings) -> list[str]:
    """Compare the patients of a run that has no print of its data, as before 0.3, by the records of its stages.

    Returns:
        Training patients with new labels.

    Raises:
        SemganError: naming the first patient who is elsewhere than before.
    """
    now, path = dataclasses.asdict(record), out / name
    for folder in stage_folders(out):
        before = read_json(folder / "record.json").get("data", {})
        moved = moved_patient(before, now)
        if moved:
            raise SemganError(f"{moved}, since the {folder.name} was trained", remedy=SAME_DATA, path=folder)
    before = read_json(path / "record.json").get("data")
    if not before or not settings.resume:
        return []
    changed = other_patients(before, now)
    if changed:
        raise SemganError(f"was started with other patients: {changed}", remedy=SAME_DATA, path=path)
    return _added_labels(*new_labels(before, now), settings.more_labels, path)
