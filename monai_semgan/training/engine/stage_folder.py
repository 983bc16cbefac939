"""What a stage leaves in its folder, weights, checkpoint and record, and how a later process takes it up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks.weights import save_atomically, with_prefix
from monai_semgan.training.engine import run_files as files
from monai_semgan.training.engine.loss_history import LossHistory
from monai_semgan.training.engine.schedule import Schedule
from monai_semgan.training.engine.stage_checks import StageChecks
from monai_semgan.training.stages.stage import Stage
from monai_semgan.utils.versions import machine, versions


@dataclasses.dataclass(frozen=True)
class Standing:
    """How far a stage has come.

    Attributes:
        step: steps done.
        elapsed: seconds of training.
        fresh_optimisers: whether the state of the optimisers is lost.
    """

    step: int = 0
    elapsed: float = 0.0
    fresh_optimisers: bool = False


class StageFolder:
    """Write the state of a stage, and read it back.

    Args:
        stage: what is trained.
        path: the folder.
        asked: the schedule as it was asked for; goes into the record.
        fingerprint: settings that must be the same when a run is resumed.
        description: further entries of the record (data, network).

    Attributes:
        checks: scores so far.
        losses: losses so far.
    """

    def __init__(
        self,
        stage: Stage,
        path: Path,
        asked: Schedule,
        fingerprint: Mapping[str, Any],
        description: Mapping[str, Any],
    ) -> None:
        self.stage, self.path, self.asked = stage, path, asked
        self.fingerprint, self.description = dict(fingerprint), dict(description)
        self.checks = StageChecks(stage, path)
        self.losses = LossHistory()

    @property
    def checkpoint_path(self) -> Path:
        """Full state of the stage."""
        return self.path / "checkpoint.pt"

    @property
    def record_path(self) -> Path:
        """What people and programs read of the stage."""
        return self.path / "record.json"

    def load(self, resume: bool) -> Standing:
        """Load the state of an earlier process, or make sure that there is none to overwrite.

        Returns:
            Where the stage goes on; its beginning if there is no such state.

        Raises:
            SemganError: if the folder holds a run and `resume` is not set, or its settings differ.
        """
        if not resume and (self.checkpoint_path.exists() or self.record_path.exists()):
            raise SemganError(
                f"already holds a {self.stage.name} run",
                remedy="add --resume, or choose another --out",
                path=self.path,
            )
        if self.checkpoint_path.exists():
            state = files.load_checkpoint(self.checkpoint_path)
            self._check_fingerprint(state["settings"])
            self.stage.load_state_dict(state["stage"])
            self._take_up(state)
            return Standing(int(state["step"]), float(state["elapsed"]))
        if self.record_path.exists():
            return self._load_weights(files.read_json(self.record_path))
        return Standing()

    def _load_weights(self, record: dict[str, Any]) -> Standing:
        """Continue from half-precision weight files when the full checkpoint did not travel with them."""
        if "step" not in record:
            raise SemganError("is no record of a run", remedy="delete the folder", path=self.record_path)
        self._check_fingerprint(record["settings"])
        self.stage.load_pretrained(files.gather_weights(self.path))
        self.stage.load_extra_state(record.get("extra", {}))
        self._take_up(record)
        return Standing(int(record["step"]), float(record["seconds"]), fresh_optimisers=True)

    def _take_up(self, state: Mapping[str, Any]) -> None:
        """Take scores and losses from a checkpoint or a record."""
        self.checks.load(state)
        self.losses = LossHistory(state.get("losses", ()))

    def _check_fingerprint(self, before: Mapping[str, Any]) -> None:
        for name, value in self.fingerprint.items():
            if name in before and before[name] != value:
                raise SemganError(
                    f"was started with {name} {before[name]!r}, not {value!r}",
                    remedy="resume with the same settings or choose another --out",
                    path=self.path,
                )

    def save(self, step: int, elapsed: float, finished: bool, speed: float) -> dict[str, Any]:
        """Write weights, checkpoint and record; arguments are those of `record`.

        Returns:
            The record.

        Raises:
            SemganError: see `refuse_divergence`.
        """
        self.refuse_divergence(step)
        for stem, prefixed in self.stage.parts().items():
            weights = {k: v for name, state in prefixed.items() for k, v in with_prefix(state, name).items()}
            files.save_weight_files(self.path, stem, weights)
        state = {"step": step, "elapsed": elapsed, "settings": self.fingerprint, "stage": self.stage.state_dict()}
        save_atomically(self.checkpoint_path, {**state, **self._told(elapsed), "checked": self.checks.spent})
        record = self.record(step, elapsed, finished, speed)
        files.write_json(self.record_path, record)
        return record

    def record(self, step: int, elapsed: float, finished: bool, speed: float) -> dict[str, Any]:
        """Tell how a stage was trained, in JSON's types.

        Args:
            step: steps done.
            elapsed: seconds of training.
            finished: whether the schedule has come to its end.
            speed: images per second.
        """
        context = self.stage.context
        return {
            "stage": self.stage.name,
            "step": step,
            "seconds": round(elapsed, 3),
            "images": self.stage.images_seen(step),
            "images_per_s": round(speed, 2),
            "finished": finished,
            "seed": context.seed,
            **self._told(elapsed),
            "schedule": dataclasses.asdict(self.asked),
            "check_seconds": round(self.checks.spent, 3),
            "settings": self.fingerprint,
            **self.description,
            "versions": versions(),
            "machine": machine(context.device, context.workers.size),
            "skipped_steps": self.stage.guard.skipped,
            "details": self.stage.details(),
            "extra": self.stage.extra_state(),
        }

    def _told(self, elapsed: float) -> dict[str, Any]:
        """What checkpoint and record tell of scores, losses and times."""
        spent = {"training": elapsed, **self.checks.seconds}
        if "preparation_seconds" in self.description:
            spent["preparation"] = self.description["preparation_seconds"]
        return {
            "metrics": self.checks.metrics,
            "history": self.checks.history,
            "losses": self.losses.entries,
            "seconds_by_kind": {name: round(seconds, 3) for name, seconds in spent.items()},
            "validated": self.checks.complete,
        }

    def refuse_divergence(self, step: int) -> None:
        """Raise before weights that are of no use replace good ones, on disk or as the end of the run.

        Raises:
            SemganError: if a weight is no number, or too large for the half precision of the files.
        """
        for name, network in [*self.stage.networks.items(), *((n, a.network) for n, a in self.stage.averages.items())]:
            for tensor in network.state_dict().values():
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor.half()).all()):
                    raise self.diverged(f"weights of the {name} are no numbers", step)

    def diverged(self, what: str, step: int) -> SemganError:
        """Say what is broken after so many steps, and which weights are left."""
        kept = files.read_json(self.record_path).get("step")
        remedy = "lower the learning_rate"
        remedy += f"; the weights of step {kept} are kept" if kept else " and start again"
        return SemganError(f"the training has diverged: {what} after {step} steps", remedy=remedy, path=self.path)
