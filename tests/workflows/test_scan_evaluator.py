"""`monai.bundle run` goes on after a scan that fails, and does not end with exit code 0."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from monai_semgan.errors import SemganError
from monai_semgan.inference.inferer import SliceInversionInferer
from monai_semgan.io.formats import find_writer
from monai_semgan.workflows.scan_dataset import FAILED, ScanDataset, collate_scans
from tests.phantoms import grid, patient, save_nifti
from tests.workflows.test_inference import workflow
from tests.workflows.test_verification import monai


def broken(path: Path, kind: str) -> Path:
    """A scan that cannot be read."""
    affine, shape = grid((8.0, 8.0, 12.0))
    if kind == "constant":
        return save_nifti(path, np.zeros(shape, np.int16), affine)
    save_nifti(path, patient(affine, shape, seed=0).array, affine)
    content = {"cut off": path.read_bytes()[:2000], "empty": b"", "text": b"no image"}[kind]
    path.write_bytes(content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two scans, and room for others between them."""
    affine, shape = grid((8.0, 8.0, 12.0))
    (tmp_path / "in").mkdir()
    for name in ("a", "c"):
        save_nifti(tmp_path / "in" / f"{name}.nii.gz", patient(affine, shape, seed=0).array, affine)
    return tmp_path / "in"


def failure_of(flow: ConfigWorkflow) -> SemganError:
    flow.initialize()
    with pytest.raises(RuntimeError) as failure:
        flow.run()
    error = failure.value.__cause__
    assert isinstance(error, SemganError)
    return error


def run(bundle: Path, folder: Path, **options: Any) -> ConfigWorkflow:
    return workflow(bundle, dataset_dir=str(folder), output_dir=str(folder.parent / "out"), **options)


def written(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix("_seg.nii.gz") for path in (folder.parent / "out").iterdir())


@pytest.mark.parametrize("kind", ["cut off", "empty", "text", "constant"])
@pytest.mark.parametrize("loader", [{}, {"dataloader#num_workers": 2}, {"dataloader#batch_size": 3}])
def test_the_others_are_segmented_and_the_broken_one_is_told(
    tiny_bundle: Path, folder: Path, kind: str, loader: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    path = broken(folder / "b.nii.gz", kind)
    with caplog.at_level(logging.ERROR):
        error = failure_of(run(tiny_bundle, folder, **loader))
    assert str(error).startswith(f"1 of 3 scans failed: b ({path}: ") and "all others are done" in str(error)
    assert any(record.message.startswith(f"b: {path}: ") for record in caplog.records)
    assert written(folder) == ["a", "c"]


def test_a_single_broken_scan_is_told_as_it_is(tiny_bundle: Path, folder: Path) -> None:
    path = broken(folder / "b.nii.gz", "empty")
    assert str(failure_of(run(tiny_bundle, path))).startswith(f"{path}: the file is empty")


def test_many_failures_make_no_endless_line(tiny_bundle: Path, folder: Path) -> None:
    for number in range(9):
        broken(folder / f"x{number}.nii.gz", "empty")
    told = str(failure_of(run(tiny_bundle, folder)))
    assert told.startswith("9 of 11 scans failed: x0 (") and "x4 (" in told
    assert "x5 (" not in told and "and 4 more" in told
    assert written(folder) == ["a", "c"]


def test_a_fault_while_a_scan_is_segmented_ends_that_scan_alone(
    tiny_bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original, calls = SliceInversionInferer.__call__, []

    def first_fails(self: SliceInversionInferer, *args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("what nobody expected")
        return original(self, *args, **options)

    monkeypatch.setattr(SliceInversionInferer, "__call__", first_fails)
    error = failure_of(run(tiny_bundle, folder))
    assert "1 of 2 scans failed: a (internal error: ZeroDivisionError: what nobody expected)" in str(error)
    assert any(record.exc_info for record in caplog.records)  # a fault of ours shows its traceback
    assert written(folder) == ["c"]


def test_a_scan_whose_output_cannot_be_written_is_told_and_a_full_disk_ends_the_run(
    tiny_bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monai_semgan.io import nifti

    original = find_writer(Path("x.nii.gz"))

    def failing(number: int) -> Any:
        def write(array: np.ndarray, like: Any, path: Path) -> None:
            if "a_seg" in path.name:
                raise OSError(number, "no")
            original(array, like, path)

        return write

    monkeypatch.setattr(nifti, "write_nifti", failing(errno.EIO))
    assert "1 of 2 scans failed: a (" in str(failure_of(run(tiny_bundle, folder)))
    assert written(folder) == ["c"]
    (folder.parent / "out" / "c_seg.nii.gz").unlink()
    monkeypatch.setattr(nifti, "write_nifti", failing(errno.ENOSPC))
    flow = run(tiny_bundle, folder)
    flow.initialize()
    with pytest.raises(RuntimeError):
        flow.run()
    assert written(folder) == []


def test_notes_on_a_scan_are_told(tiny_bundle: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    affine, shape = grid((8.0, 8.0, 12.0), degrees=(30.0, 0.0, 0.0))
    save_nifti(folder / "oblique.nii.gz", patient(affine, shape, seed=0).array, affine)
    flow = run(tiny_bundle, folder)
    flow.initialize()
    flow.run()
    assert "oblique: The volume lies oblique" in caplog.text


def test_a_batch_keeps_what_could_be_read() -> None:
    def read(item: dict[str, Any]) -> dict[str, Any]:
        if item["image"] == "b":
            raise SemganError("broken")
        raise AssertionError

    data = ScanDataset([{"image": "x/b"}, {"image": "y/b"}], None)
    assert [entry["name"] for entry in data.data] == ["x__b", "y__b"]
    data = ScanDataset([{"image": "b", "name": "b"}], read)
    assert set(collate_scans([data[0]])) == {FAILED}


@pytest.mark.slow
def test_the_program_ends_with_one_line_and_another_exit_code(tiny_bundle: Path, folder: Path) -> None:
    broken(folder / "b.nii.gz", "cut off")
    places = ("--dataset_dir", str(folder), "--output_dir", str(folder.parent / "out"))
    done = monai(tiny_bundle, "run", "--config_file", "configs/inference.json", *places)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("monai.bundle: error: 1 of 3 scans failed: b (")
    assert written(folder) == ["a", "c"]
