"""The slices of a run: from a data list through the cache, or packed for a machine that has no volumes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.slice_set import SliceSet, build_slice_set
from monai_semgan.errors import SemganError
from monai_semgan.slicing.encoding import UNLABELLED
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.record import DataRecord

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

TRAINING, VALIDATION = "training", "validation"


@dataclasses.dataclass(frozen=True)
class RunData:
    """Slices that a run trains on and is scored on.

    Args:
        training: labelled and unlabelled volumes, in the order of the data list.
        validation: labelled volumes, or None.
    """

    training: SliceSet
    validation: SliceSet | None

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
        )


def labelled_volumes(slices: SliceSet) -> list[int]:
    """Numbers of the volumes with a label."""
    return sorted(set(slices.volume_index[slices.labelled_indices].tolist()))


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
    labels[torch.isin(slices.volume_index, torch.tensor(labelled[keep:], dtype=torch.long))] = UNLABELLED
    return dataclasses.replace(slices, labels=labels)


def frame_of(source: Path) -> str:
    """`Preprocessing.frame` for a data list or packed slices: `image` when they are radiographs.

    Raises:
        SemganError: if radiographs and volumes are mixed.
    """
    if source.is_dir():
        return SliceSet.load(source / TRAINING).preprocessing.frame
    entries = load_datalist(source)
    kinds = {entry.modality == "DX" for entry in (*entries.training, *entries.validation)}
    if len(kinds) > 1:
        raise SemganError("lists both radiographs and volumes", remedy="make a list for each", path=source)
    return "image" if kinds == {True} else "body"


def load_run_data(
    source: Path, preprocessing: Preprocessing, cache: Path, labelled: int, workers: Workers, progress: Progress
) -> RunData:
    """Slices of a data list, through the cache; or packed ones (see `pack`) when `source` is a folder.

    Args:
        source: data list, or folder of packed slices.
        preprocessing: how slices are cut.
        cache: folder of the cache.
        labelled: training volumes that keep their labels; -1 for all.
        workers: the first process fills the cache before the others read it.
        progress: told after every volume.

    Raises:
        SemganError: if the data cannot be used, or packed slices were cut otherwise.
    """
    if source.is_dir():
        data = _load_packed(source, preprocessing)
    else:
        if not workers.is_main:
            workers.wait()
        data = _build(source, preprocessing, cache, progress)
        if workers.is_main:
            workers.wait()
    if labelled >= 0:
        data = dataclasses.replace(data, training=hide_labels(data.training, labelled))
    return data


def _build(source: Path, preprocessing: Preprocessing, cache: Path, progress: Progress) -> RunData:
    entries = load_datalist(source)
    if not entries.training:
        raise SemganError("the training list is empty", remedy='fill "training"', path=source)
    scored = [entry for entry in entries.validation if entry.label is not None]
    training = build_slice_set(entries.training, preprocessing, cache, progress)
    return RunData(training, build_slice_set(scored, preprocessing, cache, progress) if scored else None)


def _load_packed(source: Path, preprocessing: Preprocessing) -> RunData:
    training = SliceSet.load(source / TRAINING)
    if training.preprocessing != preprocessing:
        raise SemganError(
            f"holds slices of {training.preprocessing.size} pixels of {training.preprocessing.pixel_mm:g} mm with "
            f"{training.preprocessing.num_classes} classes",
            remedy="train with these settings or pack the slices again",
            path=source,
        )
    validation = source / VALIDATION
    return RunData(training, SliceSet.load(validation) if validation.is_dir() else None)


def pack(datalist: Path, out: Path, preprocessing: Preprocessing, progress: Progress) -> Path:
    """Write the slices of a data list as a few small files, to be trained on elsewhere in place of the list."""
    data = _build(datalist, preprocessing, out / "cache", progress)
    data.training.save(out / TRAINING)
    if data.validation is not None:
        data.validation.save(out / VALIDATION)
    return out
