"""The modes of a filled bundle, scored on the validation volumes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError

from .call_time import Deadline, Part
from .console import say
from .json_files import read_json
from .run_state import State

MODES = ("encoder", "preview", "invert", "refine")


class Scoring:
    """The figures of a filled bundle.

    Args:
        out: folder of everything that is made; the bundle is in it.
        data: data list.
        device: that segments.
        quick: a few steps of the search alone.
        part: time of this call.
        state: told the figures.
    """

    def __init__(self, out: Path, data: Path, device: str, quick: bool, part: Part, state: State) -> None:
        self._out, self._data, self._device, self._quick = out, data, device, quick
        self._part, self._state = part, state

    def evaluate(self, mode: str) -> None:
        """Score a mode on the validation volumes, going on after the patients that are scored already.

        Raises:
            Cancelled: if the part ends before that; the patients that are done are kept.
        """
        scores = self._out / "evaluation" / mode / "scores.json"
        scores.parent.mkdir(parents=True, exist_ok=True)
        if mode in self._state.content.get("dice", {}):
            return
        limit = self._part.left()
        say(f"scoring {mode}")
        from monai_semgan.bundle.load import load_bundle
        from monai_semgan.data.datalist import load_datalist
        from monai_semgan.evaluation.study import evaluate_bundle
        from monai_semgan.evaluation.tables import read_study, write_study
        from monai_semgan.utils.progress_bar import BarProgress

        started = time.perf_counter()
        entries = [entry for entry in load_datalist(self._data).validation if entry.label is not None]
        known = read_study(scores).scored if scores.exists() else ()
        options: dict[str, Any] = {"steps": 2, "with_distance": False} if self._quick else {}
        if mode == "preview":
            options.pop("steps", None)
        with Deadline(limit) as deadline, BarProgress(f"scoring {mode}", token=deadline) as progress:  # type: ignore[arg-type]
            study = evaluate_bundle(
                load_bundle(self._out / "bundle", self._device),
                entries,
                mode,
                known=known,
                after=lambda study: write_study(study, scores.parent),
                progress=progress,
                **options,
            )
        write_study(study, scores.parent)
        if study.missing:
            first = study.missing[0]
            raise SemganError(f"{first.title} could not be scored: {first.problem}", remedy="correct the data list")
        seconds = self._state.content.get("scoring_seconds", {}) | {mode: round(time.perf_counter() - started, 1)}
        dice = self._state.content.get("dice", {}) | {mode: {k: round(v, 4) for k, v in study.dice.items()}}
        self._state.update(dice=dice, scoring_seconds=seconds)

    def scores(self) -> dict[str, dict[str, Any]]:
        """The study of every mode, as JSON."""
        return {mode: read_json(self._out / "evaluation" / mode / "scores.json") for mode in MODES}
