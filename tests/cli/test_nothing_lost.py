"""Whatever happens while results are written, each file is whole: the old one or the new one."""

from __future__ import annotations

import csv
import os
import resource
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.cli import main
from monai_semgan.io.reading import read_label
from monai_semgan.io.volume import Volume
from tests.phantoms import grid, patient, save_nifti


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    affine, shape = grid((6.0, 6.0, 10.0), codes="LPS")
    for name in ("anna", "bert", "carl"):
        save_nifti(folder / f"{name}.nii.gz", np.round(patient(affine, shape, seed=0).array), affine)
    return folder


def command(source: Path, out: Path, bundle: Path, *options: str) -> list[str]:
    given = ["segment", str(source), "-o", str(out), "--bundle", str(bundle), "--device", "cpu", "--quiet"]
    return [*given, *options]


def run(
    source: Path, out: Path, bundle: Path, *options: str, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "monai_semgan", *command(source, out, bundle, *options)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=600, preexec_fn=before)


WRITER = """
    import sys
    import numpy as np
    from pathlib import Path
    from monai_semgan.cohort.records import Record, save_record
    from monai_semgan.organs import Segments
    from monai_semgan.io.volume import Volume
    from monai_semgan.io.writing import write_label
    folder = Path(sys.argv[1])
    like = Volume(np.zeros((90, 80, 70), np.int16), np.eye(4))
    label = np.random.default_rng(0).integers(0, 2, like.array.shape, dtype=np.uint8)
    while True:
        for value in (1, 2):
            for ending in sys.argv[2:]:
                write_label(label * value, like, folder / f"o{ending}", Segments({1: "liver", 2: "spleen"}))
            save_record(folder, Record("case", "x" * 100_000, "done", model=str(value)))
        print("round", flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    from monai_semgan.cohort.records import load_record

    endings = [".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd"]
    waits = np.random.default_rng().uniform(0.0, 0.4, 6)
    for wait in waits:
        writer = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path), *endings]
        with subprocess.Popen(writer, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline()
            time.sleep(wait)
            process.kill()
        for ending in endings:
            label = read_label(tmp_path / f"o{ending}").array
            values = set(np.unique(label))
            assert label.shape == (90, 80, 70) and values in ({0, 1}, {0, 2}), (ending, waits)
        record = load_record(tmp_path, "case")
        assert record is not None and record.model in ("1", "2") and len(record.input) == 100_000


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None] | None]]:
    """A file system with room for 40 kB; where none can be mounted, files of at most 20 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(folder)], capture_output=True
        ).returncode
    )
    yield folder, None if mounted else limit
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".seg.nrrd"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    ending: str, scans: Path, tiny_bundle: Path, small_disk: tuple[Path, Callable[[], None] | None]
) -> None:
    folder, before = small_disk
    scan = scans / "anna.nii.gz"
    done = run(scan, folder / f"o{ending}", tiny_bundle, "--no-cleanup", before=before)
    if done.returncode == 0:  # compressed, it fits
        assert ending != ".nii" and read_label(folder / f"o{ending}").array.any()
        return
    assert done.returncode == 2 and "disk is full" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not list(folder.iterdir())


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_full_disk_stops_a_cohort_and_keeps_what_is_finished(
    jobs: str, scans: Path, tiny_bundle: Path, small_disk: tuple[Path, Callable[[], None] | None]
) -> None:
    folder, before = small_disk
    done = run(scans, folder, tiny_bundle, "--no-cleanup", "--format", "nii", "--jobs", jobs, before=before)
    assert done.returncode == 2 and "disk is full" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not list(folder.rglob("*.part.*"))
    for label in folder.glob("*.nii"):
        assert read_label(label).array.shape == (55, 40, 20)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be written; for root, whom modes do not stop, a file system of that kind."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    mounted = False
    if os.access(folder, os.W_OK):
        mount = ["mount", "-t", "tmpfs", "-o", "ro,size=40k", "tmpfs", str(folder)]
        mounted = bool(shutil.which("mount")) and not subprocess.run(mount, capture_output=True).returncode
        if not mounted:
            pytest.skip("root may write everywhere, and nothing can be mounted")
    yield folder
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.chmod(0o755)


def test_a_read_only_folder_is_one_line(
    read_only: Path, scans: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, out in ((scans, read_only), (scans / "anna.nii.gz", read_only / "o.nii.gz"), (scans, read_only / "x")):
        assert main(command(source, out, tiny_bundle)) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "locked" in error and "cannot be written" in error


def removing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the first segmentation remove a folder before its result is written."""
    from monai_semgan.inference import segmentation

    original = segmentation.segment

    def segment(volume: Volume, *rest: object, **options: object) -> object:
        result = original(volume, *rest, **options)  # type: ignore[arg-type]
        if folder.exists() and not (folder.parent / "removed").exists():
            shutil.rmtree(folder)
            (folder.parent / "removed").touch()
        return result

    monkeypatch.setattr(segmentation, "segment", segment)


def test_an_output_folder_that_vanishes_before_the_end_is_made_again(
    scans: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results"
    removing(folder, monkeypatch)
    assert main(command(scans / "anna.nii.gz", folder / "o.nii.gz", tiny_bundle)) == 0
    assert (tmp_path / "removed").exists() and read_label(folder / "o.nii.gz").array.shape == (55, 40, 20)


def test_a_folder_that_vanishes_during_a_cohort_costs_what_was_in_it(
    scans: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results"
    removing(folder, monkeypatch)
    assert main(command(scans, folder, tiny_bundle)) == 0
    with open(folder / "cohort.csv", newline="") as stream:
        assert {row["case"]: row["status"] for row in csv.DictReader(stream)} == dict.fromkeys(
            ("anna", "bert", "carl"), "done"
        )


def test_a_folder_that_vanishes_while_a_file_is_written_is_one_line(
    scans: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import nibabel

    folder = tmp_path / "results"
    original = nibabel.save

    def save(image: object, path: Path) -> None:
        shutil.rmtree(folder)
        original(image, path)

    monkeypatch.setattr(nibabel, "save", save)
    assert main(command(scans / "anna.nii.gz", folder / "o.nii.gz", tiny_bundle)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "o.nii.gz" in error and "cannot be written" in error
    assert not folder.exists()


def test_what_a_killed_process_left_half_written_is_removed_by_the_next_run(
    scans: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".0123abcd.part.anna.nii.gz").write_bytes(b"half")
    assert main(command(scans, out, tiny_bundle)) == 0
    assert not list(out.glob(".*.part.*"))
