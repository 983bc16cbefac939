"""The loop around a stage: MONAI's trainer, schedule, checks, checkpoints, records, and the page of the run."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Events
from monai.engines import Trainer
from torch.utils.tensorboard import SummaryWriter

from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.networks.weights import load_weights, save_atomically, save_weights, with_prefix
from monai_semgan.training.engine import run_files as files
from monai_semgan.training.engine.handlers import (
    IntervalHandler,
    MilestoneHandler,
    ProgressHandler,
    ScheduleHandler,
    StopRequest,
    board_handler,
)
from monai_semgan.training.engine.loop_settings import LoopSettings, StageResult
from monai_semgan.training.engine.loss_history import LossHistory
from monai_semgan.training.engine.record import is_complete
from monai_semgan.training.engine.schedule import CLOCKS, Schedule, Stopwatch
from monai_semgan.training.engine.seeds import step_seed
from monai_semgan.training.engine.stage_checks import StageChecks
from monai_semgan.training.engine.step_undo import StepUndo
from monai_semgan.training.run_page.run_content import FAILED, FINISHED, STOPPED, TRAINING, LiveStage
from monai_semgan.training.run_page.run_writing import write_run_page
from monai_semgan.training.stages.stage import Stage
from monai_semgan.utils.versions import machine, versions

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

__all__ = ["LoopSettings", "StageLoop", "StageResult", "write_combined"]

PAGE_SECONDS = 10.0
"""Least time between two pages of the run that are written without a check."""


class StageLoop:
    """Train one stage in a folder, from the start or from where an earlier process was stopped.

    Args:
        stage: what to train.
        folder: the stage's folder in the run.
        schedule: when it ends.
        fingerprint: settings that must be the same when a run is resumed.
        description: further entries of the record (data, network).
        progress: display and cancel.
        settings: how often things happen.
        handlers: further handlers of MONAI or ignite for the trainer, on the first process only.
    """

    def __init__(
        self,
        stage: Stage,
        folder: Path,
        schedule: Schedule,
        fingerprint: Mapping[str, Any],
        description: Mapping[str, Any],
        progress: Progress,
        settings: LoopSettings,
        handlers: Sequence[Any] = (),
    ) -> None:
        self.handlers = tuple(handlers)
        self.stage, self.folder, self.settings = stage, folder, settings
        self.asked, self.schedule = schedule, schedule.without(stage.check_share)
        self.fingerprint, self.description = dict(fingerprint), dict(description)
        self.progress = progress
        self.start = 0
        self.checks = StageChecks(stage, folder)
        self.losses = LossHistory()
        self.watch = self._stopwatch()
        self.fresh_optimisers = False
        self._writer: Any = None
        self._page_written = 0.0
        self._undo = StepUndo(stage)
        self._stop: StopRequest | None = None
        self._together = False  # in a step that all processes have to make, or none

    def _stopwatch(self, elapsed: float = 0.0) -> Stopwatch:
        return Stopwatch(elapsed, CLOCKS[self.settings.clock])

    @property
    def checkpoint_path(self) -> Path:
        """Full state of the stage."""
        return self.folder / "checkpoint.pt"

    @property
    def finished(self) -> bool:
        """Whether the schedule has come to its end before this process begins."""
        return self.schedule.done(self.start, self.watch.elapsed)

    def prepare(self, resume: bool) -> None:
        """Load the state of an earlier process, or make sure that there is none to overwrite.

        Raises:
            SemganError: if the folder holds a run and `resume` is not set, or its settings differ.
        """
        record_path = self.folder / "record.json"
        if not resume and (self.checkpoint_path.exists() or record_path.exists()):
            raise SemganError(
                f"already holds a {self.stage.name} run",
                remedy="add --resume, or choose another --out",
                path=self.folder,
            )
        if self.checkpoint_path.exists():
            state = files.load_checkpoint(self.checkpoint_path)
            self._check_fingerprint(state["settings"])
            self.stage.load_state_dict(state["stage"])
            self._take_up(state["step"], state["elapsed"], state)
        elif record_path.exists():
            self._resume_from_weights(files.read_json(record_path))
        self.stage.context.workers.share(self.stage.networks.values())
        self.stage.context.workers.share(average.network for average in self.stage.averages.values())

    def _take_up(self, step: int, elapsed: float, state: Mapping[str, Any]) -> None:
        """Go on from a step; `state` is a checkpoint or a record."""
        self.start, self.watch = int(step), self._stopwatch(float(elapsed))
        self.checks.load(state)
        self.losses = LossHistory(state.get("losses", ()))

    def _resume_from_weights(self, content: dict[str, Any]) -> None:
        """Continue from half-precision weight files when the full checkpoint did not travel with them."""
        if "step" not in content:
            raise SemganError("is no record of a run", remedy="delete the folder", path=self.folder / "record.json")
        self._check_fingerprint(content["settings"])
        self.stage.load_pretrained(files.gather_weights(self.folder))
        self.stage.load_extra_state(content.get("extra", {}))
        self._take_up(content["step"], content["seconds"], content)
        self.fresh_optimisers = True

    def _check_fingerprint(self, before: Mapping[str, Any]) -> None:
        for name, value in self.fingerprint.items():
            if name in before and before[name] != value:
                raise SemganError(
                    f"was started with {name} {before[name]!r}, not {value!r}",
                    remedy="resume with the same settings or choose another --out",
                    path=self.folder,
                )

    def run(self) -> StageResult:
        """Train to the end of the schedule, or until stopped; the last checkpoint is written either way.

        Who stops it waits for the step in hand and the checkpoint alone, and of a step of many seconds not for its
        end: it is taken back. A last check that was left out for that is
        made when the run is resumed.
        """
        with StopRequest(self.progress, self.settings.slot_seconds) as stop:
            self._stop = stop
            self.stage.context.should_stop = lambda: stop.cancelled and not self._together
            warmup = self.start if self.fresh_optimisers else None
            schedule = ScheduleHandler(self.stage, self.schedule, self.watch, stop, warmup_from=warmup)
            settings = self.settings
            speed = ProgressHandler(
                self.progress, schedule, self.checks, settings.log_every, settings.validations, self.losses
            )
            try:
                return self._run(schedule, speed, stop)
            except SemganError as error:
                self._show(speed.step, speed, FAILED, str(error))
                raise

    def _run(self, schedule: ScheduleHandler, speed: ProgressHandler, stop: StopRequest) -> StageResult:
        workers = self.stage.context.workers
        done = self.schedule.done(self.start, self.watch.elapsed)
        step = self.start if done else self._train(schedule, speed)
        finished = self.schedule.done(step, schedule.elapsed)
        left_out = stop.cancelled or (done and self.checks.complete)
        workers.first(lambda: self._end(step, speed, None if left_out else finished))
        _, unchecked = workers.agree(0.0, workers.is_main and not self.checks.complete)
        return StageResult(
            self.stage.name,
            self.folder,
            step,
            schedule.elapsed,
            self.stage.images_seen(step),
            finished and not unchecked,
            stop.cancelled and (schedule.stopped or unchecked),
            dict(self.checks.metrics),
        )

    def _end(self, step: int, speed: ProgressHandler, final: bool | None) -> None:
        """Check, unless `final` is None, and write everything."""
        with self.watch.paused():
            self._refuse_divergence(step)
            if final is not None:
                self._evaluate(step, final)
            record = self._save(step, speed.images_per_second(step))
            self._show(step, speed, FINISHED if is_complete(record) else STOPPED)
            if self._writer is not None:
                self._writer.close()

    def _train(self, schedule: ScheduleHandler, speed: ProgressHandler) -> int:
        context = self.stage.context
        trainer = Trainer(
            device=context.device,
            max_epochs=self.settings.epochs,
            data_loader=itertools.count(self.start),
            epoch_length=(self.schedule.steps or 2**40) // self.settings.epochs,
            iteration_update=self._step,
            decollate=False,
        )
        trainer.logger.setLevel(logging.CRITICAL)  # what ends it is told once, by whoever runs the loop
        trainer.state.iteration = self.start
        trainer.state.epoch = self.start // trainer.state.epoch_length
        self.watch = schedule.watch = self._stopwatch(self.watch.elapsed)
        handlers: list[Any] = [schedule, speed]
        self.checks.complete = False
        if context.workers.is_main:
            if self.settings.tensorboard:
                self._writer = SummaryWriter(str(self.folder / "tb"), purge_step=self.start or None)
                handlers.append(board_handler(self._writer, self.stage, self.settings.log_every))
            validate, save = partial(self._validate, speed), partial(self._checkpoint, speed)
            handlers.append(MilestoneHandler(validate, schedule, self.settings.validations))
            seconds, steps = self.settings.checkpoint_seconds, self.settings.checkpoint_steps
            handlers.append(IntervalHandler(save, context.workers, seconds, steps))
            trainer.add_event_handler(Events.EPOCH_COMPLETED, self._publish)
            handlers.extend(self.handlers)
            self._show(self.start, speed)
        for handler in handlers:
            handler.attach(trainer)
        try:
            trainer.run()
        except Cancelled:  # before the step in hand has changed anything
            schedule.stopped = True
            return int(trainer.state.iteration) - 1
        return int(trainer.state.iteration)

    def _step(self, engine: Trainer, step: int) -> list[dict[str, torch.Tensor]]:
        """One step; its scalars as a list of one, the form that MONAI's handlers expect."""
        context = self.stage.context
        torch.manual_seed(step_seed(context.seed, context.workers.rank, step, "global"))
        self._together = context.workers.size > 1
        stop = None if self._together else self._stop
        losses = self.stage.step(step) if stop is None else self._undo.run(step, stop)
        self._together = False
        broken = self.stage.guard.broken()
        if broken:
            raise self._diverged(f"gradients of the {broken} are no numbers", step + 1)
        return [losses]

    def _publish(self, trainer: Trainer) -> None:
        """Show losses and scores to handlers that read the trainer's metrics."""
        losses = {name: float(value) for name, value in (trainer.state.output or [{}])[0].items()}
        trainer.state.metrics = losses | {f"validation_{name}": value for name, value in self.checks.metrics.items()}

    def _validate(self, speed: ProgressHandler, step: int) -> None:
        with self.watch.paused():
            if self._evaluate(step, False):
                self._show(step, speed)

    def _checkpoint(self, speed: ProgressHandler, step: int) -> None:
        self._save(step, speed.images_per_second(step))
        if time.monotonic() - self._page_written >= PAGE_SECONDS:
            with self.watch.paused():
                self._show(step, speed)

    def _evaluate(self, step: int, final: bool) -> bool:
        return self.checks.run(step, self.watch.elapsed, final, self._writer)

    def _show(self, step: int, speed: ProgressHandler, state: str = TRAINING, message: str = "") -> None:
        """Write the page of the run."""
        if not self.stage.context.workers.is_main:
            return
        with self.checks.timed("pictures"):
            elapsed = self.watch.elapsed
            record = self._record(step, elapsed, speed.images_per_second(step))
            share, eta = self.schedule.fraction(step, elapsed), speed.eta_seconds(step)
            write_run_page(self.folder.parent, LiveStage(record, state, share, eta, message))
        self._page_written = time.monotonic()

    def _refuse_divergence(self, step: int) -> None:
        """Raise before weights that are of no use replace good ones, on disk or as the end of the run.

        Raises:
            SemganError: if a weight is no number, or too large for the half precision of the files.
        """
        for name, network in [*self.stage.networks.items(), *((n, a.network) for n, a in self.stage.averages.items())]:
            for tensor in network.state_dict().values():
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor.half()).all()):
                    raise self._diverged(f"weights of the {name} are no numbers", step)

    def _diverged(self, what: str, step: int) -> SemganError:
        """Say what is broken, and which weights are left."""
        kept = files.read_json(self.folder / "record.json").get("step")
        remedy = "lower the learning_rate"
        remedy += f"; the weights of step {kept} are kept" if kept else " and start again"
        return SemganError(f"the training has diverged: {what} after {step} steps", remedy=remedy, path=self.folder)

    def _save(self, step: int, speed: float) -> dict[str, Any]:
        """Write weights, checkpoint and record, and return the record."""
        self._refuse_divergence(step)
        parts = self.stage.parts()
        elapsed = self.watch.elapsed
        for stem, prefixed in parts.items():
            weights = {k: v for name, state in prefixed.items() for k, v in with_prefix(state, name).items()}
            files.save_weight_files(self.folder, stem, weights)
        state = {"step": step, "elapsed": elapsed, "settings": self.fingerprint, "stage": self.stage.state_dict()}
        content = {**state, **self._told(elapsed), "checked": self.checks.spent}
        save_atomically(self.checkpoint_path, content)
        record = self._record(step, elapsed, speed)
        files.write_json(self.folder / "record.json", record)
        return record

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

    def _record(self, step: int, elapsed: float, speed: float) -> dict[str, Any]:
        context = self.stage.context
        return {
            "stage": self.stage.name,
            "step": step,
            "seconds": round(elapsed, 3),
            "images": self.stage.images_seen(step),
            "images_per_s": round(speed, 2),
            "finished": self.schedule.done(step, elapsed),
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


def write_combined(run: Path) -> Path | None:
    """Collect the averaged generator, encoder and student of a run into `model.pt`.

    Returns:
        The file, or None when no part exists yet.
    """
    weights: dict[str, torch.Tensor] = {}
    for folder in files.stage_folders(run):
        for path in sorted(folder.glob("weights*.pt")):
            weights.update(load_weights(path))
    if not weights:
        return None
    save_weights(run / "model.pt", weights, half=True)
    return run / "model.pt"
