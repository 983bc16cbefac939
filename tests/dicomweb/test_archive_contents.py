"""What a real Orthanc holds comes as it is stored, compressed or odd, and reads as before."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_access import ArchiveAccess
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.series_download import fetch_series
from monai_semgan.io.reading import read_volume
from tests.dicomweb.archive_refusals import nothing_told
from tests.dicomweb.orthanc import Orthanc, needs_orthanc

pytestmark = needs_orthanc


def fetch(orthanc: Orthanc, folder: Path, target: Path) -> Archive:
    """Get the series of a folder back from the archive."""
    one = dcmread(next(folder.iterdir()))
    archive = Archive(parse_address(f"{orthanc.url}?StudyInstanceUID={one.StudyInstanceUID}"), ArchiveAccess())
    with nothing_told(one.StudyInstanceUID):
        (series,) = archive.list_series()
        assert len(fetch_series(archive, series, target)) == len(list(folder.iterdir()))
    return archive


def contents(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.iterdir())


def rewrite(folder: Path, target: Path, change: Callable[[Dataset], None]) -> Path:
    """The same series, changed, as another one."""
    target.mkdir()
    series = generate_uid()
    for path in folder.iterdir():
        data = dcmread(path)
        data.SeriesInstanceUID = data.StudyInstanceUID = series
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            change(data)
            data.save_as(target / path.name)
    return target


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless], ids=lambda uid: uid.keyword)
def test_a_compressed_series_comes_as_it_is_stored(
    orthanc: Orthanc, ct_series: Path, tmp_path: Path, syntax: str
) -> None:
    packed = rewrite(ct_series, tmp_path / "packed", lambda data: data.compress(syntax, generate_instance_uid=False))
    orthanc.store([packed])
    fetch(orthanc, packed, tmp_path / "series")
    assert contents(tmp_path / "series") == contents(packed)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, read_volume(ct_series).array)


@pytest.mark.parametrize(
    "syntax", [DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=lambda uid: uid.keyword
)
def test_a_series_in_another_encoding_reads_the_same(
    orthanc: Orthanc, ct_series: Path, tmp_path: Path, syntax: str
) -> None:
    def encode(data: Dataset) -> None:
        data.file_meta.TransferSyntaxUID = syntax

    other = rewrite(ct_series, tmp_path / "other", encode)
    orthanc.store([other])
    fetch(orthanc, other, tmp_path / "series")
    assert {dcmread(path).file_meta.TransferSyntaxUID for path in (tmp_path / "series").iterdir()} == {syntax}
    volume, before = read_volume(tmp_path / "series"), read_volume(ct_series)
    np.testing.assert_array_equal(volume.array, before.array)
    np.testing.assert_allclose(volume.affine, before.affine)


def test_odd_but_common_contents_come_byte_for_byte(orthanc: Orthanc, ct_series: Path, tmp_path: Path) -> None:
    def spoil(data: Dataset) -> None:
        data.SeriesInstanceUID = data.SeriesInstanceUID[:50] + ".007"
        data.SpecificCharacterSet = ["ISO 2022 IR 6", "ISO 2022 IR 87"]
        data.PatientName = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"
        block = data.private_block(0x0009, "ODD VENDOR", create=True)
        block.add_new(0x01, "UN", b"\x00\x01\x02\xff")
        block.add_new(0x03, "DS", "1.2345678901234567890123")
        data.add_new(0x00090099, "LO", "of nobody")
        data.StudyID = "longer than sixteen characters"

    odd = rewrite(ct_series, tmp_path / "odd", spoil)
    orthanc.store([odd])
    fetch(orthanc, odd, tmp_path / "series")
    assert contents(tmp_path / "series") == contents(odd)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, read_volume(ct_series).array)


def test_results_are_stored_once_beside_the_series(orthanc: Orthanc, ct_series: Path, tmp_path: Path) -> None:
    orthanc.store([ct_series])
    archive = fetch(orthanc, ct_series, tmp_path / "series")
    data = dcmread(next(ct_series.iterdir()))
    data.SeriesInstanceUID, data.SOPInstanceUID = generate_uid(), generate_uid()
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.PatientName = "M\u00fcller"
    data.save_as(tmp_path / "result.dcm", enforce_file_format=True)
    assert [archive.store(tmp_path / "result.dcm") for _ in range(2)] == [True, False]
    assert [series.images for series in archive.list_series() if series.series == data.SeriesInstanceUID] == [1]
    found = orthanc.rest("/tools/lookup", data.SOPInstanceUID.encode())
    assert orthanc.get(f"/instances/{found[0]['ID']}/file") == (tmp_path / "result.dcm").read_bytes()


def test_files_that_orthanc_has_lost_keep_no_other_one_from_coming(
    tmp_path: Path, ct_series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Orthanc(tmp_path / "orthanc") as orthanc:
        names = orthanc.store([ct_series])
        archive = Archive(parse_address(orthanc.url), ArchiveAccess())
        (series,) = archive.list_series()
        uids = archive.list_instances(series)
        gone, cut = (stored_file(orthanc, tmp_path / "orthanc", name) for name in names[4:6])
        gone.unlink()
        cut.write_bytes(cut.read_bytes()[:-100])
        orthanc.restart()  # it would remember
        with pytest.raises(ArchiveError, match=r"failed \(500\); look into its log"):  # it reads all files for it
            archive.list_instances(series)
        monkeypatch.setattr(archive, "list_instances", lambda series: uids)
        words = rf"2 of {len(uids)} images of the series do not come from the archive .* what has come is kept"
        with nothing_told(series.study), pytest.raises(ArchiveError, match=words):
            fetch_series(archive, series, tmp_path / "series")
        assert len(contents(tmp_path / "series")) == len(uids) - 2
        assert set(contents(tmp_path / "series")) < set(contents(ct_series))


def stored_file(orthanc: Orthanc, folder: Path, name: str) -> Path:
    """Where Orthanc keeps an instance."""
    attached = orthanc.rest(f"/instances/{name}/attachments/dicom/info")["Uuid"]
    (path,) = folder.rglob(attached)
    return path
