"""What the page of a run says: gathered from the records of its stages, and from the stage in hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.slicing.model_settings import ModelSettings, find_settings
from monai_semgan.training.engine.record import dice_scores, is_complete
from monai_semgan.training.engine.run_files import PLAN_PAGE, read_json, stage_folders
from monai_semgan.training.engine.schedule import Schedule
from monai_semgan.training.run_page.curves import COLOURS, Curve, Panel
from monai_semgan.utils.json_text import nan_where_null

TRAINING, STOPPED, FINISHED, FAILED = "training", "stopped", "finished", "failed"

MOST_ROWS = 60
"""Scans in a table: of more, the worst ones."""

BETWEEN_0_AND_1 = ("dice", "plausible")
"""Scores that begin so share the axes from 0 to 1."""


@dataclass(frozen=True)
class LiveStage:
    """The stage that a process is at.

    Args:
        record: as it will be written.
        state: one of `training`, `stopped`, `finished` and `failed`.
        share: of the schedule, in [0, 1].
        eta_seconds: until its end, checks included; None where it cannot be told.
        message: why it has failed.
    """

    record: Mapping[str, Any]
    state: str = TRAINING
    share: float = 0.0
    eta_seconds: float | None = None
    message: str = ""


@dataclass(frozen=True)
class StageContent:
    """What the page says of a stage.

    Args:
        name: of the stage.
        live: where it stands.
        figures: what is shown in a table: name and text.
        classes: names of the classes in the table of scores.
        rows: name of the scan and Dice by class, mean last; worst first.
        worst: captions of the worst slices.
        panels: curves.
    """

    name: str
    live: LiveStage
    figures: Mapping[str, str]
    classes: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float]]]
    worst: Sequence[str]
    panels: Sequence[Panel]


@dataclass(frozen=True)
class RunContent:
    """What the page says of a run.

    Args:
        name: of its folder.
        data: what was trained on: name and text.
        stages: in their order.
        has_plan: whether `plan.html` lies beside the page.
    """

    name: str
    data: Mapping[str, str] = field(default_factory=dict)
    stages: Sequence[StageContent] = ()
    has_plan: bool = False

    @property
    def training(self) -> bool:
        """Whether a stage is being trained."""
        return any(stage.live.state == TRAINING for stage in self.stages)


def run_content(run: Path, live: LiveStage | None = None) -> RunContent:
    """Gather what the page of a run says.

    Args:
        run: its folder.
        live: the stage in hand, which counts more than its record on disk.
    """
    records = {folder.name: read_json(folder / "record.json") for folder in stage_folders(run)}
    stages = {name: of_record(record) for name, record in records.items() if "step" in record}
    if live is not None:
        stages[str(live.record["stage"])] = live
    settings = _settings(run)
    latest = live or next(reversed(stages.values()), None)
    return RunContent(
        run.resolve().name,
        _data(latest.record.get("data", {}) if latest else {}, settings),
        [_stage(name, stage, settings) for name, stage in stages.items()],
        (run / PLAN_PAGE).is_file(),
    )


def of_record(record: Mapping[str, Any]) -> LiveStage:
    """A stage that nobody is at."""
    if record.get("finished"):
        return LiveStage(record, FINISHED if is_complete(record) else STOPPED, 1.0)
    end = record.get("schedule") or {}
    known = bool(end.get("steps") or end.get("budget"))
    share = Schedule(end.get("steps"), end.get("budget")).fraction(record["step"], record["seconds"]) if known else 0.0
    return LiveStage(record, STOPPED, share)


def duration(seconds: float | None) -> str:
    """Seconds in words, such as `1 h 05 min`."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _settings(run: Path) -> ModelSettings | None:
    try:
        return find_settings(run)
    except SemganError:  # a page must not end a training
        return None


def _data(data: Mapping[str, Any], settings: ModelSettings | None) -> dict[str, str]:
    if not data:
        return {}
    told = {
        "labelled": f"{_patients(data.get('labelled'))}, {data.get('labelled_slices', 0)} slices",
        "without label": _patients(data.get("unlabelled")),
        "validation": _patients(data.get("validation")),
        "slices": str(data.get("slices", 0)),
    }
    if settings is not None:
        cut = settings.preprocessing
        measure = f" of {cut.pixel_mm:g} mm" if cut.field_of_view == "body" else ""  # pictures have no millimetres
        told["cut to"] = f"{cut.size} x {cut.size} pixels{measure}"
        told["structures"] = ", ".join(settings.labels.values()) or f"{cut.num_classes - 1} without names"
        told["modality"] = ", ".join(settings.modality)
    return {name: text for name, text in told.items() if text}


