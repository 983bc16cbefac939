"""Cohorts out of a real archive: what is in them, what they give, and what is sent back, once."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.cli import main
from monai_semgan.cohort.case_runner import CaseRunner
from tests.dicom_phantoms import datasets, write_series
from tests.dicomweb.odd_answers import silent
from tests.dicomweb.odd_archive import OddArchive
from tests.dicomweb.orthanc import Orthanc, needs_orthanc
from tests.phantoms import grid, patient

SPACING = (12.0, 12.0, 20.0)
STUDY = "1.2.826.0.1.1"


def write(folder: Path, number: int, modality: str = "CT", count: int | None = None) -> Path:
    """Write a series of the phantom."""
    affine, shape = grid(SPACING, codes="LPS")
    array = np.round(patient(affine, shape, modality, seed=number).array)[:, :, :count]
    uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.{number}", "SeriesNumber": number}
    scale = (1.0, -1024.0) if modality == "CT" else (1.0, 0.0)
    return write_series(folder, datasets(array, affine, modality, scale, **uids))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two CT, an MR, and an overview, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("scans")
    write(folder / "first", 1)
    write(folder / "second", 2)
    write(folder / "third", 3, "MR")
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Iterator[Orthanc]:
    """A real archive that holds them and wants a password."""
    folder = tmp_path_factory.mktemp("archive")
    with Orthanc(folder, user=("reader", "s3cret")) as server:
        server.store([scans, write(folder / "scout", 9, count=1)])
        yield server


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMGAN_ARCHIVE_USER", "reader")
    monkeypatch.setenv("SEMGAN_ARCHIVE_PASSWORD", "s3cret")


def words(source: object, out: Path, bundle: Path, *options: str) -> list[str]:
    return ["segment", str(source), "-o", str(out), "--bundle", str(bundle), "--device", "cpu", *options]


def table(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "cohort.csv", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def segmentations(archive: Orthanc) -> list[str]:
    """Orthanc's own names of the segmentations that it holds."""
    found = archive.rest("/tools/find", json.dumps({"Level": "Series", "Query": {"Modality": "SEG"}}).encode())
    return list(found)


def forget(archive: Orthanc) -> None:
    for name in segmentations(archive):
        archive.get(f"/series/{name}", method="DELETE")


@needs_orthanc
def test_ct_and_mr_are_segmented_voxel_by_voxel_as_files_are_and_overviews_left_out(
    archive: Orthanc, scans: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, files = tmp_path / "out", tmp_path / "files"
    assert main(words(f"dicomweb:{archive.url}", out, tiny_bundle)) == 0
    shown = capsys.readouterr()
    assert "3 scans" in shown.out and "1 series of single images left out" in shown.err
    assert main(words(scans, files, tiny_bundle)) == 0
    names = {name.split("_")[1]: name for name in table(out)}
    assert {row["modality"] for row in table(out).values()} == {"CT", "MR"}
    for number, folder in (("1", "first"), ("2", "second"), ("3", "third")):
        one, other = nibabel.load(out / f"{names[number]}.nii.gz"), nibabel.load(files / f"{folder}.nii.gz")
        np.testing.assert_array_equal(one.affine, other.affine)
        np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj))
    assert not list((out / ".cohort" / "fetched").iterdir()), "nothing that was fetched stays"
    assert main(words(f"dicomweb:{archive.url}", out, tiny_bundle)) == 0
    assert "3 finished before" in capsys.readouterr().out


