"""A list of thick oblique slices trains on these, without being asked; other lists and older runs go on as before."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from monai_semgan.slicing.model_settings import SETTINGS, find_settings
from tests.phantoms import save_datalist, save_patient
from tests.training.phantoms import TINY, train

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16), "generated_fraction": 0.0}
SHORT_AXIS = {"spacing": (5.0, 5.0, 20.0), "degrees": (40.0, -40.0, 0.0), "field": (320.0, 320.0, 200.0)}


def listed(folder: Path, **settings: Any) -> Path:
    folder.mkdir()
    entries = [save_patient(folder, name, "MR", **settings) for name in ("a", "bb", "ccc")]
    return save_datalist(folder, training=entries[:2], validation=entries[2:])


def slices_of(run: Path) -> int:
    return int(json.loads((run / "student" / "record.json").read_text())["data"]["slices"])


def test_a_list_of_oblique_thick_slices_trains_on_as_many_as_are_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = listed(tmp_path / "data", **SHORT_AXIS)
    with caplog.at_level(logging.WARNING):
        train("student", source, tmp_path / "run", **{**STUDENT, "steps": 2})
    assert slices_of(tmp_path / "run") == 2 * 10
    kept = find_settings(tmp_path / "run")
    assert kept is not None and kept.preprocessing.plane == "stored"
    assert "2 of 2 volumes have thick slices (4.0 pixels apart) that are not axial" in caplog.text


def test_the_user_may_want_axial_planes(tmp_path: Path) -> None:
    source = listed(tmp_path / "data", **SHORT_AXIS)
    train("student", source, tmp_path / "run", **{**STUDENT, "steps": 2, "plane": "axial"})
    assert slices_of(tmp_path / "run") > 2 * 20


def test_a_run_of_before_there_were_planes_goes_on_with_axial_ones(tmp_path: Path) -> None:
    source, run = listed(tmp_path / "data", **SHORT_AXIS), tmp_path / "run"
    train("student", source, run, **{**STUDENT, "steps": 2, "plane": "axial"})
    settings = json.loads((run / SETTINGS).read_text())
    del settings["plane"]
    (run / SETTINGS).write_text(json.dumps(settings))
    before = slices_of(run)
    train("student", source, run, **{**STUDENT, "steps": 4, "resume": True})
    assert slices_of(run) == before


def test_with_given_weights_the_plane_is_theirs_and_a_doubt_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    axial = listed(tmp_path / "axial", spacing=(5.0, 5.0, 20.0))
    train("student", axial, tmp_path / "first", **{**STUDENT, "steps": 2})
    source = listed(tmp_path / "data", **SHORT_AXIS)
    with caplog.at_level(logging.WARNING):
        train("student", source, tmp_path / "run", **{**STUDENT, "steps": 2, "init": tmp_path / "first"})
    assert "slices are cut in the axial plane" in caplog.text and "that are not axial" in caplog.text
