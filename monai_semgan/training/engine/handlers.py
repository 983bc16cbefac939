"""Ignite handlers that every stage shares: schedule, progress, checkpoints, validation, TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Engine, Events
from monai.handlers import TensorBoardStatsHandler

from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.loss_history import LossHistory
from monai_semgan.training.engine.schedule import Schedule, Stopwatch
from monai_semgan.training.engine.stage_checks import StageChecks
from monai_semgan.training.engine.stop_request import StopRequest
from monai_semgan.training.stages.stage import Stage
from monai_semgan.utils.progress import ETA

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from monai_semgan.utils.progress import Progress


class ScheduleHandler:
    """Set the learning rate before each step, and end the run on time on all processes at once.

    Args:
        stage: the stage that trains.
        schedule: its end.
        watch: time of training.
        stop: asked after each step.
        warmup_from: step from which the rate rises over `warmup_steps`, after a restart without optimiser state.
        warmup_steps: length of that rise.
    """

    def __init__(
        self,
        stage: Stage,
        schedule: Schedule,
        watch: Stopwatch,
        stop: StopRequest,
        warmup_from: int | None = None,
        warmup_steps: int = 100,
    ) -> None:
        self.stage, self.schedule, self.watch, self.stop = stage, schedule, watch, stop
        self.warmup_from, self.warmup_steps = warmup_from, warmup_steps
        self.elapsed = watch.elapsed
        self.stopped = False

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self.before_step)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.after_step)

    def fraction(self, step: int) -> float:
        """Progress after `step` steps, the same on all processes."""
        return self.schedule.fraction(step, self.elapsed)

    def before_step(self, engine: Engine) -> None:
        """Set the learning rates."""
        step = engine.state.iteration - 1
        scale = 1.0
        if self.warmup_from is not None:
            scale = min(1.0, (step - self.warmup_from + 1) / self.warmup_steps)
        self.stage.set_rate(self.fraction(step), scale)

    def after_step(self, engine: Engine) -> None:
        """Agree on the time and on the end."""
        self.elapsed, self.stopped = self.stage.context.workers.agree(self.watch.elapsed, bool(self.stop))
        last = engine.state.iteration >= engine.state.max_epochs * engine.state.epoch_length
        if not last and (self.stopped or self.schedule.done(engine.state.iteration, self.elapsed)):
            engine.terminate()  # the last epoch ends by itself, with the events that handlers wait for


class IntervalHandler:
    """Call something every so many seconds or steps, whichever comes first; on the first process only.

    Args:
        action: called with the number of finished steps.
        workers: the processes.
        seconds: time between two calls, or None.
        steps: steps between two calls, or None.
    """

    def __init__(
        self, action: Callable[[int], None], workers: Workers, seconds: float | None = None, steps: int | None = None
    ) -> None:
        self.action, self.workers, self.seconds, self.steps = action, workers, seconds, steps
        self._last = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        if self.workers.is_main:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._check)

    def _check(self, engine: Engine) -> None:
        step = engine.state.iteration
        if engine.should_terminate:  # the loop writes the last checkpoint
            return
        late = self.seconds is not None and time.monotonic() - self._last >= self.seconds
        if late or (self.steps is not None and step % self.steps == 0):
            self.action(step)
            self._last = time.monotonic()


class MilestoneHandler:
    """Call something at equal shares of the schedule (not at its end); on the first process only.

    Args:
        action: called with the number of finished steps.
        schedule: knows the progress.
        count: shares into which the schedule is cut.
    """

    def __init__(self, action: Callable[[int], None], schedule: ScheduleHandler, count: int) -> None:
        self.action, self.schedule, self.count = action, schedule, count
        self._reached: int | None = None

    def attach(self, engine: Engine) -> None:
        """Register with the trainer, after the schedule handler."""
        if self.schedule.stage.context.workers.is_main and self.count > 1:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._check)
            self._reached = int(self.schedule.fraction(engine.state.iteration) * self.count)

    def _check(self, engine: Engine) -> None:
        reached = int(self.schedule.fraction(engine.state.iteration) * self.count)
        if self._reached is not None and self._reached < reached < self.count and not self.schedule.stopped:
            self.action(engine.state.iteration)
        self._reached = reached


class ProgressHandler:
    """Tell the progress display where the stage stands, a few times a second at most, and keep the losses.

    Args:
        progress: the display.
        schedule: knows the progress.
        checks: know the last scores, and how long those to come will take.
        log_every: most steps between two readings of the losses (each reading waits for the GPU).
        milestones: parts into which checks cut the schedule.
        history: of losses.
    """

    def __init__(
        self,
        progress: Progress,
        schedule: ScheduleHandler,
        checks: StageChecks,
        log_every: int,
        milestones: int,
        history: LossHistory,
    ) -> None:
        self.progress, self.schedule, self.checks = progress, schedule, checks
        self.log_every, self.milestones, self.history = log_every, milestones, history
        self.losses: dict[str, float] = {}
        self.step = 0
        self._shown = 0.0
        self._first: tuple[int, float] | None = None

    def attach(self, engine: Engine) -> None:
        """Register with the trainer, after the schedule handler."""
        self.step = int(engine.state.iteration)
        self._first = (self.step, self.schedule.watch.elapsed)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)

    def images_per_second(self, step: int) -> float:
        """Speed of this process's share of the run, all processes together."""
        if self._first is None or step <= self._first[0]:
            return 0.0
        stage = self.schedule.stage
        images = stage.images_seen(step) - stage.images_seen(self._first[0])
        return images / max(1e-9, self.schedule.watch.elapsed - self._first[1])

    def eta_seconds(self, step: int) -> float | None:
        """Seconds to the end of the stage: training at the speed so far, checks and pictures; None at the start."""
        schedule, elapsed = self.schedule.schedule, self.schedule.watch.elapsed
        ends: list[float] = []
        if schedule.budget is not None:
            ends.append(schedule.budget - elapsed)
        if schedule.steps is not None and self._first is not None and step > self._first[0]:
            ends.append((schedule.steps - step) * (elapsed - self._first[1]) / (step - self._first[0]))
        if not ends:
            return None
        left = self.milestones - 1 - int(self.schedule.fraction(step) * self.milestones)
        return max(0.0, min(ends)) + self.checks.expected(max(0, left))

    def _update(self, engine: Engine) -> None:
        self.step = step = int(engine.state.iteration)
        now = time.monotonic()
        show = now - self._shown >= 0.3 or self.schedule.fraction(step) >= 1.0 or engine.should_terminate
        cheap = show and self.schedule.stage.context.device.type == "cpu"  # elsewhere reading waits for the device
        if cheap or step % self.log_every == 0 or not self.losses:
            self.losses = {name: float(value) for name, value in engine.state.output[0].items()}
            self.history.add(step, self.losses)
        if show:
            self._shown = now
            self._tell(step)

    def _tell(self, step: int) -> None:
        schedule = self.schedule.schedule
        if schedule.budget is None:
            done, total = step, schedule.steps or step
        else:
            total = round(schedule.budget)
            done = round(self.schedule.fraction(step) * total)
        eta = self.eta_seconds(step)
        values = {} if eta is None else {ETA: round(eta, 1)}
        values |= {**self.checks.shown, **self.losses, "step": step}
        speed = round(self.images_per_second(step), 1)
        with self.schedule.watch.paused():  # a parent process may hold the work up meanwhile
            self.progress.update(done, total, self.schedule.stage.name, **values, images_per_s=speed)


def board_handler(writer: SummaryWriter, stage: Stage, log_every: int) -> TensorBoardStatsHandler:
    """MONAI's TensorBoard handler for a stage's scalars and learning rates, against the step number."""

    def scalars(output: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
        rates = {f"rate/{name}": optimiser.param_groups[0]["lr"] for name, optimiser in stage.optimisers.items()}
        return {f"loss/{name}": value for name, value in output[0].items()} | rates

    return TensorBoardStatsHandler(
        summary_writer=writer, iteration_log=max(2, log_every), epoch_log=False, output_transform=scalars
    )
