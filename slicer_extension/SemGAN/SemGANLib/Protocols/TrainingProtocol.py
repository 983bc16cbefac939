"""What the panel needs to let a server learn from labels: plain data that it shows, and what it may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..Signal import Signal
from ..Types.TrainingTypes import (
    ModelVersions,
    TrainingJob,
    TrainingLabels,
    TrainingRequest,
)


@dataclass(frozen=True)
class Learning:
    """Where learning at the server stands.

    Attributes:
        available: the server can learn; None until it has said so.
        labels: what can be learnt from; None before it was asked.
        versions: of the chosen model; None before it was asked.
        training: that is under way, or the last one that was followed; None if there was none.
        text: where it stands, or how it ended; empty if there is nothing to say.
        fraction: 0 to 1; None while it cannot be told.
    """

    available: bool | None = None
    labels: TrainingLabels | None = None
    versions: ModelVersions | None = None
    training: TrainingJob | None = None
    text: str = ""
    fraction: float | None = None

    @property
    def active(self) -> bool:
        """Whether a training is under way: it can be cancelled, and no other one begins."""
        return self.training is not None and not self.training.ended


class TrainingLogic(Protocol):
    """Learning at the server that the module is connected to. All is called in the main thread and returns at once.

    What is in the way of a call comes as `message` of the logic, as for all others.
    """

    changed: Signal
    """Emits the `Learning`."""

    @property
    def state(self) -> Learning:
        """Where it stands."""

    def look(self, model: str) -> None:
        """Ask what can be learnt and which versions of a model there are; `changed` follows."""

    def train(self, request: TrainingRequest) -> None:
        """Begin a training, and follow it."""

    def cancel(self) -> None:
        """End the training that is under way; the model stays as it is."""

    def resume(self) -> None:
        """Let the last training go on, where it was interrupted or has failed."""

    def use_version(self, version: int) -> None:
        """Choose the version that runs use from now on; those under way keep theirs."""
