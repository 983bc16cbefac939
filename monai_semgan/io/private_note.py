"""Notes that name files or series, which reports without identifiers must not repeat."""

from __future__ import annotations

from collections.abc import Iterable


class PrivateNote(str):
    """A sentence for the user who has the scan before them.

    Attributes:
        public: the same for others, without names.
    """

    public: str

    def __new__(cls, text: str, public: str) -> PrivateNote:
        """Make a note."""
        note = super().__new__(cls, text)
        note.public = public
        return note

    def __reduce__(self) -> tuple[type[PrivateNote], tuple[str, str]]:
        """Tell how to make it again in another process."""
        return PrivateNote, (str(self), self.public)


def public_notes(notes: Iterable[str]) -> list[str]:
    """Return notes as others may read them."""
    return [note.public if isinstance(note, PrivateNote) else note for note in notes]
