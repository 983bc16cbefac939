"""Bundles of other versions: one of 0.1 works as it did then, one of a later version is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest

import monai_semgan as sg
from monai_semgan import _moved
from monai_semgan._moved import OldNameWarning
from monai_semgan.bundle.compatibility import refuse_newer
from monai_semgan.cli import main
from tests.fixtures_0_1.using import MODES, copy_bundle, expected, facts, run_with_monai, segmented, write_scan


@pytest.fixture
def old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle of 0.1; nothing has been warned of yet."""
    monkeypatch.setattr(_moved, "_told", set())
    return copy_bundle(tmp_path / "kidneys")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """The scan that 0.1 segmented with it."""
    return write_scan(tmp_path / "scan.nii.gz")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_bundle_of_0_1_segments_to_the_same_voxels(old_bundle: Path, scan: Path, mode: str) -> None:
    assert segmented(old_bundle, scan, mode) == expected(mode)


def test_a_bundle_of_0_1_warns_once_with_the_new_names(old_bundle: Path) -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for _ in range(2):
            sg.load_bundle(old_bundle, "cpu")
    told = [str(one.message) for one in found if issubclass(one.category, OldNameWarning)]
    moved = [text for text in told if "monai_semgan.data.preprocessing.Preprocessing" in text]
    assert len(moved) == 1 and "write monai_semgan.Preprocessing; `semgan bundle update DIR`" in moved[0]
    assert len(told) == len(set(told))
    assert any("frame is called field_of_view" in text for text in told)


def test_the_command_line_tells_old_names_in_one_line_each(old_bundle: Path, scan: Path, tmp_path: Path) -> None:
    options = ("--bundle", str(old_bundle), "--device", "cpu", "--quiet", "-o", str(tmp_path / "o.nii.gz"))
    command = [sys.executable, "-m", "monai_semgan", "segment", str(scan), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    notes = [line for line in done.stderr.splitlines() if "has moved" in line or "is called" in line]
    assert notes and all(line.startswith("semgan: note: ") for line in notes)
    assert len(notes) == len(set(notes)) and "Traceback" not in done.stderr
    assert facts(np.asarray(nibabel.load(tmp_path / "o.nii.gz").dataobj)) == expected("preview")


def test_monai_runs_the_configuration_of_0_1(old_bundle: Path, scan: Path, tmp_path: Path) -> None:
    done = run_with_monai(old_bundle, scan, tmp_path / "out")
    assert "monai_semgan.inferers.SliceInversionInferer has moved" in done.stderr
    (written,) = (tmp_path / "out").iterdir()
    assert facts(np.asarray(nibabel.load(written).dataobj)) == expected("preview")


@pytest.mark.parametrize("command", ["segment", "info", "update"])
def test_a_bundle_of_a_later_version_is_refused_in_one_line(
    old_bundle: Path, scan: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = old_bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["required_packages_version"]["monai_semgan"] = "0.30.0"
    path.write_text(json.dumps(metadata))
    arguments = {
        "segment": ["segment", str(scan), "-o", str(tmp_path / "o.nii.gz"), "--bundle", str(old_bundle)],
        "info": ["info", "--bundle", str(old_bundle)],
        "update": ["bundle", "update", str(old_bundle)],
    }
    assert main(arguments[command]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"the bundle needs monai_semgan 0.30.0, this is {sg.__version__}" in line
    assert "install monai_semgan 0.30.0 or later" in line and str(path) in line


@pytest.mark.parametrize("needed", [sg.__version__, "0.1", "0.1.0rc1", "", "unknown", None])
def test_bundles_of_this_and_of_earlier_versions_are_taken(needed: str | None, tmp_path: Path) -> None:
    packages = {} if needed is None else {"monai_semgan": needed}
    refuse_newer({"required_packages_version": packages}, tmp_path)
    refuse_newer({}, tmp_path)


@pytest.mark.parametrize("needed", ["0.2.1", "0.10", "1", "99.0.0rc1"])
def test_versions_are_compared_as_numbers(needed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_semgan.bundle.compatibility.__version__", "0.2.0")
    with pytest.raises(sg.SemganError, match=f"needs monai_semgan {needed}"):
        refuse_newer({"required_packages_version": {"monai_semgan": needed}}, tmp_path)
