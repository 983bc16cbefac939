"""`semgan segment`, `send` and `info` with scans of an archive, as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.cli import main
from tests.dicom_phantoms import datasets, write_series
from tests.dicomweb.odd_answers import Answer, dripping
from tests.dicomweb.odd_archive import OddArchive
from tests.dicomweb.orthanc import Orthanc, needs_orthanc
from tests.phantoms import grid, patient

STUDY = "1.2.826.0.1.2"
OTHER = "1.2.826.0.1.3"


def write(folder: Path, number: int, slices: int, study: str = STUDY, modality: str = "CT") -> Path:
    affine, shape = grid((12.0, 12.0, 20.0), codes="LPS")
    array = np.round(patient(affine, shape, modality, seed=number).array)[:, :, :slices]
    tags = {"SeriesNumber": number, "SeriesDescription": f"description {number}", "StudyDescription": "abdomen"}
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{number}"}
    scale = (1.0, -1024.0) if modality == "CT" else (1.0, 0.0)
    return write_series(folder, datasets(array, affine, modality, scale, **tags, **uids))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of series by their numbers: two CT and an overview of one study, and an MR of another."""
    folder = tmp_path_factory.mktemp("series")
    found = {number: write(folder / str(number), number, slices) for number, slices in ((2, 9), (3, 6), (7, 1))}
    return {**found, 4: write(folder / "4", 4, 5, OTHER, "MR")}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, series: dict[int, Path]) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("archive")) as server:
        server.store(series.values())
        yield server


def segment(source: str, out: Path, bundle: Path, *options: str) -> int:
    command = ["segment", source, "-o", str(out), "--bundle", str(bundle), "--device", "cpu", "--quiet", *options]
    return main(command)


