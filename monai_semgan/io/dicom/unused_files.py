"""Files beside the slices that are read: every one has a reason why it is not used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.private_note import PrivateNote

SHOWN = 2
"""Names in a note, for each reason."""


@dataclass(frozen=True)
class Reason:
    """Why files are not used.

    Args:
        one: of one file.
        many: of several.
    """

    one: str
    many: str


FOREIGN = Reason("is no DICOM", "are no DICOM")
EMPTY = Reason("is empty", "are empty")
INDEX = Reason("is an index (DICOMDIR)", "are indices (DICOMDIR)")
NO_IMAGE = Reason("is a DICOM object without image", "are DICOM objects without image")
COPY = Reason("is a copy of an image that is there", "are copies of images that are there")
DAMAGED = Reason("is damaged and of another series", "are damaged and of other series")


@dataclass(frozen=True, eq=False)
class UnusedFile:
    """A file that is not used.

    Args:
        file: the file.
        reason: why.
        error: what is told where nothing else can be read; None where it is no fault.
        series: UID of its series; empty where it does not tell.
        number: of the series; empty where it does not tell.
        modality: such as `CT`; empty where it does not tell.
        cut: whether the file ends too early, so that the last of these may be cut off too.
    """

    file: DicomFile
    reason: Reason
    error: SemganError | None = None
    series: str = ""
    number: str = ""
    modality: str = ""
    cut: bool = False

    def may_tell(self, told: str, wanted: str) -> bool:
        """Whether a value of this file may be the wanted one."""
        return wanted.startswith(told) if self.cut else told in ("", wanted)


def unused_note(unused: Iterable[UnusedFile]) -> list[str]:
    """One note that groups and counts files by the reason why they are not used; none without files."""
    groups: dict[Reason, list[str]] = {}
    for entry in unused:
        groups.setdefault(entry.reason, []).append(entry.file.path.name)
    told, counted = [], []
    for reason, names in groups.items():
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        counted.append(f"{len(names)} {reason.one if len(names) == 1 else reason.many}")
        told.append(f"{counted[-1]} ({shown})")
    note = "Not used beside the series: {}."
    return [PrivateNote(note.format(", ".join(told)), note.format(", ".join(counted)))] if told else []
