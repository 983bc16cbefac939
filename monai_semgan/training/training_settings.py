"""All settings of a training run in one object, which travels unchanged from the caller to the loop."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from monai_semgan.data.splits import Fold
from monai_semgan.errors import SemganError
from monai_semgan.training.engine.loop import LoopSettings
from monai_semgan.training.engine.schedule import Schedule, parse_duration
from monai_semgan.utils.settings import check_ranges, checked, current_names, field_names, make_settings

T = TypeVar("T", bound="TrainSettings")


@checked
@dataclass(frozen=True)
class TrainSettings(LoopSettings):
    """How a run is trained; the fields of `LoopSettings` (checkpoints, validations, slot) belong to it.

    What is left out of size, spacing, window, percentiles and classes comes from the run that is resumed, from packed
    slices, or from the data list; at last there are defaults (see `Preprocessing`).

    Args:
        budget: time budget such as `25m`; stage `all` divides it among the stages.
        steps: number of steps of each stage; with both, the first end counts.
        size: side of a slice in pixels.
        pixel_mm: pixel spacing of the slices in mm.
        window: HU that become -1 and 1 in CT.
        percentiles: percentiles of the body that become -1 and 1 in MR.
        plane: in which volumes are cut, `axial` or `stored`; `auto` leaves it to the plan.
        num_classes: classes with the background; higher label ids become background, which is told.
        labels: structure names by id in label files, in the order of the classes; or names alone, whose ids the data
            list tells, or which are 1, 2, ... All other ids become background, which is told.
        labelled: how many training volumes keep their label; -1 for all.
        fold: `2/5` holds out the second of five equal parts of the labelled training patients to score on. Left out, a
            share of them is held out where the data list names no validation (see `monai_semgan.data.splits`).
        seed: seed of everything random.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        init: weights to begin with: files or folders, such as another run.
        from_run: folder of a run to begin with: its weights, and its settings where none are given; what it was trained
            on is remembered.
        resume: continue a run that was stopped or killed; starts one when there is none.
        more_labels: resume although training patients have a label that had none.
        plan: look at the data first where the run has no plan, as `semgan train` does: what is left out comes from
            them, and `plan.html` shows them. A plan that is there is gone by in any case.
        batch_size: images per step and process; that of the plan, or of the stage.
        mixed_precision: bfloat16 where the device is fast with it.
        options: settings of the stages, see `GanSettings`, `EncoderSettings`, `StudentSettings`; with the stage's name
            before it (`gan_channels`) a setting is that stage's alone.

    Raises:
        SemganError: if a value makes no sense.
    """

    budget: str | float | None = None
    steps: int | None = None
    size: int | None = None
    pixel_mm: float | None = None
    window: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None
    plane: Literal["auto", "axial", "stored"] | None = None
    num_classes: int | None = None
    labels: Mapping[int, str] | Sequence[str] | None = None
    labelled: int = -1
    fold: str | None = None
    seed: int = 0
    device: str | torch.device = "auto"
    init: str | Path | Sequence[str | Path] | None = None
    from_run: str | Path | None = None
    resume: bool = False
    more_labels: bool = False
    plan: bool = False
    batch_size: int | None = None
    mixed_precision: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, counts=("size", "batch_size", "num_classes"), positive=("pixel_mm",), not_negative=("seed",))
        if self.fold is not None:
            Fold.parse(self.fold)
        if self.labelled < -1:
            raise SemganError(f"the setting labelled cannot be {self.labelled}", remedy="give a number, or -1 for all")
        if self.plane == "auto":
            object.__setattr__(self, "plane", None)
        for name in ("window", "percentiles"):
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if value is not None else None)

    @classmethod
    def gather(cls: type[T], values: Mapping[str, Any]) -> T:
        """Make settings from one flat mapping: names that are none of the fields are `options` of the stages.

        Raises:
            SemganError: if a value is of a wrong type or makes no sense.
        """
        values, known = current_names(cls, values), set(field_names(cls))
        own = {name: value for name, value in values.items() if name in known}
        options = {name: value for name, value in values.items() if name not in known}
        return make_settings(cls, {**own, "options": {**own.get("options", {}), **options}})

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files and folders to begin with: `from_run`, then those of `init`."""
        found = (self.init,) if isinstance(self.init, (str, Path)) else tuple(self.init or ())
        earlier = () if self.from_run is None else (self.from_run,)
        return tuple(Path(source) for source in (*earlier, *found))

    @property
    def stage_options(self) -> dict[str, Any]:
        """The settings for stages, with the batch size that all share."""
        return {**self.options, **({} if self.batch_size is None else {"batch_size": self.batch_size})}

    def schedule(self) -> Schedule:
        """When a stage ends."""
        return Schedule(self.steps, None if self.budget is None else parse_duration(self.budget))

    def with_share(self, share: float) -> TrainSettings:
        """The same with a share of the time budget."""
        return self if self.budget is None else replace(self, budget=parse_duration(self.budget) * share)


def from_old_keywords(settings: TrainSettings | None, keywords: Mapping[str, Any]) -> TrainSettings:
    """The settings, also where they are given as keywords one by one, as before 0.2.

    Raises:
        SemganError: if they are given in both ways, or make no sense.
    """
    if not keywords:
        return settings or TrainSettings()
    first = next(iter(keywords))
    if settings is not None:
        raise SemganError(f"unknown argument {first!r}", remedy=f"give TrainSettings({first}=...) or its options")
    message = f"train({first}=...) is old: give settings=TrainSettings({first}=...), or {first} among its options"
    warnings.warn(message, FutureWarning, stacklevel=3)
    return TrainSettings.gather(keywords)