@needs_orthanc
def test_the_largest_series_of_a_study_is_taken_unless_another_is_chosen(
    archive: Orthanc, series: dict[int, Path], tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = f"dicomweb:{archive.url}?StudyInstanceUID={STUDY}"
    out, file = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    assert segment(study, out, tiny_bundle) == 0
    error = capsys.readouterr().err
    assert "series 2: CT, 9 images is taken, the largest; there are also 3: CT, 6 images; 7: CT, 1 image" in error
    assert segment(str(series[2]), file, tiny_bundle) == 0
    np.testing.assert_array_equal(nibabel.load(out).affine, nibabel.load(file).affine)
    np.testing.assert_array_equal(np.asarray(nibabel.load(out).dataobj), np.asarray(nibabel.load(file).dataobj))
    for wanted in ("3", f"{STUDY}.3"):
        assert segment(study, out, tiny_bundle, "--series", wanted) == 0
        assert nibabel.load(out).shape[2] == 6 and "largest" not in capsys.readouterr().err
    assert segment(f"{study}&SeriesInstanceUID={STUDY}.3", out, tiny_bundle) == 0
    assert nibabel.load(out).shape[2] == 6


@needs_orthanc
def test_what_an_archive_does_not_have_is_told_in_one_line(
    archive: Orthanc, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, root = tmp_path / "a.nii.gz", f"dicomweb:{archive.url}"
    for source, options, told in (
        (f"{root}?StudyInstanceUID=1.2.99", (), "has no CT or MR series there; check the UIDs"),
        (f"{root}?StudyInstanceUID={STUDY}", ("--series", "5"), "has no series 5 there; there are 2: CT, 9 images"),
        (root, (), "the address fits series of 2 studies; add StudyInstanceUID"),
        (f"{root}?StudyInstanceUID={STUDY}", ("--send",), "an archive takes DICOM; give an OUT that ends in .dcm"),
        ("dimse://pacs:104", (), "DICOM Q/R (C-FIND, C-MOVE) is not offered"),
        ("dicomweb:http://user:secret@host/rs", (), "the address holds a name or password"),
    ):
        assert segment(source, out, tiny_bundle, *options) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and told in error and "secret" not in error
    assert not out.exists()


def test_files_are_not_sent_by_segmenting_them(
    series: dict[int, Path], tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in (tmp_path / "a.dcm", tmp_path / "many"):
        assert segment(str(series[2]), out, tiny_bundle, "--send") == 2
        assert "--send is for scans of an archive; send files with semgan send" in capsys.readouterr().err


@needs_orthanc
def test_a_result_is_sent_to_its_study_and_a_second_time_it_is_there_already(
    archive: Orthanc, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "organs.dcm"
    assert segment(f"dicomweb:{archive.url}?StudyInstanceUID={OTHER}", out, tiny_bundle, "--send") == 0
    assert f"sent {out} to 127.0.0.1:{archive.port}" in capsys.readouterr().out
    query = json.dumps({"Level": "Series", "Query": {"Modality": "SEG", "StudyInstanceUID": OTHER}}).encode()
    assert len(archive.rest("/tools/find", query)) == 1
    for _ in range(2):
        assert main(["send", str(out), f"dicomweb:{archive.url}"]) == 0
        assert f"127.0.0.1:{archive.port} has {out} already" in capsys.readouterr().out
    assert len(archive.rest("/tools/find", query)) == 1
    (tmp_path / "no.dcm").write_bytes(b"no DICOM")
    for command, told in (
        ([str(out), str(out)], "is no address of DICOMweb"),
        ([str(tmp_path / "none.dcm"), f"dicomweb:{archive.url}"], "no such file"),
        ([str(tmp_path / "no.dcm"), f"dicomweb:{archive.url}"], "is no DICOM object"),
    ):
        assert main(["send", *command]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and told in error


def test_a_result_that_was_not_taken_is_kept_and_the_way_to_send_it_told(
    series: dict[int, Path], tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "organs.dcm"
    with OddArchive(series[3].iterdir()) as odd:
        odd.deaf = True
        assert segment(f"dicomweb:{odd.url}", out, tiny_bundle, "--send") == 2
        error = capsys.readouterr().err
        command = f"semgan send {out} dicomweb:{odd.url}"
        assert "takes nothing so large (413)" in error and f"{out} is kept, send it again: {command}" in error
        odd.deaf = False
        assert main(command.split()[1:]) == 0 and f"sent {out}" in capsys.readouterr().out


def test_ctrl_c_while_a_series_comes_leaves_nothing(
    series: dict[int, Path],
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))

    def press() -> None:
        while not list(own.glob("semgan-*/*.dcm")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    with OddArchive(series[2].iterdir()) as odd:
        odd.spoil("together", lambda answer: Answer(kind=answer.kind, body=answer.body, sending=dripping))
        thread = threading.Thread(target=press)
        thread.start()
        code = segment(f"dicomweb:{odd.url}", tmp_path / "a.nii.gz", tiny_bundle)
        thread.join()
    assert code == 130 and "interrupted; nothing was written" in capsys.readouterr().err
    assert not list(own.iterdir()) and not (tmp_path / "a.nii.gz").exists()


@needs_orthanc
def test_info_lists_the_series_of_an_archive_by_the_names_that_choose_them(
    archive: Orthanc, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", f"dicomweb:{archive.url}"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines() == [
        f"study {STUDY}",
        "  2: CT, 9 images",
        "  3: CT, 6 images",
        "  7: CT, 1 image; no volume",
        f"study {OTHER}",
        "  4: MR, 5 images",
    ]
    assert main(["info", f"dicomweb:{archive.url}?StudyInstanceUID={STUDY}", "--series", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    (one,) = facts["series"]
    assert one["description"] == "description 3" and one["study_description"] == "abdomen" and one["volume"]
    assert main(["info", one["address"]]) == 0 and "  3: CT, 6 images" in capsys.readouterr().out
    assert main(["info", f"dicomweb:{archive.url}", "--series", "5"]) == 2
    assert "has no series 5 there" in capsys.readouterr().err
