"""Fixtures of the tests of DICOMweb: an archive, and what is put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicomweb.orthanc import Orthanc


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An empty Orthanc that all tests of a module share; for tests marked `needs_orthanc`."""
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def ct_series(tmp_path: Path) -> Path:
    """Folder of a CT of the phantom as DICOM, in a study of its own."""
    from tests.dicomweb.phantom_series import write_ct

    return write_ct(tmp_path / "ct")
