"""`semgan watch` as a user starts and ends it."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.cli import main
from tests.dicom_phantoms import datasets, write_series
from tests.dicomweb.orthanc import Orthanc, needs_orthanc
from tests.dicomweb.phantom_series import write_ct
from tests.phantoms import grid, patient, save_nifti


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    """A NIfTI file, a series and a scout."""
    folder = tmp_path / "incoming"
    affine, shape = grid((12.0, 12.0, 20.0), codes="LAS")
    array = np.round(patient(affine, shape, seed=0).array)
    (folder / "study").mkdir(parents=True)
    save_nifti(folder / "anna.nii.gz", array, affine)
    stack = datasets(array, affine, SeriesInstanceUID="1.2.3", SeriesDescription="Abdomen venous")
    write_series(folder / "study" / "venous", stack)
    scout = datasets(array[:, :, :1], affine, SeriesInstanceUID="1.2.4", SeriesNumber=1)
    write_series(folder / "study" / "scout", scout)
    return folder


def words(incoming: object, out: Path, bundle: Path, *options: str) -> list[str]:
    made = ["watch", str(incoming), "-o", str(out), "--bundle", str(bundle), "--device", "cpu"]
    return [*made, "--every", "0.2", *options]


def table(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "cohort.csv", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def test_one_look_for_cron_does_what_is_there_and_the_next_only_what_is_new(
    incoming: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = incoming / "results"
    command = words(incoming, out, tiny_bundle, "--once")
    assert main(command) == 0
    shown = capsys.readouterr()
    assert "2 scans there, 0 finished before, 2 to do" in shown.out and " anna: liver " in shown.out
    assert "1 series of single images left out" in shown.err
    series = next(name for name in table(out) if name.startswith("ct_4_"))
    assert {row["status"] for row in table(out).values()} == {"done"} and len(table(out)) == 2
    assert nibabel.load(out / f"{series}.nii.gz").shape == nibabel.load(incoming / "anna.nii.gz").shape
    before = (out / "anna.nii.gz").stat().st_mtime_ns
    (incoming / "broken.nii.gz").write_bytes(b"no scan")
    assert main(command) == 3
    shown = capsys.readouterr()
    assert "3 scans there, 2 finished before, 1 to do" in shown.out and "broken: FAILED: " in shown.out
    assert (out / "anna.nii.gz").stat().st_mtime_ns == before and table(out)["broken"]["status"] == "failed"
    assert main(command) == 0 and "1 failed before (--retry tries them again), 0 to do" in capsys.readouterr().out
    assert main([*command, "--retry"]) == 3 and "broken: FAILED: " in capsys.readouterr().out
    assert main([*command, "--no-cleanup"]) == 0
    assert "2 were made with other options or another version, and stay" in capsys.readouterr().err


def test_rules_that_leave_out_or_fit_nothing_are_told(
    incoming: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = ("--description", "*VENOUS*", "--description", "*arterial*", "--not-description", "*dry*", "--once")
    assert main(words(incoming, tmp_path / "out", tiny_bundle, *rules)) == 0
    shown = capsys.readouterr()
    assert "1 scans there" in shown.out and list(table(tmp_path / "out"))[0].startswith("ct_4_")
    assert "1 series left out by rules" in shown.err and "'*arterial*'" in shown.err and "'*dry*'" in shown.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_takes_what_comes_until_it_is_ended_in_order(
    number: int, incoming: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def come() -> None:
        await_that(lambda: (out / "anna.nii.gz").is_file())
        shutil.copy(incoming / "anna.nii.gz", incoming / "bert.nii.gz")
        await_that(lambda: "bert" in (out / "cohort.csv").read_text())
        await_that(lambda: table(out)["bert"]["status"] == "done")

    with ended_after(come, number):
        code = main(words(incoming, out, tiny_bundle))
    assert code == 130
    assert "finished scans are kept, the same command goes on" in capsys.readouterr().err
    assert {row["status"] for row in table(out).values()} == {"done"} and len(table(out)) == 3


@needs_orthanc
def test_series_of_an_archive_that_goes_down_and_comes_back_are_done_and_sent_once(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, spacing = tmp_path / "out", (12.0, 12.0, 20.0)
    notes: list[str] = []
    monkeypatch.setattr("monai_semgan.cli.watch.note", notes.append)
    series = [
        write_ct(tmp_path / f"{number}", spacing=spacing, SeriesDescription=description, SeriesNumber=number)
        for number, description in enumerate(("Liver venous", "Lung", "liver arterial"))
    ]

    def sent() -> list[str]:
        return [row["case"] for row in table(out).values() if row["sent"] == "sent"]

    with Orthanc(tmp_path / "archive") as archive:
        archive.store(series[:2])

        def change() -> None:
            await_that(lambda: (out / "cohort.csv").is_file() and len(sent()) == 1)
            archive.stop()
            await_that(lambda: any("the watch goes on" in told for told in notes))
            archive.start()
            archive.store(series[2:])
            await_that(lambda: len(sent()) == 2)

        with ended_after(change, signal.SIGINT):
            options = ("--send", "--description", "*liver*")
            assert main(words(f"dicomweb:{archive.url}", out, tiny_bundle, *options)) == 130
        assert [sum(told in one for one in notes) for told in ("the watch goes on", "looked at again")] == [1, 1]
        assert "1 series left out by rules" in notes
        modalities = [archive.rest(f"/series/{name}")["MainDicomTags"]["Modality"] for name in archive.rest("/series")]
        assert sorted(modalities) == ["CT", "CT", "CT", "SEG", "SEG"]
    assert {name.split("_")[1] for name in table(out)} == {"0", "2"}


@contextlib.contextmanager
def ended_after(happens: Callable[[], None], number: int) -> Iterator[None]:
    """Let something happen beside the block, which gets a signal after it, or when it fails."""

    def work() -> None:
        try:
            happens()
        finally:
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def await_that(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_watch_gives_its_folder_back_and_nothing_is_done_twice(
    incoming: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = words(incoming, out, tiny_bundle)
    with subprocess.Popen([sys.executable, "-m", "monai_semgan", *command], stdout=subprocess.DEVNULL) as process:
        await_that(lambda: (out / "anna.nii.gz").is_file() and (out / ".cohort" / "anna.json").is_file())
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "another semgan watch writes into this folder; end it, or choose" in error
        process.kill()
    written = (out / "anna.nii.gz").stat().st_mtime_ns
    assert main([*command, "--once"]) == 0
    assert (out / "anna.nii.gz").stat().st_mtime_ns == written
    assert {row["status"] for row in table(out).values()} == {"done"} and len(table(out)) == 2


def test_what_makes_no_sense_is_one_line(
    incoming: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for command, told in (
        (words(tmp_path / "none", out, tiny_bundle), "no such folder"),
        (words(incoming / "anna.nii.gz", out, tiny_bundle), "is no folder"),
        (words(incoming, incoming, tiny_bundle), "cannot hold the results"),
        (words(incoming, out, tiny_bundle, "--send"), "--send is for scans of an archive"),
        (words(incoming, out, tiny_bundle, "--modality", "CT,DX"), "use CT, MR, or CT,MR"),
        (words(incoming, out, tiny_bundle, "--every", "0"), "no number of seconds"),
        (words(incoming, out, tiny_bundle, "--format", "txt"), "unknown format"),
        (words(incoming, out, tiny_bundle, "--labels", "heart"), "heart"),
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and told in error
    assert not out.exists() or not list(out.glob("*.nii.gz"))
