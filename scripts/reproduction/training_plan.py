"""The trainings that made a bundle, as its record tells them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_semgan.bundle.labels import RECORD, read_record
from monai_semgan.errors import SemganError

from .json_files import read_json

STAGES = ("gan", "encoder", "student")

OF_THE_SLICES = ("size", "pixel_mm", "num_classes", "window", "percentiles", "field_of_view", "label_ids", "patients")
"""Recorded with a training's settings, but chosen when the slices are packed."""


@dataclass(frozen=True)
class Training:
    """One training of a stage, as the record tells it.

    Attributes:
        stage: `gan`, `encoder` or `student`.
        settings: of the stage, and what all stages share.
        steps: how many; None for as long as the budget lasts.
        budget: time, where the record tells no steps.
        seconds: what it took on the record's machine; None if that is not known.
    """

    stage: str
    settings: Mapping[str, Any]
    steps: int | None
    budget: str | None = None
    seconds: float | None = None


def read_plan(bundle: Path, gan_budget: str) -> list[Training]:
    """The trainings that made a bundle, in the order in which they build on one another.

    Raises:
        SemganError: if its record tells of none.
    """
    content = read_record(bundle).get("training", [])
    records = [{"stage": k, **v} for k, v in content.items()] if isinstance(content, dict) else list(content)
    if not records:
        raise SemganError("tells of no training", remedy="name a bundle with a record", path=bundle / RECORD)
    shared = {k: v for k, v in records[-1]["settings"].items() if k in (*OF_THE_SLICES, "seed", "labelled")}
    if all(record["stage"] != "gan" for record in records):
        records.append({"stage": "gan", "settings": shared | gan_settings(bundle)})
    pieces = {stage: [record for record in records if record["stage"] == stage] for stage in STAGES}
    return [_whole(stage, found, gan_budget) for stage, found in pieces.items() if found]


def _whole(stage: str, pieces: Sequence[Mapping[str, Any]], budget: str) -> Training:
    """One training of as many images as several had together."""
    settings = pieces[-1]["settings"]
    images = sum(piece.get("images", 0) for piece in pieces)
    if not images:
        return Training(stage, settings, None, budget)
    steps = math.ceil(images / settings["batch_size"])
    return Training(stage, settings, steps, None, sum(piece.get("seconds") or 0.0 for piece in pieces) or None)


def gan_settings(bundle: Path) -> dict[str, Any]:
    """The settings of the bundle's configuration that trains the generator, with references to sections resolved."""
    path = bundle / "configs" / "train_gan.json"
    config = read_json(path) if path.exists() else {}
    found = {}
    for name, value in config.get("settings", {}).items():
        if isinstance(value, str) and value.startswith("@"):
            section, _, key = value[1:].partition("#")
            value = config[section][key]
        found[name] = value
    return found
