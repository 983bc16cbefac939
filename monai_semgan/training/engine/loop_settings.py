"""How often things happen around the steps of a stage, and how a stage ended."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from monai_semgan.training.engine.schedule import Clock, parse_duration
from monai_semgan.utils.settings import check_ranges, checked


@checked
@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """How often things happen around the steps.

    Args:
        checkpoint_seconds: most seconds between two checkpoints; a kill loses no more than that.
        checkpoint_steps: most steps between two checkpoints, or None.
        validations: parts into which the stage is cut by validations and sheets; the last is at the end, on all slices.
        log_every: steps between two readings of the losses.
        slot: time, such as `9m` or seconds, after which this process stops cleanly, to be resumed in another, or None;
            preparation, and all stages and folds, are within it.
        tensorboard: write TensorBoard files.
        clock: what the time budget is measured by: `wall`, or `processor`, the time of this process's processors
            divided by its threads, which other programs on the machine do not use up.
        epochs: epochs into which the steps are cut for handlers that count in epochs.
    """

    checkpoint_seconds: float = 60.0
    checkpoint_steps: int | None = None
    validations: int = 8
    log_every: int = 20
    slot: str | float | None = None
    tensorboard: bool = True
    epochs: int = 1
    clock: Clock = "wall"

    def __post_init__(self) -> None:
        if self.slot is not None:
            object.__setattr__(self, "slot", parse_duration(self.slot))
        counts = ("checkpoint_steps", "validations", "log_every", "epochs")
        check_ranges(self, counts=counts, not_negative=("checkpoint_seconds",))

    @property
    def slot_seconds(self) -> float | None:
        """The slot in seconds."""
        return None if self.slot is None else parse_duration(self.slot)


@dataclasses.dataclass
class StageResult:
    """How a stage ended.

    Attributes:
        stage: its name.
        folder: where its files are.
        steps: optimisation steps done, of all processes that worked on it.
        seconds: seconds of training.
        images: images trained on.
        finished: whether the schedule came to its end.
        cancelled: whether a person stopped it.
        metrics: figures of the last validation.
    """

    stage: str
    folder: Path
    steps: int
    seconds: float
    images: int
    finished: bool
    cancelled: bool
    metrics: dict[str, float]
