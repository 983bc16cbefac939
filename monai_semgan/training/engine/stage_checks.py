"""Validation and pictures of a stage, and the time that they may take and have taken."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_semgan.errors import Cancelled
from monai_semgan.training.engine.record import dice_scores
from monai_semgan.training.image_grids import write_png
from monai_semgan.training.run_page.run_writing import WORST
from monai_semgan.training.stages.stage import Stage
from monai_semgan.utils.json_text import nan_where_null

SCORES_SHARE = 0.6
"""Of the time for a check; the rest is for pictures."""

logger = logging.getLogger(__name__)


class StageChecks:
    """Check a stage now and then, within its share of the time.

    Args:
        stage: that is checked.
        folder: of the stage, for pictures.

    Attributes:
        metrics: figures of the last check that was not skipped.
        history: figures of all checks, with step, images and slices that were looked at.
        seconds: spent on `checks` and on `pictures`.
        complete: whether the last check, at the end of the schedule, has been made.
    """

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.metrics: dict[str, float] = {}
        self.history: list[dict[str, float]] = []
        self.seconds = {"checks": 0.0, "pictures": 0.0}
        self.complete = False
        self._between: list[float] = []
        self._picture_seconds = 0.0

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what a checkpoint or a record holds; those of before 0.3 tell one time for both."""
        self.metrics = dict(nan_where_null(state.get("metrics", {})))
        self.history = list(nan_where_null(state.get("history", [])))
        spent = state.get("seconds_by_kind") or {}
        whole = float(state.get("checked", state.get("check_seconds", 0.0)))
        self.seconds = {"checks": float(spent.get("checks", whole)), "pictures": float(spent.get("pictures", 0.0))}
        self.complete = bool(state.get("validated", True))

    @property
    def spent(self) -> float:
        """Seconds spent on checks and pictures."""
        return sum(self.seconds.values())

    @property
    def shown(self) -> dict[str, float]:
        """Last and best Dice of the validation, for a display; empty before the first."""
        found = dice_scores(self.history)
        return {"dice": found[-1], "best": max(found)} if found else {}

    def allowed(self, trained: float, final: bool) -> float:
        """Seconds that a check may take; those before the end leave half of the checks' time to the last one.

        Args:
            trained: seconds of training so far.
            final: whether it is the last one.
        """
        share = self.stage.check_share
        if share == 0:
            return math.inf
        return max(0.0, trained / (1.0 - share) * (share if final else 0.5 * share) - self.spent)

    def expected(self, left: int) -> float:
        """Seconds that so many checks before the end, and the last one, will take as far as it is known."""
        each = sum(self._between) / len(self._between) if self._between else 0.0
        return left * each + max(each, self.stage.final_check_seconds())

    @contextlib.contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Count the time spent inside as `checks` or `pictures`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[kind] += time.monotonic() - started

    def run(self, step: int, trained: float, final: bool, writer: Any = None) -> bool:
        """Score the stage and make its pictures.

        Args:
            step: steps done.
            trained: seconds of training.
            final: whether the schedule has come to its end.
            writer: of TensorBoard files, or None.

        Returns:
            Whether it was made; False when someone waits for the end of the run, or there is no time left for it.
        """
        started, allowed = time.monotonic(), self.allowed(trained, final)
        if not final and self._between and allowed <= 0:
            return False
        self.stage.check_seconds = SCORES_SHARE * allowed
        try:
            with self.timed("checks"):
                self._score(step, final, writer)
            if final or self.allowed(trained, final) > self._picture_seconds:
                before = self.seconds["pictures"]
                with self.timed("pictures"):
                    self._draw(step, writer)
                self._picture_seconds = self.seconds["pictures"] - before
        except Cancelled:
            return False
        if final:
            self.complete = True
        else:
            self._between.append(time.monotonic() - started)
        return True

    def _score(self, step: int, final: bool, writer: Any) -> None:
        found = self.stage.evaluate(final)
        if not found:
            return
        self.metrics = found
        counts = {"step": step, "images": self.stage.images_seen(step)}
        slices = self.stage.details().get("validation_slices")
        self.history.append({**counts, **({"slices": slices} if slices else {}), **found})
        logger.info("%s at step %d: %s", self.stage.name, step, found)
        for name, value in found.items() if writer is not None else ():
            writer.add_scalar(f"validation/{name}", value, step)

    def _draw(self, step: int, writer: Any) -> None:
        self.stage.check_stop()
        sheet, worst = self.stage.image_grid(), self.stage.worst_slices()
        write_png(self.folder / "sheets" / f"step_{step:08d}.png", sheet)
        if worst is not None:
            write_png(self.folder / WORST, worst)
        if writer is not None:
            writer.add_image("sheet", sheet, step, dataformats="HWC")
