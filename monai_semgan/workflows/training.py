"""What the training configurations of a bundle name: volumes of a data list, and a stage that trains on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from monai.data import Dataset
from monai.transforms import Compose

from monai_semgan.data.cache import entry_item
from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.data.slice_set import SliceSet, build_slice_set
from monai_semgan.errors import SemganError
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.datasets import RunData, hide_labels
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.loop import LoopSettings, StageResult
from monai_semgan.training.engine.run_files import STAGES
from monai_semgan.training.engine.schedule import Schedule, parse_duration
from monai_semgan.training.run import TrainRequest, run_stage, settings_class
from monai_semgan.utils.progress import NullProgress, Progress


def list_volumes(dataset_dir: str | Path, section: str, name: str = "datalist.json") -> list[dict[str, str]]:
    """Entries of a MONAI data list that lies in the data folder, with absolute file names.

    Args:
        dataset_dir: folder with the data list, or the data list itself.
        section: `training`, `validation` or `test`.
        name: of the data list in the folder.

    Raises:
        SemganError: if there is no folder or list, or the list cannot be used; the message names the config id.
    """
    path = Path(dataset_dir).expanduser()
    path = path / name if path.is_dir() else path
    if not path.is_file():
        remedy = f"give --dataset_dir a folder that holds {name}, or a data list"
        raise SemganError("dataset_dir: no data list there", remedy=remedy, path=path)
    entries: Sequence[Entry] = getattr(load_datalist(path), section)
    absolute = [replace(e, image=e.image.resolve(), label=e.label.resolve() if e.label else None) for e in entries]
    return [{**entry_item(entry), "patient": entry.patient} for entry in absolute]


class VolumeDataset(Dataset):
    """Volumes of a data list as MONAI's data sets are: an item is one volume's slices.

    Args:
        data: `{"image": file, "label": file}`; `label`, `patient` and `modality` may be left out.
        transform: from files to 8-bit slices; it is part of the cache's key.
        preprocessing: how slices are cut and scaled.
        cache_dir: folder that keeps the slices, or None.
        section: name of the list, for messages.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Compose,
        preprocessing: Preprocessing,
        cache_dir: str | Path | None = None,
        section: str = "train",
    ) -> None:
        super().__init__(data or [], transform)
        self.preprocessing = preprocessing
        self.cache_dir, self.section = cache_dir, section

    def slices(self, progress: Progress | None = None) -> SliceSet | None:
        """All slices through the cache; None when the list is empty.

        Raises:
            SemganError: if a file is missing or cannot be used.
        """
        entries = [self._entry(item) for item in self.data]
        if not entries:
            return None
        return build_slice_set(entries, self.preprocessing, self.cache_dir, progress, self.transform)

    def _entry(self, item: Mapping[str, Any]) -> Entry:
        if not item.get("image"):
            problem = f"{self.section}#dataset#data: an entry has no image"
            raise SemganError(problem, remedy='write {"image": ..., "label": ...}')
        label = Path(item["label"]) if item.get("label") else None
        image = Path(item["image"])
        return Entry(image, label, str(item.get("patient") or image.name.split(".")[0]), item.get("modality"))


