"""What the training configurations of a bundle name: volumes of a data list, and a stage that trains on them."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.data import Dataset
from monai.transforms import Compose

from monai_semgan.data.cache import entry_item, labelled_of
from monai_semgan.data.copies import copied_files
from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.data.slice_set import SliceSet
from monai_semgan.errors import SemganError
from monai_semgan.io.label_names import NAMES, names_from
from monai_semgan.slicing.planes import propose_plane
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.datasets import RunData, hide_labels, notes_on
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.loop import StageResult
from monai_semgan.training.engine.run_files import STAGES
from monai_semgan.training.engine.run_lock import locked_run
from monai_semgan.training.engine.schedule import Slot
from monai_semgan.training.list_plane import tell_plane
from monai_semgan.training.run import check_options, check_stage_size, run_stage, stage_settings
from monai_semgan.training.run_page.run_writing import write_run_page
from monai_semgan.training.run_plan import RunPlan
from monai_semgan.training.stages.stage_registry import stage_names
from monai_semgan.training.training_settings import TrainSettings
from monai_semgan.utils.device import select_device
from monai_semgan.utils.progress import NullProgress, Progress
from monai_semgan.utils.settings import GROUPED, check_ranges, checked, field_names, refuse_unknown

logger = logging.getLogger(__name__)


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
    listed = load_datalist(path)
    if section == "training":
        for note in (*listed.notes, *copied_files(listed, path)):
            logger.warning("%s", note)
    entries: Sequence[Entry] = getattr(listed, section)
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
        names = tuple((names_from(item.get(NAMES)) or {}).items())
        patient = str(item.get("patient") or image.name.split(".")[0])
        return Entry(image, label, patient, item.get("modality"), names, labelled=labelled_of(item))


@checked
@dataclasses.dataclass(frozen=True)
class StageTrainingSettings(TrainSettings):
    """`TrainSettings` for the configurations of a bundle, where the section `slices` tells how slices are cut.

    Args:
        epoch_length: steps of an epoch; one pass over the slices when left out.
        init_required: whether every one of `init` must exist, unless the run holds a generator already; otherwise
            those that do not exist are left out.

    Raises:
        SemganError: if a value makes no sense, or belongs into `slices`.
    """

    epoch_length: int | None = None
    init_required: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, counts=("epoch_length",))
        for name in ("size", "pixel_mm", "window", "percentiles", "plane", "num_classes", "labels"):
            if getattr(self, name) is not None:
                problem = f"the setting {name} of the training stands elsewhere in a bundle"
                raise SemganError(problem, remedy="set it in the section slices")


class StageTraining:
    """One stage of training as a bundle's configuration describes it; `run` is what `semgan train` does.

    Nothing is read before `run`. The folder of the run has the layout of `semgan train`, and goes on where it was
    stopped.

    Args:
        stage: `gan`, `encoder` or `student`.
        dataset: training volumes.
        output_dir: folder of the run.
        max_epochs: number of epochs.
        validation: labelled volumes to score on, or None.
        settings: fields of `StageTrainingSettings`, and those of the stage's settings among them or in `options`. In
            the section `loop` may stand what `LoopSettings` has. A run that is there goes on unless `resume` is off.
        train_handlers: handlers of MONAI or ignite, as for MONAI's trainers.
        inferer: how the network is run in training; stages do that themselves, the entry is for tools that ask.
        old: fields of `StageTrainingSettings` one by one, as in bundles of 0.1.

    Raises:
        SemganError: if a setting is unknown or makes no sense.
    """

    def __init__(
        self,
        stage: str,
        dataset: VolumeDataset,
        output_dir: str | Path,
        max_epochs: int,
        *,
        validation: VolumeDataset | None = None,
        settings: Mapping[str, Any] | None = None,
        train_handlers: Sequence[Any] = (),
        inferer: Any = None,
        **old: Any,
    ) -> None:
        if stage not in stage_names():
            raise SemganError(f"train#trainer#stage: unknown stage {stage!r}", remedy=f"use {', '.join(stage_names())}")
        if int(max_epochs) < 1:
            raise SemganError(f"max_epochs: {max_epochs} is too few", remedy="give --max_epochs 1 or more")
        self.stage, self.dataset, self.validation = stage, dataset, validation
        self.output_dir, self.max_epochs = Path(output_dir), int(max_epochs)
        self.settings = _training_settings(stage, settings or {}, old)
        self.handlers, self.inferer = tuple(train_handlers), inferer
        self.result: StageResult | None = None

    def run(self) -> StageResult:
        """Prepare the slices and train to the end of the schedule.

        Raises:
            SemganError: on anything that the user can mend.
        """
        own, slot = stage_settings(self.stage, self.settings.stage_options), Slot(self.settings.slot_seconds)
        check_stage_size(self.stage, self.dataset.preprocessing.size, own)
        device = self.settings.device
        chosen = select_device(device) if isinstance(device, str) else device
        workers = Workers(Workers.local_device(chosen))
        try:
            with locked_run(self.output_dir, workers):
                data = self._data(workers, NullProgress())
                steps = self.max_epochs * (self.settings.epoch_length or self._pass(data, workers))
                settings = replace(self.settings, steps=steps, epochs=self.max_epochs, init=self._sources())
                settings = replace(settings, slot=slot.left)
                handlers, progress = self.handlers, NullProgress()
                self.result = run_stage(self.stage, data, self.output_dir, settings, workers, progress, handlers)
                if workers.is_main:
                    write_run_page(self.output_dir)
        finally:
            workers.close()
        return self.result

    def _data(self, workers: Workers, progress: Progress) -> RunData:
        """The slices; the first process fills the cache before the others read it."""
        parts = (self.dataset, self.validation)
        slices = workers.first_then_others(
            lambda: [part.slices(progress) if part is not None else None for part in parts]
        )
        training, validation = slices
        if training is None:
            remedy = "give --dataset_dir a data list with training volumes"
            raise SemganError("train#dataset#data: there are no training volumes", remedy=remedy)
        plan = RunPlan(training.preprocessing, dict(training.entries[0].names), chosen=True)
        for note in notes_on(training, validation, plan):
            logger.warning("%s", note)
        if training.preprocessing.field_of_view != "image":
            places = [(geometry.source_affine, geometry.source_shape) for geometry in training.geometries]
            tell_plane(propose_plane(*zip(*places, strict=True)), training.preprocessing.plane)  # type: ignore[arg-type]
        if self.settings.labelled >= 0:
            training = hide_labels(training, self.settings.labelled)
        if len(training.labelled_indices) == 0 and self.stage != "encoder":
            problem = f"train#dataset#data: no training volume has a label, the {self.stage} needs some"
            raise SemganError(problem, remedy='add "label" to entries of the data list')
        if validation is not None and len(validation.labelled_indices) < len(validation):
            problem = "validate#dataset#data: a volume has no label"
            raise SemganError(problem, remedy='add its "label" to the data list or leave the volume out')
        scored = validation.patients if validation is not None else ()
        return RunData(training, validation, {"training": training.patients, "validation": scored})

    def _pass(self, data: RunData, workers: Workers) -> int:
        """Steps of one pass over the slices by all processes."""
        batch = stage_settings(self.stage, self.settings.stage_options).batch_size
        return max(1, -(-len(data.training) // (batch * workers.size)))

    def _sources(self) -> tuple[Path, ...]:
        """Weights to begin with."""
        missing = [source for source in self.settings.sources if not source.exists()]
        own = any((self.output_dir / STAGES[0]).glob("weights*.pt"))
        if missing and self.settings.init_required and not own:
            remedy = "train the stage before this one, or give --generator_weights"
            raise SemganError("generator_weights: no such file", remedy=remedy, path=missing[0])
        return tuple(source for source in self.settings.sources if source.exists())


def _training_settings(stage: str, settings: Mapping[str, Any], old: Mapping[str, Any]) -> StageTrainingSettings:
    """The settings of a section and of the keywords of 0.1, checked as far as that is possible without data."""
    if old:
        message = f"StageTraining({next(iter(old))}=...) is old: `semgan bundle update DIR` puts it into settings"
        warnings.warn(message, FutureWarning, stacklevel=3)
        refuse_unknown(old, {*field_names(StageTrainingSettings), *GROUPED["StageTraining"]}, "train#trainer#")
    values = {"resume": True, **settings, **old}
    found = StageTrainingSettings.gather({**values.pop("loop", {}), **values})
    check_options([stage], found, "settings#")
    stage_settings(stage, found.stage_options, "settings#")
    return found