@needs_orthanc
def test_results_are_sent_once_and_later_ones_without_computing_again(
    archive: Orthanc,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forget(archive)
    out = tmp_path / "out"
    command = words(f"dicomweb:{archive.url}?Modality=CT", out, tiny_bundle, "--send")
    with monkeypatch.context() as refused:
        refused.setattr("monai_semgan.dicomweb.archive.Archive.store", _down)
        assert main(command) == 3
    assert "2 of 2 scans failed or were not sent" in capsys.readouterr().err and segmentations(archive) == []
    rows = table(out)
    assert {row["status"] for row in rows.values()} == {"done"}
    assert all(row["sent"].startswith("not sent: ") for row in rows.values()) and len(list(out.glob("*.dcm"))) == 2
    with monkeypatch.context() as idle:
        idle.setattr(CaseRunner, "_segment", _never)
        assert main(command) == 0
        assert "; sent" in capsys.readouterr().out and len(segmentations(archive)) == 2
        assert main(command) == 0 and "2 finished before" in capsys.readouterr().out
    assert {row["sent"] for row in table(out).values()} == {"sent"}
    assert [row["seconds"] for row in table(out).values()] == [row["seconds"] for row in rows.values()]
    assert len(segmentations(archive)) == 2


def _down(*_: object) -> bool:
    from monai_semgan.dicomweb.archive_errors import ArchiveError

    raise ArchiveError("the archive cannot be reached", remedy="start it", passing=True)


def _never(*_: object) -> None:
    raise AssertionError("it was computed again")


@needs_orthanc
def test_several_processes_and_parts_have_the_password_and_send_each_result_once(
    archive: Orthanc, tiny_bundle: Path, tmp_path: Path
) -> None:
    forget(archive)
    out = tmp_path / "out"
    command = words(f"dicomweb:{archive.url}", out, tiny_bundle, "--send")
    assert main([*command, "--part", "2/2"]) == 0
    assert sorted(row["status"] for row in table(out).values()) == ["done", "open", "open"]
    assert main([*command, "--part", "1/2", "--jobs", "2"]) == 0
    assert {(row["status"], row["sent"]) for row in table(out).values()} == {("done", "sent")}
    assert len(segmentations(archive)) == 3


def test_an_archive_that_refuses_objects_or_is_down_leaves_results_that_are_sent_later(
    scans: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    with OddArchive((scans / "first").iterdir()) as odd:
        command = words(f"dicomweb:{odd.url}", out, tiny_bundle, "--send")
        odd.deaf = True
        assert main(command) == 3
        assert "not sent: the archive" in capsys.readouterr().out
        odd.deaf = False
        monkeypatch.setattr(CaseRunner, "_segment", _never)
        before = odd.asked("together")
        assert main(command) == 0 and odd.asked("together") == before, "it is not even fetched again"
        results = [one for one in odd.instances.values() if one.modality == "SEG"]
        assert len(results) == 1
    assert main(command) == 2, "it does not answer"
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cannot be reached" in error


def test_a_process_that_was_killed_after_it_sent_does_not_send_again(
    scans: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OddArchive((scans / "first").iterdir()) as odd:
        command = words(f"dicomweb:{odd.url}", tmp_path / "out", tiny_bundle, "--send")
        with monkeypatch.context() as killed:
            killed.setattr("monai_semgan.cohort.case_runner.send_results", _sent_and_killed)
            with pytest.raises(Killed):
                main(command)
        assert odd.asked("store") == 1
        assert main(command) == 0
        assert odd.asked("store") == 1 and {row["sent"] for row in table(tmp_path / "out").values()} == {"sent"}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the program's own runs after it."""


def _sent_and_killed(*arguments: object) -> None:
    from monai_semgan.cohort.archive_files import send_results

    assert send_results(*arguments) == ("sent", False)  # type: ignore[arg-type]
    raise Killed


def test_a_process_that_was_killed_while_it_fetched_leaves_what_has_come_to_the_next(
    scans: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with OddArchive((scans / "first").iterdir()) as odd:
        command = words(f"dicomweb:{odd.url}", out, tiny_bundle)
        odd.apart.update(list(odd.instances)[:3])
        odd.spoil("single", lambda answer: replace(answer, sending=silent))
        with subprocess.Popen([sys.executable, "-m", "monai_semgan", *command], stdout=subprocess.DEVNULL) as process:
            while not odd.asked("single"):
                assert process.poll() is None
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
        assert len(list(out.glob(".cohort/fetched/*/*.dcm"))) == len(odd.instances) - 3
        odd.heal()
        odd.questions.clear()
        assert main(command) == 0
        assert (odd.asked("together"), odd.asked("single")) == (0, 3)
        assert {row["status"] for row in table(out).values()} == {"done"}
        assert not list(out.glob(".cohort/fetched/*"))
