"""What DICOM files in a watched folder say of themselves; each is opened once as long as it stays the same."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.dicom.headers import quiet, read_dataset

TAGS = [
    "SOPInstanceUID",
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "NumberOfFrames",
    "SeriesDescription",
    "StudyDescription",
]


@dataclass(frozen=True)
class Image:
    """A DICOM file.

    Args:
        path: where it lies.
        size: bytes.
        changed: time of change in ns.
        uid: of the instance.
        series: UID.
        modality: such as `CT`; empty where nothing can be read, as long as a file arrives.
        number: of the series, as text.
        frames: how many.
        descriptions: of series and study.
    """

    path: Path
    size: int
    changed: int
    uid: str = ""
    series: str = ""
    modality: str = ""
    number: str = ""
    frames: int = 1
    descriptions: tuple[str, ...] = ()


class ImageHeaders:
    """Reads files, and remembers those that have not changed."""

    def __init__(self) -> None:
        self._known: dict[Path, Image] = {}

    def read(self, paths: Collection[Path]) -> list[Image]:
        """Return the images of DICOM files, in order of their paths; what is no image has no modality."""
        self._known = {path: image for path in sorted(paths) if (image := self._image(path)) is not None}
        return list(self._known.values())

    def _image(self, path: Path) -> Image | None:
        try:
            found = path.stat()
        except OSError:
            return None
        known = self._known.get(path)
        if known is not None and (known.size, known.changed) == (found.st_size, found.st_mtime_ns):
            return known
        return _read(path, found.st_size, found.st_mtime_ns)


def _read(path: Path, size: int, changed: int) -> Image:
    try:
        dataset = read_dataset(DicomFile(path), tags=TAGS)
    except SemganError:
        return Image(path, size, changed)
    with quiet():
        text = {name: _text(dataset, name) for name in TAGS}
    if not text["SOPInstanceUID"] or not text["SeriesInstanceUID"]:
        return Image(path, size, changed)
    frames = text["NumberOfFrames"]
    return Image(
        path,
        size,
        changed,
        text["SOPInstanceUID"],
        text["SeriesInstanceUID"],
        text["Modality"].upper(),
        text["SeriesNumber"],
        int(frames) if frames.isdecimal() else 1,
        (text["SeriesDescription"], text["StudyDescription"]),
    )


def _text(dataset: Dataset, name: str) -> str:
    try:
        value = dataset.get(name)
    except Exception:  # damaged values make pydicom raise nearly anything
        return ""
    return "" if value is None else " ".join(str(value).split())