class StageTraining:
    """One stage of training as a bundle's configuration describes it; `run` is what `semgan train` does.

    Nothing is read before `run`. The folder of the run has the layout of `semgan train`, and goes on where it was
    stopped.

    Args:
        stage: `gan`, `encoder` or `student`.
        dataset: training volumes.
        output_dir: folder of the run.
        device: where to train.
        max_epochs: number of epochs.
        validation: labelled volumes to score on, or None.
        settings: fields of the stage's settings that are not the default's.
        epoch_length: steps of an epoch; one pass over the slices when left out.
        budget: most time, such as `25m`, or None.
        weights: files or folders to begin with; those that do not exist are left out when `weights_required` is off.
        weights_required: whether every one of `weights` must exist, unless the run holds a generator already.
        labelled: how many volumes keep their label; -1 for all.
        seed: seed of everything random.
        resume: go on with a run in `output_dir`.
        mixed_precision: bfloat16 where the device is fast with it.
        loop: fields of `LoopSettings` that are not the default's.
        train_handlers: handlers of MONAI or ignite, as for MONAI's trainers.
        inferer: how the network is run in training; stages do that themselves, the entry is for tools that ask.

    Raises:
        SemganError: if a setting is unknown.
    """

    def __init__(
        self,
        stage: str,
        dataset: VolumeDataset,
        output_dir: str | Path,
        device: Any,
        max_epochs: int,
        *,
        validation: VolumeDataset | None = None,
        settings: Mapping[str, Any] | None = None,
        epoch_length: int | None = None,
        budget: str | float | None = None,
        weights: Sequence[str | Path] = (),
        weights_required: bool = False,
        labelled: int = -1,
        seed: int = 0,
        resume: bool = True,
        mixed_precision: bool = True,
        loop: Mapping[str, Any] | None = None,
        train_handlers: Sequence[Any] = (),
        inferer: Any = None,
    ) -> None:
        if stage not in STAGES:
            raise SemganError(f"train#trainer#stage: unknown stage {stage!r}", remedy=f"use {', '.join(STAGES)}")
        if int(max_epochs) < 1:
            raise SemganError(f"max_epochs: {max_epochs} is too few", remedy="give --max_epochs 1 or more")
        self.stage, self.dataset, self.validation = stage, dataset, validation
        self.output_dir, self.device = Path(output_dir), device
        self.max_epochs, self.epoch_length, self.budget = int(max_epochs), epoch_length, budget
        self.settings = _settings(stage, settings or {})
        self.weights, self.weights_required = [Path(source) for source in weights], weights_required
        self.labelled, self.seed, self.resume, self.mixed_precision = labelled, seed, resume, mixed_precision
        self.loop, self.handlers, self.inferer = dict(loop or {}), tuple(train_handlers), inferer
        self.result: StageResult | None = None

    def run(self) -> StageResult:
        """Prepare the slices and train to the end of the schedule.

        Raises:
            SemganError: on anything that the user can mend.
        """
        workers = Workers(Workers.local_device(torch.device(self.device)))
        try:
            data = self._data(workers, NullProgress())
            steps = self.max_epochs * (self.epoch_length or self._pass(data, workers))
            seconds = parse_duration(self.budget) if self.budget is not None else None
            loop = LoopSettings(**{**self.loop, "epochs": self.max_epochs})
            request = self._request(data.training.preprocessing)
            schedule, handlers = Schedule(steps, seconds), self.handlers
            self.result = run_stage(
                self.stage, self.settings, data, request, schedule, loop, workers, NullProgress(), handlers
            )
        finally:
            workers.close()
        return self.result

    def _data(self, workers: Workers, progress: Progress) -> RunData:
        """The slices; the first process fills the cache before the others read it."""
        if not workers.is_main:
            workers.wait()
        training = self.dataset.slices(progress)
        validation = self.validation.slices(progress) if self.validation is not None else None
        if workers.is_main:
            workers.wait()
        if training is None:
            remedy = "give --dataset_dir a data list with training volumes"
            raise SemganError("train#dataset#data: there are no training volumes", remedy=remedy)
        if self.labelled >= 0:
            training = hide_labels(training, self.labelled)
        if len(training.labelled_indices) == 0 and self.stage != "encoder":
            problem = f"train#dataset#data: no training volume has a label, the {self.stage} needs some"
            raise SemganError(problem, remedy='add "label" to entries of the data list')
        if validation is not None and len(validation.labelled_indices) < len(validation):
            problem = "validate#dataset#data: a volume has no label"
            raise SemganError(problem, remedy='add its "label" to the data list or leave the volume out')
        return RunData(training, validation)

    def _pass(self, data: RunData, workers: Workers) -> int:
        """Steps of one pass over the slices by all processes."""
        return max(1, -(-len(data.training) // (self.settings.batch_size * workers.size)))

    def _request(self, preprocessing: Preprocessing) -> TrainRequest:
        missing = [source for source in self.weights if not source.exists()]
        own = any((self.output_dir / STAGES[0]).glob("weights*.pt"))
        if missing and self.weights_required and not own:
            remedy = "train the stage before this one, or give --generator_weights"
            raise SemganError("generator_weights: no such file", remedy=remedy, path=missing[0])
        return TrainRequest(
            datalist=Path(),
            out=self.output_dir,
            size=preprocessing.size,
            labelled=self.labelled,
            seed=self.seed,
            num_classes=preprocessing.num_classes,
            pixel_mm=preprocessing.pixel_mm,
            init=tuple(source for source in self.weights if source.exists()),
            resume=self.resume,
            mixed_precision=self.mixed_precision,
            options={},
        )


def _settings(stage: str, chosen: Mapping[str, Any]) -> Any:
    kind = settings_class(stage)
    known = [field.name for field in dataclasses.fields(kind)]
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise SemganError(f"settings#{unknown[0]}: unknown setting", remedy=f"known are {', '.join(sorted(known))}")
    return kind(**chosen)
