"""A series of images, or one of the volumes that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.headers import NO_IMAGES, Header
from monai_semgan.io.dicom.unused_files import UnusedFile
from monai_semgan.io.limits import check_voxels
from monai_semgan.modalities import PROJECTIONS


@dataclass(frozen=True, eq=False)
class Series:
    """The images of a series.

    Args:
        uid: its unique name.
        number: as the scanner counted, as text; may be empty.
        modality: such as `CT`.
        headers: its files.
        part: which of several volumes of the series it is, such as `echo=2`; empty for the whole of it.
        chosen: the slices of this part; all of the files when left out.
        merged: whether its files have series UIDs of their own, and only their places make it one.
        copies: files that were left out, being copies.
    """

    uid: str
    number: str
    modality: str
    headers: tuple[Header, ...]
    part: str = ""
    chosen: tuple[Frame, ...] | None = None
    merged: bool = False
    copies: tuple[UnusedFile, ...] = ()

    @property
    def frames(self) -> list[Frame]:
        """Slices, without overview images for planning."""
        if self.chosen is not None:
            return list(self.chosen)
        return [frame for header in self.headers if not header.localiser for frame in header.frames]

    @property
    def voxels(self) -> int:
        """Of the slices that know their place and are grey."""
        if self.chosen is not None:
            return sum(frame.shape[0] * frame.shape[1] for frame in self.chosen)
        return sum(
            frame.shape[0] * frame.shape[1]
            for header in self.headers
            if not header.colour and not header.localiser
            for frame in header.frames
            if frame.position is not None
        )

    @property
    def count(self) -> int:
        """How many images it has."""
        return sum(len(header.frames) for header in self.headers) if self.chosen is None else len(self.chosen)

    @property
    def is_image(self) -> bool:
        """Whether its modality is one of scans or radiographs, and not of results and documents."""
        return self.modality not in NO_IMAGES

    @property
    def projection(self) -> bool:
        """Whether it holds radiographs."""
        return self.modality in PROJECTIONS

    @cached_property
    def uids(self) -> frozenset[str]:
        """Series UIDs of its files."""
        return frozenset(header.series for header in self.headers)

    @property
    def name(self) -> str:
        """What `--series` takes: the number, else the UID, and the part."""
        whole = self.number or self.uid or "?"
        return f"{whole}/{self.part}" if self.part else whole

    @property
    def order(self) -> tuple[int, float, str, str]:
        """Sort key: the largest first, then by number, as a number."""
        return (-self.voxels, float(self.number) if self.number.isdecimal() else float("inf"), self.number, self.uid)

    def described(self) -> str:
        """Without what the scanner or a person wrote about the patient."""
        images = f"{self.count} image{'s' if self.count != 1 else ''}"
        return f"{self.name} ({self.modality or 'unknown'}, {images})"

    def may_hold(self, damaged: UnusedFile) -> bool:
        """Tell whether a damaged file may be one of its slices."""
        if self.number and not damaged.may_tell(damaged.number, self.number):
            return False
        if damaged.series and not self.merged:
            return any(damaged.may_tell(damaged.series, uid) for uid in self.uids)
        return damaged.may_tell(damaged.modality, self.modality)

    def check_size(self) -> None:
        """Make sure, before pixels are read, that their number is one of an image, and that they fit into memory.

        Raises:
            SemganError: they are too many.
        """
        frames = self.frames
        for header in self.headers:
            for rows, columns in {frame.shape for frame in header.frames}:
                check_voxels((columns, rows), header.file.path, picture=True)
        if frames:
            path = self.headers[0].file.path
            rows, columns = max(frame.shape for frame in frames)
            check_voxels((columns, rows, len(frames)), path if len(self.headers) == 1 else path.parent)
