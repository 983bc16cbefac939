"""Instances as an archive sends them: whether all of one has come, and its file."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataelem import RawDataElement
from pydicom.uid import UID

from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_files import MAGIC
from monai_semgan.io.dicom.headers import quiet
from monai_semgan.utils.files import written_aside

if TYPE_CHECKING:
    from pydicom import Dataset

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
UNDEFINED_LENGTH = 0xFFFFFFFF


def uid_of(dataset: Dataset, keyword: str) -> str:
    """Return a UID; empty where there is none that could be read."""
    try:
        with quiet():
            return str(dataset.get(keyword, ""))
    except Exception:  # damaged values make pydicom raise nearly anything
        return ""


def is_whole(dataset: Dataset) -> bool:
    """Tell whether all of an instance has come.

    Of one that is cut off, pydicom reads what there is: the last element is short, and those behind it are missing.
    """
    elements = map(dataset.get_item, dataset.keys())  # as they came: iterating reads their values
    short = any(isinstance(one, RawDataElement) and _is_short(one) for one in elements)
    image = "Rows" in dataset or "ImageStorage" in UID(uid_of(dataset, "SOPClassUID")).keyword
    return not short and (not image or any(name in dataset for name in PIXELS))


def _is_short(element: RawDataElement) -> bool:
    return element.length != UNDEFINED_LENGTH and len(element.value or b"") < element.length


def write_instance(dataset: Dataset, path: Path) -> None:
    """Write an instance as it has come, byte for byte; one that was deflated as pydicom writes it.

    Raises:
        ArchiveError: it is damaged.
        SemganError: the file cannot be written.
    """
    buffer = getattr(dataset, "buffer", None)
    received = buffer.getbuffer() if isinstance(buffer, BytesIO) else b""
    try:
        with written_aside(path) as temporary, quiet():
            if received[MAGIC] == b"DICM":
                temporary.write_bytes(received)
            else:
                dataset.save_as(temporary, enforce_file_format=True)
    except SemganError:
        raise
    except Exception as error:  # as above
        raise ArchiveError("an image of the series is damaged", remedy="ask whoever runs the archive") from error
