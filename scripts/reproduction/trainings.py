"""The trainings of a plan, each a process that goes on where it was."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semgan.errors import Cancelled

from .call_time import Part, seconds_of
from .child import STOPPED, run_child
from .console import duration, say
from .json_files import read_json
from .run_state import State
from .training_plan import OF_THE_SLICES, Training

RUN = Path("runs/main")
"""Folder of the run, below OUT."""

OPTIONS = {"seed": "--seed", "labelled": "--labelled", "batch_size": "--batch-size"}
"""Recorded settings that have an option of `semgan train`; all others are given with `--set`."""


class Trainings:
    """The trainings of a plan, each followed until it is finished.

    Args:
        plan: the trainings in their order.
        out: folder of everything that is made.
        device: that trains.
        part: time of this call.
        state: told how far they are.
    """

    def __init__(self, plan: Sequence[Training], out: Path, device: str, part: Part, state: State) -> None:
        self._plan, self._out, self._device, self._part, self._state = plan, out, device, part, state

    def pending(self) -> list[Training]:
        """Trainings that have not come to their end."""
        return [training for training in self._plan if not self.record(training).get("finished")]

    def record(self, training: Training) -> dict[str, Any]:
        """What a training has left of itself."""
        path = self._out / RUN / training.stage / "record.json"
        return read_json(path) if path.exists() else {}

    def train(self, training: Training, slices: Path) -> None:
        """Go on with a training until it is finished.

        Raises:
            Cancelled: if it is not, in this part.
        """
        left = self._part.left()
        say(f"{training.stage}: {self._progress(training)}")
        slot = None if left is None else max(1.0, left - min(60.0, 0.15 * left))
        command = ["train", *train_arguments(training, self._out)]
        command += ["--data", str(slices), "--device", self._device, "--resume"]
        command += ["--slot", f"{slot:.0f}s"] if slot is not None else []
        code = run_child([sys.executable, "-m", "monai_semgan", *command], left)
        record = self.record(training)
        self._state.update(trainings={one.stage: brief(self.record(one)) for one in self._plan})
        if code not in (0, STOPPED):
            raise SystemExit(code)  # it has told why
        if not record.get("finished"):
            raise Cancelled

    def _progress(self, training: Training) -> str:
        """Where a training is and how long everything may still take, going by its speed or by the record's."""
        done = self.record(training)
        goal = f"{training.steps} steps" if training.steps else f"{training.budget}"
        where = f"{done['step']} steps are done of {goal}" if done.get("step") else f"{goal} to do"
        waits = [self._wait(one) for one in self.pending()]
        if training.steps is not None and waits[0] is None or None in waits:
            return where
        return f"{where}, about {duration(sum(wait or 0.0 for wait in waits))} of training left"

    def _wait(self, training: Training) -> float | None:
        """Seconds that a training may still take; None if nothing tells."""
        done = self.record(training)
        step, seconds = done.get("step", 0), float(done.get("seconds", 0.0))
        if training.steps is None:
            return max(0.0, seconds_of(training.budget or "0s") - seconds)
        if step:
            return (training.steps - step) * seconds / step
        if training.seconds is None:
            return None
        known = [one for one in self._plan if one.seconds and one.steps and self.record(one).get("step")]
        speed = [
            float(self.record(one)["seconds"]) / self.record(one)["step"] * (one.steps or 1) / (one.seconds or 1.0)
            for one in known
        ]
        return training.seconds * (speed[-1] if speed else 1.0)


def train_arguments(training: Training, out: Path) -> list[str]:
    """Arguments of `semgan train` for a training."""
    options = [training.stage, "--out", str(out / RUN)]
    for name, value in training.settings.items():
        if name in OF_THE_SLICES or (name == "labelled" and value == -1):
            continue
        named = name in OPTIONS
        options += [OPTIONS[name], str(value)] if named else ["--set", f"{name}={json.dumps(value)}"]
    for name, option in (("size", "--size"), ("pixel_mm", "--pixel-mm"), ("num_classes", "--classes")):
        options += [option, str(training.settings[name])] if name in training.settings else []
    options += ["--steps", str(training.steps)] if training.steps else []
    return options + (["--budget", training.budget] if training.budget else [])


def brief(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth telling of a training."""
    kept = ("step", "images", "seconds", "finished", "metrics")
    return {name: record[name] for name in kept if name in record}
