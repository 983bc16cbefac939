"""What results in DICOM refer to."""

from __future__ import annotations

from dataclasses import dataclass

from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.dicom.frames import Frame


@dataclass(frozen=True, eq=False)
class DicomSource:
    """Where the slices of a volume came from; results in DICOM refer to it.

    Args:
        frames: one per slice of the volume, in order.
    """

    frames: tuple[Frame, ...]

    @property
    def files(self) -> list[DicomFile]:
        """Its files, in the order of their first slices."""
        return list(dict.fromkeys(frame.file for frame in self.frames))
