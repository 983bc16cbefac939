"""The archive (PACS) that a server reads its images from, and what it has of the labels, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

SENT, WAITING, REFUSED = "sent", "waiting", "refused"
"""States of a label: the archive has it; was not reached; would not take it, or it could not be made for it."""


@dataclass(frozen=True)
class ArchivedLabel:
    """A label of the datastore on its way to the archive.

    Attributes:
        image: id in the datastore.
        state: `SENT`, `WAITING` or `REFUSED`.
        reason: why the archive does not have it, in the server's words; empty where it has.
    """

    image: str
    tag: str
    state: str
    reason: str = ""

    @property
    def sent(self) -> bool:
        """Whether the archive has it."""
        return self.state == SENT

    def same(self, other: ArchivedLabel) -> bool:
        """Tell whether another one is about the same label, whatever its state."""
        return (self.image, self.tag) == (other.image, other.tag)


@dataclass(frozen=True)
class ArchiveFacts:
    """The archive behind a server.

    Attributes:
        host: its name.
        trouble: why it could not be listed; empty if it could.
        unsent: labels that it does not have.
    """

    host: str
    trouble: str = ""
    unsent: tuple[ArchivedLabel, ...] = ()
