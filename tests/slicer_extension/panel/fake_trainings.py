"""Trainings for the panel's tests: remember what they were asked, and stand as a test wants them to stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from SemGANLib.Protocols.TrainingProtocol import Learning
from SemGANLib.Runs.TrainingTexts import training_text
from SemGANLib.Signal import Signal
from SemGANLib.Types.TrainingTypes import TrainingJob, TrainingRequest


class FakeTrainings:
    """See `Protocols.TrainingProtocol.TrainingLogic`."""

    def __init__(self, asked: list[tuple[Any, ...]]) -> None:
        self.changed = Signal("Learning")
        self.state = Learning(available=True)
        self._asked = asked

    def stands(self, **changes: Any) -> None:
        """Behave as if learning had got on."""
        self.state = replace(self.state, **changes)
        self.changed.emit(self.state)

    def goes_on(self, training: TrainingJob) -> None:
        """Behave as if the server had told of a training."""
        fraction = training.step / training.steps if training.steps else None
        self.stands(training=training, text=training_text(training), fraction=fraction)

    def look(self, model: str) -> None:
        self._asked.append(("look", model))

    def train(self, request: TrainingRequest) -> None:
        self._asked.append(("train", request))

    def cancel(self) -> None:
        self._asked.append(("cancel_training",))

    def resume(self) -> None:
        self._asked.append(("resume_training",))

    def use_version(self, version: int) -> None:
        self._asked.append(("use_version", version))
