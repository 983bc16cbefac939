"""What the logic refuses to begin, and what it says of results."""

from __future__ import annotations

import numpy as np
import pytest
from SemGANLib.Scene import Geometry

from tests.slicer_extension.nodes import (
    expected,
    paint,
)
from tests.slicer_extension.scans import add_scan, add_volume
from tests.slicer_extension.server_answers import MODEL_INFO
from tests.slicer_extension.session import Session


def test_a_slice_range_outside_of_the_volume_is_refused(session, scene, server):
    volume = add_scan(scene)
    low, high = session.logic.slice_bounds(volume)
    session.logic.choices.slice_range_mm = (high + 10, high + 20)
    session.logic.preview(volume)
    assert f"between {low:.0f} and {high:.0f} mm" in session.messages[-1].text
    assert not server.jobs


def test_the_modality_is_guessed_by_the_server_unless_it_is_chosen(session, scene, server):
    volume, other = add_scan(scene), add_scan(scene, name="other")
    session.logic.choices.volume = volume
    session.preview(volume)
    session.logic.choices.modality = "MR"
    session.preview(volume)
    session.logic.choices.volume = other
    assert session.logic.choices.modality == ""
    session.preview(other)
    session.preview(volume)
    assert [job["request"].get("modality") for job in server.jobs.values()] == [None, "MR", None, "MR"]
    session.logic.choices.volume = volume
    session.logic.choices.modality = ""
    session.preview(volume)
    assert "modality" not in list(server.jobs.values())[-1]["request"]


def test_findings_of_the_server_come_with_the_result_and_stay_in_the_scene(session, scene, server, monkeypatch):
    told = {"code": "cut_by_edge", "level": "warning", "labels": [1], "text": "The liver is cut by the edge."}
    answer = server._result
    monkeypatch.setattr(server, "_result", lambda job: {**answer(job), "findings": [told]})
    volume = add_scan(scene)
    session.preview(volume)
    (finding,) = session.logic.outcome(volume).result.findings
    assert (finding.code, finding.level, finding.labels) == ("cut_by_edge", "warning", (1,))
    assert finding.text == told["text"]


@pytest.mark.parametrize("kind", ["out of domain", "modality"])
def test_an_unedited_result_of_a_scan_unlike_the_models_becomes_final_only_after_a_question(
    session, scene, server, monkeypatch, kind
):
    if kind == "modality":
        found = {"code": "modality_unlearnt", "level": "warning", "labels": [], "text": "The model has learnt from CT."}
        answer = server._result
        monkeypatch.setattr(server, "_result", lambda job: {**answer(job), "findings": [found]})
    else:
        server.domain = {"score": 0.9, "verdict": "out of domain", "advice": "Check.", "expected_dice": {}}
    volume = add_scan(scene)
    session.preview(volume)
    session.answer = False
    session.logic.submit(volume, "A. Reader", "final")
    session.settle()
    assert len(session.asked) == 1 and "unlike" in session.asked[0] and not server.labels
    session.logic.submit(volume, "A. Reader", "preliminary")
    session.wait(lambda: server.labels)
    assert len(session.asked) == 1


def test_how_long_a_mode_takes_is_asked_again_after_a_run(session, scene, server, monkeypatch):
    volume = add_scan(scene)
    slow = {**MODEL_INFO, "modes": [{**mode, "seconds": 77.0} for mode in MODEL_INFO["modes"]]}
    monkeypatch.setattr("tests.slicer_extension.server_answers.MODEL_INFO", slow)
    assert {mode.seconds for mode in session.logic.chosen_model().modes} != {77.0}
    session.preview(volume)
    session.wait(lambda: {mode.seconds for mode in session.logic.chosen_model().modes} == {77.0})


def test_a_failure_of_a_volume_that_is_not_in_front_of_the_user_names_it(session, scene, server):
    server.fail = "The device has no memory left."
    chosen, other = add_scan(scene, name="CT 1"), add_scan(scene, name="CT 2")
    session.logic.choices.volume = chosen
    session.preview(other)
    assert session.messages[-1].text.startswith("CT 2: ")
    session.preview(chosen)
    assert session.messages[-1].text.startswith("The device")


