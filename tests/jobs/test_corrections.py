"""Corrections by strokes: asked for, computed, undone and done again, as a client sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.jobs.conftest import Server
from tests.jobs.reader import Reader, stroke

pytestmark = pytest.mark.label

MakeStudies = Callable[[], Path]


@pytest.fixture
def reader(server: Server) -> Reader:
    """Somebody who looks at a finished preview."""
    return Reader.of(server)


def test_a_stroke_is_in_the_label_and_slices_beyond_the_reach_are_as_they_were(reader: Reader) -> None:
    before = reader.label()
    job = reader.corrected(stroke(reader, 3, 2), reach_mm=0.0)
    assert job["corrects"] == reader.root and job["correction"] == 1 and job["message"] == "done"
    after = reader.label(job["id"])
    assert (after[3:6, 3, 2] == 2).all()
    assert (after[..., 3:] == before[..., 3:]).all()
    result = reader.server.get(f"/jobs/{job['id']}/result").json()
    assert result["job"] == job["id"] and not result["partial"] and result["shape"] == list(before.shape)
    organ = result["labels"][1]["name"]
    voxel = abs(np.linalg.det(np.asarray(result["affine"])[:3, :3])) / 1000
    assert result["volumes_ml"][organ] == pytest.approx((after == 2).sum() * voxel, abs=0.02)


def test_the_page_of_a_correction_says_that_it_was_made_by_hand_and_by_what(reader: Reader) -> None:
    job = reader.corrected(stroke(reader, 3, 2), reach_mm=0.0)["id"]
    page = reader.server.get(f"/jobs/{job}/result/report")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "corrected by hand with 1 stroke" in page.text and page.text.count("data:image/png") == 2
    assert "report" in reader.server.job(job)["parts"]
    assert "mustermann" not in page.text.lower()


def test_undo_redo_and_revert_compute_nothing_and_give_the_very_labels_of_before(reader: Reader) -> None:
    labels = [reader.label()]
    for row in (3, 4):
        labels.append(reader.label(reader.corrected(stroke(reader, row, 2))["id"]))
    assert not (labels[1] == labels[2]).all()
    for number in (1, 2, 0, 1):
        history = reader.go_to(number)
        assert history["current"] == number and (reader.current() == labels[number]).all()
        assert [step["undone"] for step in history["steps"]] == [number < 1, number < 2]
    assert {job["state"] for job in reader.server.get("/jobs").json()["jobs"]} <= {"done", "cancelled"}


def test_a_correction_after_an_undo_goes_on_from_what_is_in_force_and_drops_what_was_undone(reader: Reader) -> None:
    first = reader.corrected(stroke(reader, 3, 2), reach_mm=0.0)
    dropped = reader.corrected(stroke(reader, 4, 2), reach_mm=0.0)
    reader.go_to(1)
    third = reader.corrected(stroke(reader, 5, 2), reach_mm=0.0)
    assert third["correction"] == 3
    history = reader.history()
    assert [step["job"] for step in history["steps"]] == [first["id"], third["id"]] and history["current"] == 3
    assert reader.server.get(f"/jobs/{dropped['id']}").status_code == 404
    label = reader.current()
    assert (label[3:6, 3, 2] == 2).all() and (label[3:6, 5, 2] == 2).all()
    assert (label[3:6, 4, 2] == reader.label(first["id"])[3:6, 4, 2]).all()


def test_any_correction_of_a_job_may_be_asked_in_place_of_the_job(reader: Reader) -> None:
    first = reader.corrected(stroke(reader, 3, 2))
    second = Reader(reader.server, first["id"], reader.shape).corrected(stroke(reader, 4, 2))
    assert second["corrects"] == reader.root and second["correction"] == 2
    asked = reader.server.get(f"/jobs/{second['id']}/corrections").json()
    assert asked == reader.history() and asked["job"] == reader.root
    assert [step["structures"] for step in asked["steps"]] == [[reader.names[2]]] * 2
    assert [(step["kinds"], step["voxels"]) for step in asked["steps"]] == [(["scribble"], 3)] * 2


def test_strokes_that_contradict_count_as_drawn_last_and_the_result_says_so(reader: Reader) -> None:
    job = reader.corrected(stroke(reader, 3, 2), stroke(reader, 3, 1))
    assert (reader.label(job["id"])[3:6, 3, 2] == 1).all()
    result = reader.server.get(f"/jobs/{job['id']}/result").json()
    assert "strokes_contradict" in [finding["code"] for finding in result["findings"]]
    assert any("contradict" in note for note in result["notes"])


def test_locked_structures_keep_every_voxel(reader: Reader) -> None:
    first = reader.corrected(stroke(reader, 3, 2))
    second = reader.corrected(stroke(reader, 3, 1), locked=[reader.names[2]])
    assert ((reader.label(first["id"]) == 2) == (reader.label(second["id"]) == 2)).all()
    result = reader.server.get(f"/jobs/{second['id']}/result").json()
    assert "locked_kept" in [finding["code"] for finding in result["findings"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"structure": "gizzard"}, "unknown label 'gizzard'; the result has"),
        ({"runs": [[10**9, 1]]}, "leaves the volume"),
        ({"runs": [[0, 10**9]]}, "leaves the volume"),
        ({"runs": [[0, 0]]}, "has no voxels"),
        ({"runs": [[0, 100]] * 1000}, "more voxels than the volume"),
    ],
)
def test_a_stroke_that_makes_no_sense_is_refused_in_words(reader: Reader, change: dict[str, Any], words: str) -> None:
    refused = reader.ask({**stroke(reader, 3, 2), **change})
    assert refused.status_code == 422 and words in refused.json()["detail"]
    assert reader.history() == {"job": reader.root, "current": 0, "steps": []}


def test_strokes_of_another_grid_are_refused_and_those_of_the_scans_own_are_not(reader: Reader) -> None:
    affine = np.asarray(reader.server.get(f"/jobs/{reader.root}/result").json()["affine"])
    shape = [reader.shape[0] + 1, *reader.shape[1:]]
    assert "the scan has" in reader.ask(stroke(reader, 3, 2), shape=shape).json()["detail"]
    moved = affine.copy()
    moved[0, 3] += 5.0
    refused = reader.ask(stroke(reader, 3, 2), affine=moved.tolist())
    assert refused.status_code == 422 and "lies elsewhere" in refused.json()["detail"]
    assert reader.ask(stroke(reader, 3, 2), affine=affine.tolist()).status_code == 201


def test_unknown_jobs_and_corrections_and_jobs_without_result_are_refused(server: Server, reader: Reader) -> None:
    for answer in (
        server.get(f"/jobs/{'0' * 32}/corrections"),
        server.ask("POST", f"/jobs/{'0' * 32}/corrections", json=reader.request(stroke(reader, 3, 2))),
        server.ask("POST", f"/jobs/{'0' * 32}/corrections/current", json={"number": 0}),
    ):
        assert answer.status_code == 404 and "may have expired" in answer.json()["detail"]
    assert server.ask("POST", f"/jobs/{reader.root}/corrections/current", json={"number": 3}).status_code == 422
    running = server.running()
    early = server.ask("POST", f"/jobs/{running}/corrections", json=reader.request(stroke(reader, 3, 2)))
    assert early.status_code == 409 and "wait for its end" in early.json()["detail"]
    server.ask("POST", f"/jobs/{running}/cancel")
    server.wait(running)


def test_a_label_changed_by_hand_is_what_strokes_go_on_from(reader: Reader) -> None:
    edited = reader.label()
    edited[:, :, -1] = 1
    job = reader.corrected(stroke(reader, 3, 2), reach_mm=0.0, label=reader.upload(edited))
    label = reader.label(job["id"])
    assert (label[:, :, -1] == 1).all() and (label[3:6, 3, 2] == 2).all()
    assert (reader.go_to(0)["current"], reader.go_to(1)["current"]) == (0, 1)


def test_strokes_go_on_from_a_label_that_the_reader_has_emptied_but_it_is_no_scan(reader: Reader) -> None:
    empty = reader.upload(np.zeros(reader.shape, np.uint8))
    job = reader.corrected(stroke(reader, 3, 2), reach_mm=0.0, label=empty)
    label = reader.label(job["id"])
    assert (label[3:6, 3, 2] == 2).all() and not (label == 1).any()
    refused = reader.server.ask("POST", "/jobs", json={"upload": empty, "mode": "preview"})
    assert refused.status_code == 422 and "0 everywhere" in refused.json()["detail"]


def test_a_label_with_an_id_that_no_structure_has_changes_nothing(reader: Reader) -> None:
    edited = reader.label()
    edited[0, 0, 0] = 77
    failed = reader.server.wait(reader.asked(stroke(reader, 3, 2), label=reader.upload(edited)))
    assert failed["state"] == "failed" and "the id 77, which the model does not know" in failed["message"]
    assert reader.history()["current"] == 0


def test_a_label_on_another_grid_is_refused(reader: Reader) -> None:
    other = np.zeros((5, 6, 7), np.uint8)
    other[2] = 1
    refused = reader.ask(stroke(reader, 3, 2), label=reader.upload(other))
    assert refused.status_code == 422 and "5 x 6 x 7" in refused.json()["detail"]


def test_only_the_owner_corrects_and_undoes(server: Server) -> None:
    mine, other = {"X-SemGAN-Client": "reader-one"}, {"X-SemGAN-Client": "reader-two"}
    root = server.ask("POST", "/jobs", json={"image": "ct"}, headers=mine).json()["id"]
    server.done(root)
    reader = Reader(server, root)
    assert reader.ask(stroke(reader, 3, 2), headers=other).status_code == 403
    job = reader.ask(stroke(reader, 3, 2), headers=mine).json()
    assert job["mine"] is True
    server.done(job["id"])
    path = f"/jobs/{root}/corrections/current"
    assert server.ask("POST", path, json={"number": 0}, headers=other).status_code == 403
    assert server.ask("POST", path, json={"number": 0}, headers=mine).json()["current"] == 0


def test_removing_a_job_removes_its_corrections(reader: Reader) -> None:
    job = reader.corrected(stroke(reader, 3, 2))["id"]
    assert reader.server.ask("DELETE", f"/jobs/{reader.root}").status_code == 204
    assert reader.server.get(f"/jobs/{job}").status_code == 404
    assert not reader.server.folder(job).exists() and not reader.server.folder(reader.root).exists()


def test_removing_a_correction_leaves_the_others(reader: Reader) -> None:
    first, second = (reader.corrected(stroke(reader, row, 2))["id"] for row in (3, 4))
    assert reader.server.ask("DELETE", f"/jobs/{second}").status_code == 204
    history = reader.history()
    assert history["current"] == 1 and [step["job"] for step in history["steps"]] == [first]
