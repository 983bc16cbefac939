"""The archive behind a server for the panel's tests: remembers what it was asked, and lacks what a test wants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from SemGANLib.Datastore.ArchiveTexts import unsent_text
from SemGANLib.Protocols.ArchiveProtocol import Archive
from SemGANLib.Signal import Signal
from SemGANLib.Types.ArchiveTypes import ArchivedLabel


class FakeArchiving:
    """See `Protocols.ArchiveProtocol.ArchiveLogic`."""

    def __init__(self, asked: list[tuple[Any, ...]]) -> None:
        self.changed = Signal("Archive")
        self.state = Archive("pacs.hospital.example")
        self._asked = asked

    def lacks(self, *labels: ArchivedLabel, sending: bool = False) -> None:
        """Behave as if the server had told what the archive does not have, with the sentence of the real logic."""
        text = unsent_text(self.state.host, labels)
        self.state = replace(self.state, unsent=labels, text=text, sending=sending)
        self.changed.emit(self.state)

    def send_again(self) -> None:
        self._asked.append(("send_again",))
