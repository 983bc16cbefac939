"""Previews of many images of the server's datastore: begun here, computed there, followed until the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner, Task
from ..Server.Errors import ServerError
from ..Signal import Signal
from ..Translation import tr as _
from ..Types.DatastoreTypes import BatchStatus
from ..Views import ERROR, INFO, Batch

LOOK_SECONDS = 2.0

SHOWN_FAILURES = 5
"""Images that failed of which the reason is shown."""

LOST_TRIES = 30
"""Times that a server that does not answer is asked again."""


class Batches:
    """Follows the one batch of the server, whoever has begun it.

    Args:
        runner: runs requests in threads.
        tell: called with level and text.
    """

    def __init__(self, runner: Runner, tell: Callable[[str, str], None]) -> None:
        self.batch = Batch()
        self.changed = Signal("Batch")
        self._runner = runner
        self._tell = tell
        self._task: Task | None = None
        self._lost = 0

    def start(self, client: Client, images: Sequence[str] | None) -> None:
        """Have images previewed; all without a label unless they are named."""
        if images is not None and not images:
            self._tell(INFO, _("Choose images first."))
            return
        self._run(
            lambda: client.start_batch(images), lambda status: self._heard(client, status), self._refusing(client)
        )

    def stop(self, client: Client) -> None:
        """End the batch that runs."""
        self._run(client.stop_batch, lambda _status: self._look(client), self._refusing(client))

    def watch(self, client: Client) -> None:
        """Find out whether a batch runs at a server, and follow it; older servers are left alone."""
        self._show(Batch())
        self._run(client.batch, lambda status: self._found(client, status), lambda _error: None)

    def leave(self) -> None:
        """Follow nothing: the server was left. The batch goes on there."""
        self._drop()
        self._show(Batch())

    def _found(self, client: Client, status: BatchStatus | None) -> None:
        if status is not None and status.running:  # one that has ended before is no news
            self._heard(client, status)

    def _look(self, client: Client) -> None:
        self._run(
            client.batch,
            lambda status: self._heard(client, status or BatchStatus("STOPPED")),
            lambda error: self._not_answered(client, error),
        )

    def _heard(self, client: Client, status: BatchStatus) -> None:
        self._lost = 0
        self._show(_view(status))
        if status.running:
            self._later(client)

    def _refusing(self, client: Client) -> Callable[[Exception], None]:
        def refused(error: Exception) -> None:
            self._tell(ERROR, str(error))
            if self.batch.running:  # somebody else's goes on
                self._look(client)

        return refused

    def _not_answered(self, client: Client, error: Exception) -> None:
        self._lost += 1
        if isinstance(error, ServerError) and error.passing and self._lost <= LOST_TRIES:
            self._later(client)
        else:
            self._show(Batch(self.batch.done, self.batch.failed, self.batch.total, False, str(error)))

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        self._drop()
        self._task = self._runner.run(work, done, failed)

    def _later(self, client: Client) -> None:
        self._task = self._runner.later(LOOK_SECONDS, lambda: self._look(client))

    def _drop(self) -> None:
        if self._task is not None:
            self._task.drop()

    def _show(self, batch: Batch) -> None:
        if batch != self.batch:
            self.batch = batch
            self.changed.emit(batch)


def _view(status: BatchStatus) -> Batch:
    return Batch(status.done, status.failed, status.total, status.running, _text(status))


def _text(status: BatchStatus) -> str:
    if status.total is None and status.running:
        return _("The server counts its images")
    if status.total is None:
        return status.problem or _("Ended before the first image.")
    if not status.total and not status.running:
        return _("No image is without a label.")
    counted = _("{done} of {total} images").format(done=status.done, total=status.total)
    failed = ", " + _("{count} of them failed").format(count=status.failed) if status.failed else ""
    ends = {"DONE": _("Done"), "STOPPED": _("Stopped"), "ERROR": _("Ended by an error")}
    text = f"{ends.get(status.status, _('Running'))}: {counted}{failed}"
    text = f"{text}. {status.problem}" if status.problem else text
    return "\n".join([text, *_failures(status)])


def _failures(status: BatchStatus) -> list[str]:
    """Name images that failed, as many as there is room for."""
    lines = [f"{image}: {reason}" for image, reason in status.failures[:SHOWN_FAILURES]]
    more = status.failed - len(lines)
    return [*lines, _("and {count} more").format(count=more)] if lines and more > 0 else lines
