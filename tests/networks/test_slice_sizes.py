"""Sizes that the networks cannot do are refused in one line by every command, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_semgan.authoring.create import create_bundle
from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.networks.discriminators import JointDiscriminator
from monai_semgan.networks.slice_sizes import GENERATOR_SIZES, check_slice_size
from monai_semgan.networks.unet import build_student
from tests.training.phantoms import write_patients

IMPOSSIBLE = (16, 48)


def test_the_smallest_size_is_the_smallest_that_the_discriminator_scores() -> None:
    def scores(size: int) -> list[torch.Tensor]:
        return JointDiscriminator(1, 2, channels=4, num_scales=2)(
            torch.rand(2, 1, size, size), torch.rand(2, 2, size, size)
        )

    assert all(torch.isfinite(score).all() for score in scores(GENERATOR_SIZES[0]))
    with pytest.raises(ValueError, match="spatial element"):
        scores(GENERATOR_SIZES[0] // 2)


@pytest.mark.parametrize("levels", [3, 5])
@pytest.mark.parametrize("size", [16, 20, 24, 32, 48])
def test_a_student_does_the_sizes_that_are_allowed_and_no_others(size: int, levels: int) -> None:
    student = build_student(1, 2, [16] * levels).eval()
    step = 2 ** (levels - 1)
    if size % step == 0 and size > step:
        check_slice_size(size, levels, renders=False)
        assert student(torch.rand(1, 1, size, size)).shape == (1, 2, size, size)
        return
    with pytest.raises(SemganError, match=f"use a multiple of {step}, from {2 * step} on"):
        check_slice_size(size, levels, renders=False)
    with pytest.raises((RuntimeError, ValueError)):
        student(torch.rand(1, 1, size, size))


@pytest.mark.parametrize("size", IMPOSSIBLE)
@pytest.mark.parametrize("command", ["plan", "train"])
def test_commands_refuse_impossible_sizes_and_write_nothing(
    size: int, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, run = write_patients(tmp_path / "data"), tmp_path / "run"
    words = ["plan", str(listed)] if command == "plan" else ["train", "gan", "--data", str(listed), "--steps", "1"]
    assert main([*words, "--out", str(run), "--size", str(size), "--quiet"]) == 2
    told = capsys.readouterr().err
    assert f"slices of {size} pixels are not possible" in told and "32, 64, 128, 256, 512" in told
    assert "internal error" not in told and not (run / "settings.json").exists()


@pytest.mark.parametrize("size", IMPOSSIBLE)
def test_a_create_bundle_refuses_them(size: int, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match=f"slices of {size} pixels are not possible"):
        create_bundle(tmp_path / "bundle", ["liver"], size=size)
    assert not (tmp_path / "bundle").exists()
