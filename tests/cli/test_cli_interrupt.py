"""Ctrl-C: an inversion hands out what it has, everything else leaves nothing behind; exit code 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.cli import main
from monai_semgan.errors import Cancelled
from monai_semgan.networks import InversionSegmenter


def test_ctrl_c_during_an_inversion_writes_the_best_result_so_far(
    ct_scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.nii.gz"
    command = [sys.executable, "-m", "monai_semgan", "segment", str(ct_scan), "--output", str(out)]
    command += ["--bundle", str(tiny_bundle), "--mode", "invert", "--steps", "5000", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seen = ""
        while "inverting step" not in seen:
            character = process.stderr.read(1)
            assert character, seen
            seen += character
        process.send_signal(signal.SIGINT)
        shown, rest = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert "Stopped early" in rest and "Traceback" not in rest
    assert "liver" in shown
    assert nibabel.load(out).shape == nibabel.load(ct_scan).shape


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_during_a_preview_writes_nothing(
    presses: int,
    ct_scan: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = InversionSegmenter.preview

    def pressing(self, image):  # type: ignore[no-untyped-def]
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, image)

    monkeypatch.setattr(InversionSegmenter, "preview", pressing)
    before = signal.getsignal(signal.SIGINT)
    out = tmp_path / "results" / "o.nii.gz"
    command = ["segment", str(ct_scan), "-o", str(out), "--bundle", str(tiny_bundle), "--batch-size", "2", "--quiet"]
    assert main(command) == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert not list(out.parent.iterdir())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_kill_in_the_middle_of_writing_leaves_no_half_file(
    ct_scan: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results" / "o.nii.gz"
    out.parent.mkdir()
    out.write_bytes(b"an earlier result")

    def interrupted(image: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(nibabel, "save", interrupted)
    assert main(["segment", str(ct_scan), "-o", str(out), "--bundle", str(tiny_bundle), "--quiet"]) == 130
    assert [path.name for path in out.parent.iterdir()] == ["o.nii.gz"]
    assert out.read_bytes() == b"an earlier result"


def test_full_disk_is_said_in_one_line(
    ct_scan: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(image: object, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel, "save", full)
    out = tmp_path / "results" / "o.nii.gz"
    assert main(["segment", str(ct_scan), "-o", str(out), "--bundle", str(tiny_bundle), "--quiet"]) == 2
    assert "disk is full" in capsys.readouterr().err
    assert not list(out.parent.iterdir())


def test_labels_of_an_interrupted_inversion_are_whole(ct_scan: Path, tiny_bundle: Path) -> None:
    from monai_semgan.bundle.load import load_bundle
    from monai_semgan.inference.segmentation import segment
    from monai_semgan.io.reading import read_volume

    def stop_at_once(event: object) -> None:
        raise Cancelled

    volume = read_volume(ct_scan)
    bundle = load_bundle(tiny_bundle, "cpu")
    result = segment(volume, bundle, "invert", steps=50, on_step=stop_at_once)
    assert result.cancelled and result.label.shape == volume.array.shape
    assert np.isfinite(result.probabilities.numpy()).all()
    assert any("Stopped early" in sentence for sentence in result.notes)


def test_ctrl_c_before_the_first_step_of_a_training_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("monai_semgan.training.run.train", interrupted)
    (tmp_path / "list.json").write_text("{}")
    arguments = [
        "train",
        "student",
        "--data",
        str(tmp_path / "list.json"),
        "--out",
        str(tmp_path / "run"),
        "--steps",
        "1",
    ]
    assert main(arguments) == 130
    told = capsys.readouterr().err
    assert "interrupted; what was prepared and saved is kept" in told and "nothing was written" not in told
