"""Labels that the archive behind a server does not have, and sending them again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Callable

from ..Protocols.ArchiveProtocol import Archive
from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner
from ..Server import Errors
from ..Signal import Signal
from ..Types.ArchiveTypes import REFUSED, WAITING, ArchivedLabel, ArchiveFacts
from ..Views import ERROR, INFO, WARNING
from .ArchiveTexts import kept_text, sent_text, stays_text, unlisted_text, unsent_text


class Archiving:
    """Asks a server when it is connected; one without an archive, and an older one, are asked nothing more.

    Args:
        runner: runs requests in threads.
        tell: called with level and text.
    """

    def __init__(self, runner: Runner, tell: Callable[[str, str], None]) -> None:
        self.state = Archive()
        self.changed = Signal("Archive")
        self._runner = runner
        self._tell = tell
        self._client: Client | None = None

    def look(self, client: Client) -> None:
        """Ask a server which archive it has, and what that lacks."""
        self._client = client
        self._show(Archive())
        self._ask(client)

    def look_again(self, client: Client) -> None:
        """Ask again a server that has an archive, as when its images were listed."""
        if client is self._client and self.state.host:
            self._ask(client)

    def leave(self) -> None:
        """Forget it all: the server was left."""
        self._client = None
        self._show(Archive())

    def heard(self, client: Client, tag: str, label: ArchivedLabel | None) -> tuple[str, str]:
        """Take what a server has said of a label that was submitted.

        Args:
            tag: of the label that was submitted.
            label: what the archive has; of the final label, also where another one was submitted.

        Returns:
            Level and text of what the reader should know of it; the text is empty where there is nothing to say.
        """
        host = self.state.host if client is self._client else ""
        if label is not None and client is self._client:
            self._take([label])
        if label is None:
            return INFO, stays_text(host) if host and tag == "final" else ""
        if label.tag != tag:
            return INFO, ""
        return INFO if label.sent else WARNING, kept_text(host, label)

    def send_again(self) -> None:
        """Have all that the archive lacks sent again."""
        client, labels = self._client, self.state.unsent
        if client is None or not labels or self.state.sending:
            return
        self._show(replace(self.state, sending=True))
        self._runner.run(
            lambda: _send_again(client, labels),
            lambda answers: self._answered(client, answers),
            lambda error: self._failed(client, error),
        )

    def _ask(self, client: Client) -> None:
        self._runner.run(client.archive, lambda found: self._found(client, found), lambda _error: None)

    def _found(self, client: Client, found: ArchiveFacts | None) -> None:
        if found is None or client is not self._client:
            return
        self._show(replace(self.state, host=found.host, unsent=found.unsent))
        if found.trouble:
            self._tell(WARNING, unlisted_text(found.host, found.trouble))

    def _answered(self, client: Client, answers: tuple[ArchivedLabel, ...]) -> None:
        if client is not self._client:
            return
        self._show(replace(self.state, sending=False))
        self._take(reversed(answers))
        lacking = [label for label in answers if not label.sent]
        sent = sent_text(self.state.host, [label for label in answers if label.sent])
        text = " ".join(filter(None, [sent, unsent_text(self.state.host, lacking)]))
        self._tell(WARNING if lacking else INFO, text)

    def _failed(self, client: Client, error: Exception) -> None:
        if client is self._client:
            self._show(replace(self.state, sending=False))
            self._tell(ERROR, str(error))

    def _take(self, labels: Iterable[ArchivedLabel]) -> None:
        """Put what was heard of labels in the place of what was known, the last one first."""
        unsent = self.state.unsent
        for label in labels:
            others = tuple(other for other in unsent if not other.same(label))
            unsent = others if label.sent else (label, *others)
        self._show(replace(self.state, unsent=unsent))

    def _show(self, state: Archive) -> None:
        state = replace(state, text=unsent_text(state.host, state.unsent))
        if state != self.state:
            self.state = state
            self.changed.emit(state)


def _send_again(client: Client, labels: tuple[ArchivedLabel, ...]) -> tuple[ArchivedLabel, ...]:
    """Have labels sent one after the other, until the archive is not reached; not for the main thread."""
    answers: list[ArchivedLabel] = []
    for label in labels:
        try:
            answers.append(client.send_again(label.image, label.tag))
        except (Errors.Gone, Errors.Refused) as error:  # it was removed, say: that does not hold the others back
            answers.append(replace(label, state=REFUSED, reason=str(error)))
        if answers[-1].state == WAITING:
            break
    return tuple(answers)
