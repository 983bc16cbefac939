"""Scans of a cohort that lie in an archive: fetched when their turn comes, and results that go back there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from monai_semgan.cohort.cases import Case
from monai_semgan.cohort.records import SENT
from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.dicomweb.archive_errors import NO_RIGHT, ArchiveError
from monai_semgan.dicomweb.series_download import fetch_series
from monai_semgan.errors import SemganError

DICOM = ".dcm"


@contextmanager
def scan_files(case: Case) -> Iterator[Path]:
    """Give the file or folder of a scan; one of an archive is fetched before the block and removed after it.

    What has come of a series that cannot be had whole stays for the next try.

    Raises:
        SemganError: it cannot be fetched.
    """
    if not case.address:
        yield case.path
        return
    address = parse_address(case.address)
    archive = Archive(address)
    series = next(iter(archive.list_series()), None)
    if series is None:
        raise ArchiveError(f"the archive {address.host} has the series no more", remedy="list the scans again")
    fetch_series(archive, series, case.path)
    try:
        yield case.path
    finally:
        shutil.rmtree(case.path, ignore_errors=True)


def send_results(case: Case, files: Sequence[Path]) -> tuple[str, bool]:
    """Store the DICOM files among the results of a scan in its archive, those that it does not have yet.

    Returns:
        `sent`, or why they are not; and whether that may pass by itself.
    """
    try:
        archive = Archive(parse_address(case.address))
        for file in files:
            if file.suffix.lower() == DICOM:
                archive.store(file)
    except SemganError as error:
        return f"not sent: {error}", may_pass(error)
    return SENT, False


def may_pass(error: Exception) -> bool:
    """Tell whether a failure is one of the archive as a whole, which somebody will mend: down, slow, or locked."""
    if not isinstance(error, ArchiveError):
        return False
    return error.passing or error.status in NO_RIGHT or (error.status or 0) >= 500
