"""A run that begins with the weights of another, and with its settings (`--from RUN`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai_semgan.data.entries import names_of_ids
from monai_semgan.errors import SemganError
from monai_semgan.slicing.model_settings import ModelSettings, find_settings
from monai_semgan.training.engine.run_files import FOLDS, read_json, stage_folders
from monai_semgan.training.stages.stage_registry import find_stage
from monai_semgan.training.training_settings import TrainSettings
from monai_semgan.utils.settings import field_names

SLICES = ("size", "pixel_mm", "window", "percentiles", "plane")
"""Settings of slices that a run takes over."""


def with_earlier_run(settings: TrainSettings, out: Path, names: Sequence[str]) -> TrainSettings:
    """Take the settings of the run that `from_run` names; what the user has chosen stays.

    Args:
        settings: of the new run.
        out: its folder.
        names: of the stages that it trains.

    Raises:
        SemganError: if it is no run with weights, or the new run itself.
    """
    earlier = settings.from_run
    if earlier is None:
        return settings
    earlier = Path(earlier)
    folders = [folder for folder in stage_folders(earlier) if any(folder.glob("weights*.pt"))]
    if not folders:
        remedy = (
            "give one of its folds in --from" if (earlier / FOLDS).is_file() else "give the folder of a run in --from"
        )
        raise SemganError("is no run with weights", remedy=remedy, path=earlier)
    if earlier.resolve() == out.resolve():
        raise SemganError("cannot be trained from itself", remedy="give another --out, or --resume", path=out)
    chosen = _slice_settings(settings, find_settings(earlier))
    known = _stage_settings([folder for folder in folders if folder.name in names])
    options = {name: value for name, value in known.items() if not _given(name, settings)}
    return replace(settings, options={**options, **settings.options}, **chosen)


def _slice_settings(settings: TrainSettings, kept: ModelSettings | None) -> dict[str, Any]:
    if kept is None:
        return {}
    taken = {name: getattr(kept.preprocessing, name, None) for name in SLICES}
    chosen = {name: value for name, value in taken.items() if getattr(settings, name, None) is None}
    if settings.labels is None and settings.num_classes is None:
        if kept.labels:
            chosen["labels"] = names_of_ids(kept.preprocessing, kept.labels)
        else:
            chosen["num_classes"] = kept.preprocessing.num_classes
    return chosen


def _stage_settings(folders: list[Path]) -> dict[str, Any]:
    """Settings of the stages that a run has trained, each with the stage's name before it."""
    found: dict[str, Any] = {}
    for folder in folders:
        kept = read_json(folder / "record.json").get("settings", {})
        fields = field_names(find_stage(folder.name).settings)
        found |= {f"{folder.name}_{name}": kept[name] for name in fields if name in kept}
    return found


def _given(name: str, settings: TrainSettings) -> bool:
    """Whether the user has chosen a stage's setting, under its own name or one that all stages share."""
    short = name.split("_", 1)[1]
    return name in settings.options or short in settings.options or short == "batch_size"
