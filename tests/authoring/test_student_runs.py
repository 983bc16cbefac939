"""A bundle is filled with a student alone, and with all parts again once they are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_semgan.authoring.create import create_bundle
from monai_semgan.authoring.fill import fill_bundle
from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.modes import MODES
from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from tests.conftest import TINY_LABELS


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return create_bundle(tmp_path / "task", list(TINY_LABELS.values()), size=32, pixel_mm=11.0)


def test_a_student_makes_a_bundle_for_previews(
    run_folder: Path, empty: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["bundle", "fill", str(empty), str(run_folder / "student")]) == 0
    assert "the bundle holds a student alone: mode preview only" in caplog.text
    assert f"semgan selfcheck SCAN --bundle {empty}" in capsys.readouterr().out
    assert load_bundle(empty, "cpu").modes == ("preview",)
    assert json.loads((empty / "configs" / "train.json").read_text())["network_def"]["generator"] == "@generator_def"


def test_a_bundle_becomes_whole_with_the_other_parts(run_folder: Path, empty: Path) -> None:
    fill_bundle(empty, [run_folder / "student"])
    fill_bundle(empty, [run_folder])
    assert load_bundle(empty, "cpu").modes == MODES


def test_a_generator_without_its_encoder_is_refused_and_nothing_changes(run_folder: Path, empty: Path) -> None:
    before = (empty / "configs" / "inference.json").read_bytes()
    with pytest.raises(SemganError, match="no weights of the encoder; .* the run of a student alone makes a bundle"):
        fill_bundle(empty, [run_folder / "gan", run_folder / "student"])
    assert (empty / "configs" / "inference.json").read_bytes() == before and not (
        empty / "models" / "model.pt"
    ).exists()
