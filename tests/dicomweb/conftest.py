"""Fixtures of the tests of DICOMweb: an archive, and what is put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicomweb.odd_archive import OddArchive
from tests.dicomweb.orthanc import Orthanc
from tests.dicomweb.phantom_series import write_ct


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An empty Orthanc that all tests of a module share; for tests marked `needs_orthanc`."""
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def ct_series(tmp_path: Path) -> Path:
    """Folder of a CT of the phantom as DICOM, in a study of its own."""
    return write_ct(tmp_path / "ct")


@pytest.fixture(scope="module")
def files_of_a_ct(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The slices of a CT series."""
    return sorted(write_ct(tmp_path_factory.mktemp("ct")).iterdir())


@pytest.fixture
def odd(files_of_a_ct: list[Path]) -> Iterator[OddArchive]:
    """An archive with one CT series."""
    with OddArchive(files_of_a_ct) as archive:
        yield archive


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the series shall go."""
    place = tmp_path / "series"
    place.mkdir()
    return place
