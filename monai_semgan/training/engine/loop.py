"""The loop around a stage: MONAI's trainer, schedule, checks, and when state and page of the run are written."""

from __future__ import annotations

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
from monai_semgan.training.engine.handlers import (
    IntervalHandler,
    MilestoneHandler,
    ProgressHandler,
    ScheduleHandler,
    board_handler,
)
from monai_semgan.training.engine.loop_settings import LoopSettings, StageResult
from monai_semgan.training.engine.record import is_complete
from monai_semgan.training.engine.schedule import CLOCKS, Schedule, Stopwatch
from monai_semgan.training.engine.seeds import step_seed
from monai_semgan.training.engine.stage_folder import StageFolder
from monai_semgan.training.engine.step_undo import StepUndo
from monai_semgan.training.engine.stop_request import StopRequest
from monai_semgan.training.run_page.run_content import FAILED, FINISHED, STOPPED, TRAINING, LiveStage
from monai_semgan.training.run_page.run_writing import write_run_page
from monai_semgan.training.stages.stage import Stage

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

__all__ = ["LoopSettings", "StageLoop", "StageResult"]

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
        self.stage, self.settings = stage, settings
        self.schedule = schedule.without(stage.check_share)
        self.folder = StageFolder(stage, folder, schedule, fingerprint, description)
        self.checks = self.folder.checks
        self.progress = progress
        self.start = 0
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
    def finished(self) -> bool:
        """Whether the schedule has come to its end before this process begins."""
        return self.schedule.done(self.start, self.watch.elapsed)

    def prepare(self, resume: bool) -> None:
        """Load the state of an earlier process, or make sure that there is none to overwrite.

        Raises:
            SemganError: if the folder holds a run and `resume` is not set, or its settings differ.
        """
        standing = self.folder.load(resume)
        self.start, self.watch = standing.step, self._stopwatch(standing.elapsed)
        self.fresh_optimisers = standing.fresh_optimisers
        self.stage.context.workers.share(self.stage.networks.values())
        self.stage.context.workers.share(average.network for average in self.stage.averages.values())

    def run(self) -> StageResult:
        """Train to the end of the schedule, or until stopped; the last checkpoint is written either way.

        Who stops it waits for the step in hand and the checkpoint alone, and of a step of many seconds not for its
        end: it is taken back. A last check that was left out for that is made when the run is resumed.
        """
        with StopRequest(self.progress, self.settings.slot_seconds) as stop:
            self._stop = stop
            self.stage.context.should_stop = lambda: stop.cancelled and not self._together
            warmup = self.start if self.fresh_optimisers else None
            schedule = ScheduleHandler(self.stage, self.schedule, self.watch, stop, warmup_from=warmup)
            settings = self.settings
            speed = ProgressHandler(
                self.progress, schedule, self.checks, settings.log_every, settings.validations, self.folder.losses
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
            self.folder.path,
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
            self.folder.refuse_divergence(step)
            if final is not None:
                self._evaluate(step, final)
            record = self._save(step, speed)
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
                self._writer = SummaryWriter(str(self.folder.path / "tb"), purge_step=self.start or None)
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
            raise self.folder.diverged(f"gradients of the {broken} are no numbers", step + 1)
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
        self._save(step, speed)
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
            finished = self.schedule.done(step, elapsed)
            record = self.folder.record(step, elapsed, finished, speed.images_per_second(step))
            share, eta = self.schedule.fraction(step, elapsed), speed.eta_seconds(step)
            write_run_page(self.folder.path.parent, LiveStage(record, state, share, eta, message))
        self._page_written = time.monotonic()

    def _save(self, step: int, speed: ProgressHandler) -> dict[str, Any]:
        elapsed = self.watch.elapsed
        finished = self.schedule.done(step, elapsed)
        return self.folder.save(step, elapsed, finished, speed.images_per_second(step))
