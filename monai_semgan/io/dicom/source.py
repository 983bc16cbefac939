"""What results in DICOM refer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.dicom.frames import Frame


@dataclass(frozen=True, eq=False)
class DicomSource:
    """Where the slices of a volume came from; results in DICOM refer to it.

    Args:
        frames: in order, one per slice of the volume unless it was resampled.
        planes: (n,) for each of them the slice of a resampled volume that lies nearest; None where they are the slices.
    """

    frames: tuple[Frame, ...]
    planes: np.ndarray | None = None

    @property
    def files(self) -> list[DicomFile]:
        """Its files, in the order of their first slices."""
        return list(dict.fromkeys(frame.file for frame in self.frames))

    @property
    def depth(self) -> int:
        """How many slices the volume has."""
        return len(self.frames) if self.planes is None else int(self.planes[-1]) + 1

    def on_slices(self, label: np.ndarray) -> np.ndarray:
        """A label (I, J, depth) of the volume as (I, J, n) on the slices as they are stored."""
        return label if self.planes is None else label[:, :, self.planes]
