"""The slices of a run: from a data list through the cache, or packed for a machine that has no volumes."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from monai_semgan._moved import moved_names
from monai_semgan.data.copies import copied_files, copied_slices
from monai_semgan.data.datalist import SECTIONS, Entry, load_datalist
from monai_semgan.data.label_checks import describe_ids, unscored_classes, unseen_classes
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.data.slice_set import SliceSet
from monai_semgan.data.splits import Choice, Fold, with_validation
from monai_semgan.errors import SemganError
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.modalities import MODALITIES
from monai_semgan.slicing.model_settings import SETTINGS, ModelSettings, plain_ids
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.record import DataRecord, sections_of
from monai_semgan.training.engine.run_files import read_json, stage_folders, write_json
from monai_semgan.training.run_plan import PACKED_TRAINING as TRAINING
from monai_semgan.training.run_plan import RunPlan, list_names
from monai_semgan.utils.progress import NullProgress

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

logger = logging.getLogger(__name__)

VALIDATION = "validation"
PATIENTS = "patients.json"
"""Beside packed slices: patients by section of the data list."""


@dataclasses.dataclass(frozen=True)
class RunData:
    """Slices that a run trains on and is scored on.

    Args:
        training: labelled and unlabelled volumes, in the order of the data list.
        validation: labelled volumes, or None.
        sections: patients by section of the data list, whether they are used or not; those that were taken out of the
            training list to be scored on stand under `validation`.
        notes: what a user should know of list and labels, one sentence each.
        preparation_seconds: how long it took to prepare them, or to read them from the cache.
    """

    training: SliceSet
    validation: SliceSet | None
    sections: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    preparation_seconds: float = 0.0

    @property
    def model(self) -> ModelSettings:
        """The settings that travel with weights that are trained on these slices."""
        modality = tuple(name for name in MODALITIES if name in self.training.modalities)
        return ModelSettings(plain_ids(self.training.preprocessing), self.training.class_names, modality)

    def labelled_only(self) -> RunData:
        """Without the unlabelled training volumes.

        Raises:
            SemganError: if nothing is left.
        """
        labelled = labelled_volumes(self.training)
        if not labelled:
            raise SemganError("the student needs labelled training volumes", remedy="add labels, or raise --labelled")
        return dataclasses.replace(self, training=self.training.select(labelled))

    def record(self) -> DataRecord:
        """Which patients take which part."""
        labelled = set(labelled_volumes(self.training))
        patients = self.training.patients
        return DataRecord(
            labelled=[patient for i, patient in enumerate(patients) if i in labelled],
            unlabelled=[patient for i, patient in enumerate(patients) if i not in labelled],
            validation=list(self.validation.patients) if self.validation is not None else [],
            slices=len(self.training),
            labelled_slices=len(self.training.labelled_indices),
            partly_labelled=known_names(self.training),
            sections={name: list(patients) for name, patients in self.sections.items()},
        )


def labelled_volumes(slices: SliceSet) -> list[int]:
    """Numbers of the volumes with a label."""
    return sorted(set(slices.volume_index[slices.labelled_indices].tolist()))


def known_names(slices: SliceSet) -> dict[str, list[str]]:
    """Names, or numbers, of the classes that labels know, by patient; of labels that know some classes only."""
    names, known = slices.class_names, {}
    for volume in slices.partly_labelled:
        (row,) = slices.known_classes(slices.volume_slices(volume)[:1]).tolist()
        known[slices.patients[volume]] = [names.get(k, str(k)) for k in range(1, len(row)) if row[k]]
    return known


def hide_labels(slices: SliceSet, keep: int) -> SliceSet:
    """The first `keep` labelled volumes keep their labels, the others become unlabelled.

    Raises:
        SemganError: if there are fewer.
    """
    labelled = labelled_volumes(slices)
    if keep > len(labelled):
        problem = f"{keep} labelled volumes were asked for, the training list has {len(labelled)}"
        raise SemganError(problem, remedy="lower --labelled")
    labels = slices.labels.clone()
    hidden = torch.tensor(labelled[keep:], dtype=torch.long)
    labels[torch.isin(slices.volume_index, hidden)] = UNLABELLED
    known = None if slices.known is None else slices.known.index_fill(0, hidden, True)
    return dataclasses.replace(slices, labels=labels, known=known)


def validation_choice(run: Path, fold: str | None, earlier: str | Path | None = None) -> Choice:
    """How the validation of a run is chosen where its data list names none: as for its other stages, if any.

    Args:
        run: folder of the run.
        fold: such as `2/5`; a share of the patients when left out.
        earlier: run whose weights this one begins with; its validation, whom they have not seen, is kept.

    Raises:
        SemganError: if there is no such fold.
    """
    if fold is not None:
        return Choice(Fold.parse(fold))
    folders = [*stage_folders(run), *(stage_folders(Path(earlier)) if earlier is not None else ())]
    records = (read_json(folder / "record.json").get("data") for folder in folders)
    known = next((record for record in records if record), None)
    if known is None:
        return Choice()
    return Choice(keep=[patient for patient, section in sections_of(known).items() if section == VALIDATION])


def load_run_data(
    source: Path,
    plan: RunPlan,
    cache: Path,
    labelled: int,
    workers: Workers,
    progress: Progress,
    choice: Choice | None = None,
) -> RunData:
    """Slices of a data list, through the cache; or packed ones (see `pack`) when `source` is a folder.

    Args:
        source: data list, or folder of packed slices.
        plan: how slices are cut, and what the classes are.
        cache: folder of the cache.
        labelled: training volumes that keep their labels; -1 for all.
        workers: the first process fills the cache before the others read it.
        progress: told after every volume.
        choice: of the validation, where the data list names none.

    Raises:
        SemganError: if the data cannot be used, labels would be lost, or packed slices were cut otherwise.
    """
    started = time.monotonic()
    if source.is_dir():
        if choice is not None and choice.fold is not None:
            remedy = "give the data list, or leave out --fold"
            raise SemganError("packed slices have their validation and no folds", remedy=remedy, path=source)
        data = _load_packed(source, plan)
    else:
        data = workers.first_then_others(lambda: _build(source, plan, cache, progress, choice))
    if labelled >= 0:
        data = dataclasses.replace(data, training=hide_labels(data.training, labelled))
    return dataclasses.replace(data, preparation_seconds=time.monotonic() - started)


def _build(source: Path, plan: RunPlan, cache: Path, progress: Progress, choice: Choice | None = None) -> RunData:
    entries = with_validation(load_datalist(source), choice or Choice(), source)
    notes = [*entries.notes, *copied_files(entries, source)]
    if not entries.training:
        raise SemganError("the training list is empty", remedy='fill "training"', path=source)
    scored = [entry for entry in entries.validation if entry.label is not None]
    preprocessing = plan.preprocessing
    training = build_slice_set(_named(entries.training, plan), preprocessing, cache, progress)
    validation = build_slice_set(_named(scored, plan), preprocessing, cache, progress) if scored else None
    notes += notes_on(training, validation, plan, source)
    sections = {name: [entry.patient for entry in getattr(entries, name)] for name in SECTIONS}
    return RunData(training, validation, sections, tuple(dict.fromkeys(notes)))


def notes_on(training: SliceSet, validation: SliceSet | None, plan: RunPlan, source: Path | None = None) -> list[str]:
    """What a user should know of slices before they are trained on, one sentence each.

    Args:
        training: the training slices.
        validation: those that are scored on.
        plan: classes of the run.
        source: data list, for errors.

    Raises:
        SemganError: labels hold ids that nobody has chosen or left out, or a volume is in both.
    """
    found = plan.check_ids(describe_ids((training, validation), plan.names), source)
    return [
        *found,
        *copied_slices(training, validation, source),
        *unseen_classes(training),
        *unscored_classes(validation),
    ]


def _named(entries: Sequence[Entry], plan: RunPlan) -> list[Entry]:
    """The entries with the structure names of the plan, and its modality where the list tells none."""
    names = tuple(sorted(plan.names.items()))
    return [dataclasses.replace(one, names=names, modality=one.modality or plan.modality) for one in entries]


def _load_packed(source: Path, plan: RunPlan) -> RunData:
    training = SliceSet.load(source / TRAINING)
    packed, wanted = (ModelSettings(plain_ids(one)) for one in (training.preprocessing, plan.preprocessing))
    found = packed.difference(wanted)
    if found is not None:
        problem = f"holds slices with {found.name} {found.own}, not {found.other}"
        raise SemganError(problem, remedy="train with these settings or pack the slices again", path=source)
    validation = SliceSet.load(source / VALIDATION) if (source / VALIDATION).is_dir() else None
    patients = {TRAINING: training.patients, VALIDATION: validation.patients if validation is not None else ()}
    return RunData(training, validation, read_json(source / PATIENTS) or patients)


def pack_slices(
    datalist: str | Path,
    out: str | Path,
    plan: RunPlan | Preprocessing | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the slices of a data list as a few small files, to be trained on elsewhere in place of the list.

    Args:
        datalist: MONAI data list (JSON).
        out: folder of the files.
        plan: how slices are cut; the defaults of `Preprocessing` when left out.
        progress: told about every volume.

    Returns:
        The folder.

    Raises:
        SemganError: if the list or a file in it cannot be used.
    """
    datalist, out, plan = Path(datalist), Path(out), plan or Preprocessing()
    if isinstance(plan, Preprocessing):
        plan = RunPlan(plan, list_names(datalist), chosen=True)
    data = _build(datalist, plan, out / "cache", progress or NullProgress())
    for note in data.notes:
        logger.warning("%s", note)
    data.training.save(out / TRAINING)
    if data.validation is not None:
        data.validation.save(out / VALIDATION)
    else:  # that of another list, packed into the same folder, would be scored on
        shutil.rmtree(out / VALIDATION, ignore_errors=True)
    write_json(out / PATIENTS, data.sections)
    data.model.save(out / SETTINGS)
    return out


if not TYPE_CHECKING:  # a name of 0.1
    __getattr__ = moved_names(__name__)
