"""The trainings that a server knows, in the order in which they were asked for. The owner holds its lock."""

from __future__ import annotations

from monai_semgan.jobs.job_errors import Forbidden, QueueFull, Unknown
from monai_semgan.jobs.ownership import Asker
from monai_semgan.jobs.train_contract import TrainState
from monai_semgan.jobs.training_entries import TrainingEntry

WAITING = 8
"""Trainings that have not ended; further ones are not taken."""

KEPT = 50
"""Ended trainings that are remembered."""


class TrainingBook:
    """Knows all trainings."""

    def __init__(self) -> None:
        self._entries: dict[str, TrainingEntry] = {}

    @property
    def entries(self) -> list[TrainingEntry]:
        """List all, the oldest first."""
        return list(self._entries.values())

    @property
    def active(self) -> list[TrainingEntry]:
        """List those that are being worked on, paused ones too."""
        return [entry for entry in self.entries if not entry.ended and entry.began is not None]

    def next_waiting(self) -> TrainingEntry | None:
        """Return the one whose turn is next; None if none waits."""
        return next((entry for entry in self.entries if entry.training.state is TrainState.queued), None)

    def add(self, entry: TrainingEntry) -> TrainingEntry:
        """Remember a training and return it."""
        self._entries[entry.training.id] = entry
        return entry

    def entry(self, training: str) -> TrainingEntry:
        """Return a training by its id.

        Raises:
            Unknown: there is none.
        """
        if training not in self._entries:
            raise Unknown("unknown training; it may have been forgotten")
        return self._entries[training]

    def owned(self, training: str, asker: Asker) -> TrainingEntry:
        """Return a training that the one who asks may change.

        Raises:
            Unknown: there is none.
            Forbidden: it is somebody else's.
        """
        entry = self.entry(training)
        if not asker.may_change(entry.record.owner):
            raise Forbidden("the training was started by somebody else, who alone may end it or let it go on")
        return entry

    def check_room(self) -> None:
        """Make sure that another training may wait.

        Raises:
            QueueFull: too many do.
        """
        if sum(not entry.ended for entry in self.entries) >= WAITING:
            raise QueueFull(f"{WAITING} trainings are waiting; try again later")

    def forget_old(self) -> list[str]:
        """Forget the oldest that have ended beyond those to be remembered, and return their ids."""
        ended = [entry.training.id for entry in self.entries if entry.ended]
        old = ended[: max(0, len(ended) - KEPT)]
        for training in old:
            del self._entries[training]
        return old
