"""The page of a run tells what a person wants to know of it, while it trains and afterwards."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from monai_semgan.errors import SemganError
from monai_semgan.slicing.model_settings import ModelSettings
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.run_page.run_content import FAILED, FINISHED, STOPPED, LiveStage, duration, run_content
from monai_semgan.training.run_page.run_writing import WORST, write_run_page
from tests.training.phantoms import TINY, train

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16, 16), "generated_fraction": 0.0}

RECORD: dict[str, Any] = {
    "stage": "student",
    "step": 400,
    "seconds": 100.0,
    "seconds_by_kind": {"training": 100.0, "checks": 3.0, "pictures": 1.0, "preparation": 65.0},
    "images": 6400,
    "images_per_s": 64.0,
    "finished": False,
    "metrics": {"dice": 0.8, "dice_1": 0.9, "dice_2": math.nan},
    "history": [{"step": 200, "dice": 0.85, "dice_1": 0.9}, {"step": 400, "dice": 0.8, "dice_1": None}],
    "losses": [{"step": 1, "loss": 2.0}, {"step": 400, "loss": 0.5}],
    "data": {"labelled": ["ann", "bert"], "unlabelled": ["cleo"], "validation": ["dora"], "slices": 90},
    "details": {
        "validation_dice": {"<b>dora</b>": [0.9, math.nan], "emil": [0.3, 0.2]},
        "validation_slices": 40,
        "worst_slices": [{"scan": "emil", "slice": 7, "dice": 0.125}],
        "plausible_pairs": 0.75,
    },
}


def page(run: Path, live: LiveStage | None) -> str:
    return write_run_page(run, live).read_text(encoding="utf-8")


def test_the_page_of_a_training_tells_figures_time_left_and_loads_itself_again(tmp_path: Path) -> None:
    (tmp_path / "plan.html").write_text("the plan")
    (tmp_path / "student").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "student" / WORST)
    text = page(tmp_path, LiveStage(RECORD, share=0.5, eta_seconds=95.0))
    for part in ("2 patients", "1 patient", "50 %", "1 min 35 s", "64.0", "0.800, best so far 0.850, on 40 slices"):
        assert part in text
    for part in ("75 %", "preparation 1 min 05 s", "emil, slice 7: 0.12", 'href="plan.html"', "training</span>"):
        assert part in text
    assert 'http-equiv="refresh"' in text
    assert text.index("emil") < text.index("dora"), "the worst first"


@pytest.mark.parametrize(("view", "told"), [("body", "32 x 32 pixels of 2.5 mm<"), ("image", "32 x 32 pixels<")])
def test_slices_of_pictures_are_told_without_millimetres(view: str, told: str, tmp_path: Path) -> None:
    cut = Preprocessing(size=32, pixel_mm=2.5, num_classes=2, field_of_view=view)
    ModelSettings(cut, {1: "lungs"}, ("DX",)).save(tmp_path / "settings.json")
    assert told in page(tmp_path, LiveStage(RECORD))


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    text = page(tmp_path, LiveStage(RECORD))
    assert "<b>dora" not in text and "&lt;b&gt;dora" in text


def test_the_page_needs_no_network_and_no_script(tmp_path: Path) -> None:
    text = page(tmp_path, LiveStage(RECORD))
    assert "<script" not in text and not re.search(r'(src|href)="http', text)


def test_a_run_that_nobody_is_at_is_stopped_or_finished_and_keeps_still(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    for finished, state in ((False, STOPPED), (True, FINISHED)):
        record = json.dumps({**RECORD, "finished": finished, "metrics": {}, "details": {}})
        (tmp_path / "student" / "record.json").write_text(record)
        text = page(tmp_path, None)
        assert f"{state}</span>" in text and 'http-equiv="refresh"' not in text


def test_a_run_whose_last_validation_was_left_out_is_not_finished(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "record.json").write_text(json.dumps({**RECORD, "finished": True, "validated": False}))
    text = page(tmp_path, None)
    assert "stopped</span>" in text and "finished</span>" not in text


@pytest.mark.parametrize("end", [{"steps": 1600, "budget": None}, {"steps": None, "budget": 400.0}])
def test_a_stopped_stage_tells_how_far_it_came(end: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "record.json").write_text(json.dumps({**RECORD, "metrics": {}, "schedule": end}))
    text = page(tmp_path, None)
    assert "stopped</span>" in text and "400 (25 % of the schedule)" in text


def test_the_best_score_is_one_of_those_that_are_numbers(tmp_path: Path) -> None:
    history = [{"step": 1, "dice": math.nan}, {"step": 2, "dice": None}, {"step": 3, "dice": 0.4}, {"step": 4}]
    assert "best so far 0.400" in page(tmp_path, LiveStage({**RECORD, "history": history}))
    assert "best so far" not in page(tmp_path, LiveStage({**RECORD, "history": history[:1]}))


@pytest.mark.parametrize("broken", [{"history": 7}, {"details": ["no mapping"]}, {"metrics": None}, {"losses": [3]}])
def test_a_record_that_is_none_of_this_version_does_not_end_a_training(
    broken: dict[str, Any], datalist: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gan").mkdir()
    (tmp_path / "gan" / "record.json").write_text(json.dumps({"stage": "gan", "step": 3, **broken}))
    (result,) = train("student", datalist, tmp_path, steps=1, **STUDENT)
    assert result.finished and "the page of the run is not up to date" in caplog.text


def test_a_failed_stage_says_why(tmp_path: Path) -> None:
    text = page(tmp_path, LiveStage(RECORD, FAILED, message="the training has diverged"))
    assert "the training has diverged" in text and "failed</span>" in text


def test_the_page_of_a_training_that_diverges_says_so(datalist: Path, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="diverged"):
        train("student", datalist, tmp_path, steps=5, learning_rate=1e30, **STUDENT)
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "failed</span>" in text and "diverged" in text and "<td>5 (100 % of the schedule)</td>" in text


def test_records_of_older_versions_and_an_empty_run_have_a_page(tmp_path: Path) -> None:
    assert run_content(tmp_path).stages == []
    page(tmp_path, None)
    (tmp_path / "gan").mkdir()
    (tmp_path / "gan" / "record.json").write_text('{"stage": "gan", "step": 3, "metrics": {"frechet": 2.5}}')
    assert "2.500" in page(tmp_path, None)


def test_durations_are_said_in_words() -> None:
    told = {5: "5 s", 65: "1 min 05 s", 3900: "1 h 05 min", None: "unknown", math.inf: "unknown"}
    assert {seconds: duration(seconds) for seconds in told} == told


def test_a_training_leaves_page_and_curves_with_its_worst_slices(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=6, **{**STUDENT, "validations": 3})
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "finished</span>" in text and "p3" in text and text.count("data:image/png") == 3
    assert 'http-equiv="refresh"' not in text
    with Image.open(tmp_path / "progress.png") as picture:
        assert picture.width > 600
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["losses"][0]["step"] == 1
    assert set(record["seconds_by_kind"]) == {"training", "checks", "pictures", "preparation"}
    assert record["history"][0]["step"] < 6, "there was a validation before the end"


def test_a_page_that_cannot_be_written_does_not_end_a_training(
    datalist: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run.html").mkdir()
    (result,) = train("student", datalist, tmp_path, steps=2, **STUDENT)
    assert result.finished and "run.html" in caplog.text
