"""`semgan segment` over many scans, as a user runs it."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.cli import main
from monai_semgan.cohort.case_runner import CaseRunner
from tests.dicom_phantoms import datasets, several_volumes, write_series
from tests.phantoms import grid, patient, save_nifti


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two volumes, a DICOM series, a label and a broken file."""
    folder = tmp_path / "scans"
    (folder / "sub").mkdir(parents=True)
    affine, shape = grid((12.0, 12.0, 16.0), codes="LPS")
    array = np.round(patient(affine, shape, seed=0).array)
    save_nifti(folder / "anna.nii.gz", array, affine)
    save_nifti(folder / "anna_label.nii.gz", array, affine)
    save_nifti(folder / "sub" / "bert.nii", array, affine)
    write_series(folder / "sub" / "series", datasets(array, affine))
    (folder / "broken.nii.gz").write_bytes(b"no scan")
    return folder


def segment(scans: Path, out: Path, bundle: Path, *options: str) -> int:
    return main(["segment", str(scans), "-o", str(out), "--bundle", str(bundle), "--device", "cpu", *options])


def table(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "cohort.csv", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def test_a_folder_gives_a_label_and_a_line_per_scan_past_failures(
    scans: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert segment(scans, out, tiny_bundle, "--maps", "maps", "--overlay", "picture.png") == 3
    shown = capsys.readouterr()
    assert "[1/4] anna: liver" in shown.out and " ml" in shown.out and "ETA" in shown.out
    assert "[2/4] broken: FAILED:" in shown.out and "broken.nii.gz" in shown.out
    assert "1 of 4 scans failed" in shown.err and "anna_label.nii.gz" in shown.err
    rows = table(out)
    assert [rows[name]["status"] for name in ("anna", "broken", "bert", "series")] == ["done", "failed", "done", "done"]
    assert len(rows["bert"]["model"]) == 64 and "not a readable" in rows["broken"]["message"]
    label = nibabel.load(out / "bert.nii.gz")
    assert label.shape == nibabel.load(scans / "sub" / "bert.nii").shape
    ml = (np.asarray(label.dataobj) == 1).sum() * 12 * 12 * 16 / 1000
    assert float(rows["bert"]["liver ml"]) == pytest.approx(ml, abs=0.02)
    assert (out / "series" / "picture.png").is_file() and (out / "series" / "maps" / "uncertainty.nii.gz").is_file()
    assert sorted(p.name for p in out.iterdir()) == [
        ".cohort", "anna", "anna.nii.gz", "bert", "bert.nii.gz", "cohort.csv", "series", "series.nii.gz",
    ]  # fmt: skip


def test_what_is_finished_is_not_computed_again(
    scans: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (scans / "broken.nii.gz").unlink()
    out = tmp_path / "out"
    computed: list[str] = []
    original = CaseRunner._done
    monkeypatch.setattr(CaseRunner, "_done", lambda self, c, key: computed.append(c.name) or original(self, c, key))

    def again(*options: str) -> list[str]:
        computed.clear()
        assert segment(scans, out, tiny_bundle, *options) == 0
        return list(computed)

    assert again() == ["anna", "bert", "series"]
    assert again() == [] and "3 finished before" in capsys.readouterr().out
    (out / "anna.nii.gz").write_bytes(b"")
    os.utime(scans / "sub" / "bert.nii", ns=(5, 5))
    assert again() == ["anna", "bert"]
    assert again("--no-cleanup") == ["anna", "bert", "series"]
    assert again("--no-cleanup", "--overwrite") == ["anna", "bert", "series"]


def test_a_label_that_somebody_has_corrected_is_kept_beside_the_new_one(
    scans: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    for name in ("broken.nii.gz", "sub/bert.nii"):
        (scans / name).unlink()
    out = tmp_path / "out"
    assert segment(scans, out, tiny_bundle) == 0
    written = (out / "anna.nii.gz").read_bytes()
    corrected = written[:-1] + bytes([written[-1] ^ 1])
    (out / "anna.nii.gz").write_bytes(corrected)
    os.utime(out / "anna.nii.gz", ns=(5, 5))
    assert segment(scans, out, tiny_bundle) == 0
    assert (out / "anna.nii.gz.changed").read_bytes() == corrected
    assert np.array_equal(nibabel.load(out / "anna.nii.gz").dataobj, _array(written, tmp_path))
    assert "anna.nii.gz.changed" in table(out)["anna"]["message"]


def test_files_beside_a_label_never_belong_to_an_earlier_one(scans: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    for name in ("broken.nii.gz", "sub/bert.nii"):
        (scans / name).unlink()
    out = tmp_path / "out"
    assert segment(scans, out, tiny_bundle, "--statistics", "volumes.json") == 0
    before = (out / "anna" / "volumes.json").read_bytes()
    assert segment(scans, out, tiny_bundle, "--format", "nrrd", "--modality", "CT") == 0  # the same in another format
    assert (out / "anna" / "volumes.json").read_bytes() == before and (out / "anna.nii.gz").is_file()
    assert segment(scans, out, tiny_bundle, "--statistics", "volumes.json") == 0
    assert segment(scans, out, tiny_bundle, "--modality", "MR") == 0
    assert not (out / "anna" / "volumes.json").exists()
    assert (out / "anna" / "volumes.json.outdated").read_bytes() == before
    assert "volumes.json.outdated" in table(out)["anna"]["message"]


def test_a_part_of_a_cohort_shows_no_numbers_of_scans_that_were_replaced(
    scans: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    """The other part has not come to it yet; another scan now has the name of the first."""
    (scans / "broken.nii.gz").unlink()
    out = tmp_path / "out"
    assert segment(scans, out, tiny_bundle) == 0
    (scans / "anna.nii.gz").write_bytes((scans / "anna_label.nii.gz").read_bytes() + b"another")
    assert segment(scans, out, tiny_bundle, "--part", "2/2") == 0
    rows = table(out)
    assert rows["anna"]["status"] == "open" and not rows["anna"]["liver ml"]
    assert rows["bert"]["status"] == rows["series"]["status"] == "done"


def _array(content: bytes, folder: Path) -> np.ndarray:
    (folder / "before.nii.gz").write_bytes(content)
    return np.asarray(nibabel.load(folder / "before.nii.gz").dataobj)


def test_several_processes_and_parts_make_the_same_results(scans: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert segment(scans, alone, tiny_bundle) == 3
    for part in ("2/2", "1/2"):
        segment(scans, together, tiny_bundle, "--jobs", "2", "--part", part)
    one, two = table(alone), table(together)
    for name in one:
        for key in ("status", "liver ml", "spleen ml", "model"):
            assert one[name][key] == two[name][key]
    assert (alone / "anna.nii.gz").stat().st_size == (together / "anna.nii.gz").stat().st_size


def test_torchrun_splits_the_scans(scans: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "monai_semgan", "segment"]
    command += [str(scans), "-o", str(tmp_path / "out"), "--bundle", str(tiny_bundle), "--device", "cpu"]
    (scans / "broken.nii.gz").unlink()
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "3 scans, 2 of them here" in done.stdout and "3 scans, 1 of them here" in done.stdout
    assert {row["status"] for row in table(tmp_path / "out").values()} == {"done"}


def started_by(pid: int) -> list[int]:
    """Ids of the processes that a process has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in listed.splitlines()]
    return [int(child) for child, parent, state in lines if int(parent) == pid and not state.startswith("Z")]


def children(process: subprocess.Popen[str]) -> list[int]:
    """Ids of the processes that compute for a command: its own, or those that one of its own has forked."""
    own = started_by(process.pid)
    return sorted(child for one in own for child in started_by(one)) if sys.platform == "linux" else own


@pytest.fixture
def many(scans: Path) -> Path:
    """A dozen more scans, none of them broken."""
    (scans / "broken.nii.gz").unlink()
    for copy in range(12):
        shutil.copy(scans / "sub" / "bert.nii", scans / f"copy{copy:02d}.nii")
    return scans


def slowly(many: Path, out: Path, bundle: Path, jobs: str, steps: int = 40) -> list[str]:
    command = [sys.executable, "-u", "-m", "monai_semgan", "segment", str(many), "-o", str(out)]
    return command + [
        *("--bundle", str(bundle), "--device", "cpu"),
        *("--mode", "invert", "--steps", str(steps), "--jobs", jobs),
    ]


def await_first(process: subprocess.Popen[str]) -> str:
    """What is printed until the first scan is finished."""
    assert process.stdout is not None
    lines = ""
    while "[1/" not in lines:
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        lines += line
    return lines


def test_processes_that_are_killed_cost_the_scans_they_are_at_and_others_take_their_place(
    many: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for copy in range(4, 12):
        (many / f"copy{copy:02d}.nii").unlink()
    command = slowly(many, out, tiny_bundle, "2", steps=10)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = await_first(process)
        before = children(process)
        for pid in before:  # one has finished a scan and is at the next; the other may be loading the model still
            os.kill(pid, signal.SIGKILL)
        after = before
        while process.poll() is None and (len(after) < 2 or set(before) & set(after)):  # however slow the machine is
            time.sleep(0.1)
            after = children(process)
        rest, error = process.communicate(timeout=240)
    assert process.returncode == 3, error
    rows = table(out)
    failed = [row for row in rows.values() if row["status"] != "done"]
    assert len(rows) == 7 and 1 <= len(failed) <= 2 and {row["status"] for row in failed} == {"failed"}
    assert all("was killed (signal 9); if memory ran out, use fewer --jobs" in row["message"] for row in failed)
    assert (lines + rest).count("FAILED: its process was killed") == len(failed)
    assert f"{len(failed)} of 7 scans failed" in error
    assert len(before) == len(after) == 2 and not set(before) & set(after)
    assert segment(many, out, tiny_bundle, "--mode", "invert", "--steps", "10") == 0
    assert {row["status"] for row in table(out).values()} == {"done"}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
def test_one_process_loads_the_model_for_all_and_its_death_costs_no_scan(
    many: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    for copy in range(4, 12):
        (many / f"copy{copy:02d}.nii").unlink()
    command = slowly(many, tmp_path / "out", tiny_bundle, "2", steps=10)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        await_first(process)
        (server,) = started_by(process.pid)
        assert len(started_by(server)) == 2
        os.kill(server, signal.SIGKILL)
        _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert {row["status"] for row in table(tmp_path / "out").values()} == {"done"}


def test_processes_leave_at_once_when_the_first_one_is_killed(many: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    command = slowly(many, tmp_path / "out", tiny_bundle, "2", steps=10**6)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while len(children(process)) < 2:
            time.sleep(0.1)
        time.sleep(8)
        process.kill()
        process.communicate(timeout=100)  # ends when nobody holds the error output any more


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_leaves_what_is_finished_and_goes_on_later(
    number: int, jobs: str, many: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = slowly(many, out, tiny_bundle, jobs)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        await_first(process)
        process.send_signal(number)
        _, error = process.communicate(timeout=240)
    assert process.returncode == 130 and "the same command goes on" in error and "Traceback" not in error
    time.sleep(0.1)
    rows = table(out)
    finished = {name for name, row in rows.items() if row["status"] == "done"}
    assert finished and any(row["status"] == "open" for row in rows.values())
    assert {p.name for p in out.glob("*.nii.gz")} == {f"{name}.nii.gz" for name in finished}
    assert not list(out.glob(".*part*"))


def test_a_data_list_and_another_format(scans: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    path = scans / "list.json"
    path.write_text('{"training": [{"image": "anna.nii.gz", "modality": "MR"}], "test": [{"image": "sub/bert.nii"}]}')
    assert segment(path, tmp_path / "o", tiny_bundle, "--format", "seg.nrrd") == 0
    assert (tmp_path / "o" / "bert.seg.nrrd").is_file() and table(tmp_path / "o")["anna"]["modality"] == "MR"
    assert segment(path, tmp_path / "p", tiny_bundle, "--section", "test", "--format", "nrrd") == 0
    assert list(table(tmp_path / "p")) == ["bert"]


def test_a_folder_with_one_series_and_a_file_as_output_is_one_scan(
    scans: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "one.nii.gz"
    assert segment(scans / "sub" / "series", out, tiny_bundle) == 0
    assert out.is_file() and not (tmp_path / "cohort.csv").exists()
    assert segment(scans / "sub" / "series", tmp_path / "many", tiny_bundle) == 0
    assert (tmp_path / "many" / "series.nii.gz").is_file()


@pytest.mark.parametrize(
    "options",
    [
        ["--format", "txt"],
        ["--part", "3/2"],
        ["--section", "test"],
        ["--maps", "../maps"],
        ["--labels", "heart"],
        ["--jobs", "0"],
    ],
)
def test_options_that_make_no_sense_are_one_line(
    options: list[str], scans: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(scans, tmp_path / "out", tiny_bundle, *options) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("semgan: error:")
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_the_same_echo_is_taken_in_every_scan(tmp_path: Path, tiny_bundle: Path) -> None:
    affine = np.diag([-12.0, -12, 20, 1])
    arrays = {(echo,): np.random.default_rng(echo).integers(0, 900, (30, 24, 4)).astype(float) for echo in (1, 2)}
    for name in ("anna", "bert"):
        write_series(tmp_path / "in" / name, several_volumes(arrays, affine, ("EchoNumbers",), SeriesNumber=7))
    assert segment(tmp_path / "in", tmp_path / "out", tiny_bundle) == 3
    assert "--series 7/echo=1" in (tmp_path / "out" / "cohort.csv").read_text()
    assert segment(tmp_path / "in", tmp_path / "out", tiny_bundle, "--series", "7/echo=2") == 0
    shapes = [nibabel.load(tmp_path / "out" / f"{name}.nii.gz").shape for name in ("anna", "bert")]
    assert shapes == [(30, 24, 4)] * 2


def test_options_for_many_scans_are_refused_for_one(
    scans: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (["--jobs", "2"], ["--overwrite"], ["--part", "1/2"]):
        assert segment(scans / "anna.nii.gz", tmp_path / "o.nii.gz", tiny_bundle, *options) == 2
        assert "is for many scans" in capsys.readouterr().err


def test_the_slurm_example_splits_a_cohort_over_an_array(scans: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "slurm_cohort.sh"
    shim = tmp_path / "bin" / "semgan"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m monai_semgan "$@"\n')
    shim.chmod(0o755)
    (scans / "broken.nii.gz").unlink()
    shown = []
    for task in (0, 1):
        array = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "2"}
        environment = {**os.environ, **array, "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"}
        command = ["bash", str(script), str(scans), str(tmp_path / "out"), "--bundle", str(tiny_bundle)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout.splitlines()[0])
    assert shown == ["3 scans, 2 of them here", "3 scans, 1 of them here"]
    assert {row["status"] for row in table(tmp_path / "out").values()} == {"done"}
