"""What the tests of fetching share: fetches by somebody impatient, and checks of what has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_access import ArchiveAccess
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.dicomweb.series_download import fetch_series
from monai_semgan.io.dicom.headers import quiet
from tests.dicomweb.odd_answers import Answer
from tests.dicomweb.odd_archive import Handler, OddArchive

IMPATIENT = (2.0, 0.5)


def connect(odd: OddArchive) -> Archive:
    return Archive(parse_address(odd.url), ArchiveAccess(), IMPATIENT)


def the_series(odd: OddArchive) -> ArchiveSeries:
    (series,) = connect(odd).list_series()
    return series


def fetch(odd: OddArchive, folder: Path, on_instance: Callable[[int, int], None] | None = None) -> list[Path]:
    return fetch_series(connect(odd), the_series(odd), folder, on_instance)


def assert_whole_files(odd: OddArchive, folder: Path) -> None:
    """Each file in the folder is an instance of the archive, byte for byte; nothing else lies there."""
    for path in folder.iterdir():
        assert path.suffix == ".dcm" and path.read_bytes() == odd.instances[path.stem].content


def assert_completed(odd: OddArchive, folder: Path) -> None:
    """Once the archive behaves, a second call brings what was missing, and only that."""
    there = {path.stem for path in folder.iterdir()}
    odd.heal()
    odd.questions.clear()
    found = fetch(odd, folder)
    assert_whole_files(odd, folder)
    assert (
        sorted(path.stem for path in found) == sorted(odd.instances) == sorted(path.stem for path in folder.iterdir())
    )
    missing = len(odd.instances) - len(there)
    if missing > len(odd.instances) // 2:
        assert (odd.asked("together"), odd.asked("single")) == (1, 0)
    else:
        assert (odd.asked("together"), odd.asked("single")) == (0, missing)
        assert not [one for one in odd.questions if one.kind == "single" and one.target.split("/")[-1] in there]


def status(code: int) -> Callable[[Answer], Answer]:
    return lambda answer: Answer(code, "text/plain", b"Secret^Name is not here")


def sent_by(sending: Callable[[Handler, Answer], None]) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, sending=sending)


def changed(content: bytes, **tags: str | bytes) -> bytes:
    """The same object with other values, however wrong."""
    data = dcmread(BytesIO(content))
    with quiet():
        for name, value in tags.items():
            setattr(data, name, value)
        data.save_as(made := BytesIO())
    return made.getvalue()