def _patients(names: Sequence[str] | None) -> str:
    count = len(set(names or ()))
    return f"{count} patient{'' if count == 1 else 's'}"


def _stage(name: str, live: LiveStage, settings: ModelSettings | None) -> StageContent:
    record = live.record
    details, labels = record.get("details", {}), settings.labels if settings is not None else {}
    scores = nan_where_null(dict(details.get("validation_dice", {})))
    count = max((len(values) for values in scores.values()), default=0)
    classes = [labels.get(number, f"class {number}") for number in range(1, count + 1)]
    rows = [(scan, [*values, _mean(values)]) for scan, values in scores.items()]
    rows.sort(key=lambda row: (math.isnan(row[1][-1]), row[1][-1]))
    worst = [f"{one['scan']}, slice {one['slice']}: {one['dice']:.2f}" for one in details.get("worst_slices", ())]
    return StageContent(name, live, _figures(live), classes, rows[:MOST_ROWS], worst, _panels(name, record, labels))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _figures(live: LiveStage) -> dict[str, str]:
    record, details = live.record, live.record.get("details", {})
    metrics, history = nan_where_null(dict(record.get("metrics", {}))), record.get("history", ())
    told = {"steps": f"{record['step']} ({100 * live.share:.0f} % of the schedule)"}
    if live.state == TRAINING:
        told["time left"] = duration(live.eta_seconds)
    told["images per second"] = f"{record.get('images_per_s', 0.0):.1f}"
    told["time"] = _times(record)
    if "dice" in metrics:
        scores = dice_scores(history)
        best = f", best so far {max(scores):.3f}" if scores else ""
        slices = details.get("validation_slices")
        told["validation Dice"] = f"{metrics['dice']:.3f}{best}" + (f", on {slices} slices" if slices else "")
    if "frechet" in metrics:
        told["Frechet distance"] = f"{metrics['frechet']:.3f}, from {metrics.get('frechet_images', 0):.0f} images"
    plausible = details.get("plausible_pairs", metrics.get("plausible"))
    if plausible is not None:
        told["generated pairs that are plausible"] = f"{100 * plausible:.0f} %"
    tried = details.get("pairs")
    if tried is not None:
        told["generated pairs"] = "used" if tried["used"] else "left out"
        if tried["without"] is not None:
            dice = f"Dice {tried['with_pairs']:.3f} with them and {tried['without']:.3f} without"
            told["generated pairs"] += f", {dice} in a short trial"
    return told


def _times(record: Mapping[str, Any]) -> str:
    spent = record.get("seconds_by_kind") or {"training": record.get("seconds", 0.0)}
    return ", ".join(f"{name} {duration(seconds)}" for name, seconds in spent.items())


def _panels(name: str, record: Mapping[str, Any], labels: Mapping[int, str]) -> list[Panel]:
    """Losses, scores from 0 to 1, and a panel for every other score."""
    losses = _curves(record.get("losses", ()), lambda key: key)
    losses = {key: losses[key] for key in sorted(losses, key=lambda key: key != "loss")}  # the sum of all comes first
    scores = _curves(record.get("history", ()), lambda key: _named(key, labels))
    bounded = [curve for key, curve in scores.items() if key.startswith(BETWEEN_0_AND_1)]
    panels = [Panel(f"{name}: losses", "step", list(losses.values())[: len(COLOURS)])]
    panels.append(Panel(f"{name}: scores", "step", bounded[: len(COLOURS)], (0.0, 1.0)))
    others = {key: curve for key, curve in scores.items() if not key.startswith(BETWEEN_0_AND_1)}
    panels.extend(Panel(f"{name}: {key}", "step", [curve]) for key, curve in others.items())
    return panels


def _named(key: str, labels: Mapping[int, str]) -> str:
    number = key.removeprefix("dice_")
    return labels.get(int(number), f"class {number}") if key != number and number.isdigit() else key


def _curves(entries: Sequence[Mapping[str, Any]], named: Any) -> dict[str, Curve]:
    counts = ("step", "images", "seconds", "slices", "frechet_images")
    keys = dict.fromkeys(key for entry in entries for key in entry if key not in counts)
    found = {}
    for key in keys:
        points = [(entry["step"], entry[key]) for entry in entries if entry.get(key) is not None]
        found[key] = Curve(named(key), [x for x, _ in points], [y for _, y in points])
    return found
