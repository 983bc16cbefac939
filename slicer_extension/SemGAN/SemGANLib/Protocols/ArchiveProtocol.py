"""What the panel needs to tell what the archive behind a server lacks: plain data, and what it may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..Signal import Signal
from ..Types.ArchiveTypes import ArchivedLabel


@dataclass(frozen=True)
class Archive:
    """The archive (PACS) behind the server.

    Attributes:
        host: its name; empty where there is none, or the server is older.
        unsent: labels that it does not have, the newest of this reader first.
        text: which those are, and why; empty if there are none.
        sending: they are being sent again.
    """

    host: str = ""
    unsent: tuple[ArchivedLabel, ...] = ()
    text: str = ""
    sending: bool = False


class ArchiveLogic(Protocol):
    """The archive behind the server that the module is connected to. All is called in the main thread.

    What comes of a call is told by `message` of the logic, as of all others.
    """

    changed: Signal
    """Emits the `Archive`."""

    @property
    def state(self) -> Archive:
        """What the archive lacks, as last heard."""

    def send_again(self) -> None:
        """Have all that it lacks sent again."""
