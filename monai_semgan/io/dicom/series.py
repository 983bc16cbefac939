"""Series in a folder or zip, and which of them to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_files import find_files
from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.headers import NO_IMAGES, Header, read_header
from monai_semgan.io.limits import check_voxels
from monai_semgan.modalities import PROJECTIONS

SCANS = ("CT", "MR")


@dataclass(frozen=True, eq=False)
class Series:
    """The images of a series.

    Args:
        uid: its unique name.
        number: as the scanner counted, as text; may be empty.
        modality: such as `CT`.
        headers: its files.
    """

    uid: str
    number: str
    modality: str
    headers: tuple[Header, ...]

    @property
    def frames(self) -> list[Frame]:
        """Slices, without overview images for planning."""
        return [frame for header in self.headers if not header.localiser for frame in header.frames]

    @property
    def voxels(self) -> int:
        """Of the slices that know their place and are grey."""
        return sum(
            frame.shape[0] * frame.shape[1]
            for header in self.headers
            if not header.colour and not header.localiser
            for frame in header.frames
            if frame.position is not None
        )

    @property
    def is_image(self) -> bool:
        """Whether its modality is one of scans or radiographs, and not of results and documents."""
        return self.modality not in NO_IMAGES

    @property
    def projection(self) -> bool:
        """Whether it holds radiographs."""
        return self.modality in PROJECTIONS

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

    def described(self) -> str:
        """Without what the scanner or a person wrote about the patient."""
        count = sum(len(header.frames) for header in self.headers)
        images = f"{count} image{'s' if count != 1 else ''}"
        return f"{self.number or self.uid or '?'} ({self.modality or 'unknown'}, {images})"


def find_series(path: Path) -> list[Series]:
    """All series of images, the largest first.

    Raises:
        SemganError: there is none, or a file cannot be read.
    """
    groups: dict[tuple[str, str], dict[str, Header]] = {}
    for file in find_files(path):
        header = read_header(file)
        if header is not None and header.frames:
            name = header.frames[0].uid or str(file.path)
            groups.setdefault((header.series, header.modality), {}).setdefault(name, header)
    if not groups:
        what = "no DICOM image" if not path.is_dir() else "the folder holds no DICOM images"
        raise SemganError(what, remedy="give the folder or zip of a scan", path=path)
    series = []
    for (uid, modality), headers in groups.items():
        ordered = tuple(headers.values())
        series.append(Series(uid, ordered[0].number, modality, ordered))
    return sorted(series, key=lambda s: (-s.voxels, s.number, s.uid))


def choose_series(found: Sequence[Series], path: Path, wanted: str | None = None) -> tuple[Series, list[str]]:
    """The series asked for; or the largest CT or MR; or the largest other volume; or the only radiograph.

    Args:
        found: all series.
        path: what messages name.
        wanted: UID or number of the series.

    Returns:
        The series, and a note when there was a choice.

    Raises:
        SemganError: there is no such series, none that is an image, or there are several radiographs.
    """
    listing = ", ".join(series.described() for series in found[:12]) + (", ..." if len(found) > 12 else "")
    if wanted is not None:
        return _wanted(found, path, wanted.strip(), listing), []
    taken, why = _best(found, path, listing)
    if len(found) == 1:
        return taken, []
    others = ", ".join(series.described() for series in found if series is not taken)
    others = others if len(found) < 8 else f"{len(found) - 1} others"
    return taken, [f"Series {taken.described()} is taken, {why}; there are also {others}: --series chooses."]


def _best(found: Sequence[Series], path: Path, listing: str) -> tuple[Series, str]:
    """The series to take, and why."""
    scans = [series for series in found if series.modality in SCANS]
    volumes = [series for series in found if series.voxels and series.is_image and not series.projection]
    radiographs = [series for series in found if series.projection]
    if any(series in scans for series in volumes):
        return scans[0], "the largest CT or MR"
    if volumes:
        return volumes[0], "the largest volume, since there is no CT or MR"
    if len(radiographs) > 1 and not scans:
        remedy = f"choose with --series; there are {listing}"
        raise SemganError(f"holds {len(radiographs)} series of radiographs", remedy=remedy, path=path)
    if radiographs:
        return radiographs[0], "the only radiograph"
    if scans:  # it has no slices with a place: what is read next tells why
        return scans[0], "the largest CT or MR"
    raise SemganError(f"no scan and no radiograph; there are {listing}", remedy="give the folder of a scan", path=path)


def _wanted(found: Sequence[Series], path: Path, wanted: str, listing: str) -> Series:
    matches = [series for series in found if wanted in (series.uid, series.number) and wanted]
    images = [series for series in matches if series.is_image]
    if len(images) == 1:
        return images[0]
    if len(images) > 1:
        names = " or ".join(series.uid for series in images)
        raise SemganError(f"{len(images)} series have the number {wanted}", remedy=f"give its UID, {names}", path=path)
    if matches:
        problem = f"series {matches[0].described()} is no scan and no radiograph"
        raise SemganError(problem, remedy=f"there are {listing}", path=path)
    raise SemganError(f"there is no series {wanted}", remedy=f"there are {listing}", path=path)