def test_one_volume_is_not_segmented_twice_at_once(session, scene, server):
    volume = add_scan(scene)
    session.logic.preview(volume)
    session.logic.preview(volume)
    assert "already" in session.messages[-1].text
    session.finish(volume)
    assert len(server.jobs) == 1


def test_refusals_come_before_anything_is_sent(session, scene, server):
    count = len(server.requests)
    session.logic.preview(None)
    assert "Choose a volume" in session.messages[-1].text
    session.logic.preview(add_volume(scene, np.zeros((2, 9, 9), np.int16), np.eye(4)))
    assert "2 slices" in session.messages[-1].text
    assert len(server.requests) == count


def test_a_volume_larger_than_the_server_takes(scene, server):
    server.health = {"upload_limit_bytes": 1000}
    session = Session(scene)
    session.connect(server.address)
    session.logic.preview(add_scan(scene))
    assert "Crop" in session.messages[-1].text


def test_a_scan_unlike_the_models_gets_a_plain_warning(session, scene, server):
    volume = add_scan(scene)
    server.domain = {"score": 0.9, "verdict": "out of domain", "advice": "Check the upper pole.", "expected_dice": {}}
    session.preview(volume)
    assert session.logic.outcome(volume).warning == (
        "This scan is unlike those the model has learnt from. Check the upper pole."
    )
    server.domain = {**server.domain, "verdict": "unusual"}
    session.preview(volume)
    assert "unusual" in session.logic.outcome(volume).warning
    server.domain = {**server.domain, "verdict": "in domain"}
    session.preview(volume)
    assert session.logic.outcome(volume).warning == ""


def test_the_table_shows_volumes_as_they_are_now_beside_the_models(session, scene):
    volume = add_scan(scene, "oblique")
    session.preview(volume)
    rows = {row.name: row for row in session.logic.organ_volumes(volume)}
    assert rows["liver"].measured_ml == pytest.approx(rows["liver"].server_ml)
    assert rows["liver"].measured_ml == pytest.approx((expected(volume) == 1).sum() * 8 * 8 * 12 / 1000)
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    paint(node, volume, "liver", np.zeros((16, 28, 40)))
    rows = {row.name: row for row in session.logic.organ_volumes(volume)}
    assert rows["liver"].measured_ml == 0 and rows["liver"].server_ml > 0
    lines = session.logic.volumes_csv(volume).splitlines()
    assert lines[0] == "organ,volume_ml,model_volume_ml"
    assert lines[1].startswith("liver,0.00,")


def test_the_plot_knows_where_every_slice_is(session, scene):
    volume = add_scan(scene, "flipped")
    session.refine(volume)
    points = session.logic.slice_values(volume)
    assert len(points) == 16
    assert [point.position for point in points] == sorted(point.position for point in points)
    first = points[0]
    assert first.residual == 15.0, "slices are stored from the head down"
    np.testing.assert_allclose(first.centre, (Geometry.ijk_to_ras(volume) @ [0, 0, 15, 1])[:3])


def test_surfaces_only_on_request(session, scene):
    volume = add_scan(scene)
    session.preview(volume)
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    session.logic.show_surfaces(volume, True)
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    session.logic.show_surfaces(volume, False)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_the_report_is_saved(session, scene, tmp_path):
    volume = add_scan(scene)
    session.preview(volume)
    session.logic.fetch_report(volume, str(tmp_path / "report.html"))
    session.settle()
    assert "Research use only" in (tmp_path / "report.html").read_text()
    assert "report.html" in session.messages[-1].text


def test_a_report_that_cannot_be_saved_says_so(session, scene, tmp_path):
    volume = add_scan(scene)
    session.preview(volume)
    session.logic.fetch_report(volume, str(tmp_path / "missing" / "report.html"))
    session.settle()
    assert session.messages[-1].level == "error"
