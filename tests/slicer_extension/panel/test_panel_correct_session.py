"""Correcting and learning with everything real but Slicer: panel, logic, threads, HTTP on loopback, MRML scene."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore
from SemGANLib.Scene.SegmentationImport import segment_ids

from tests.slicer_extension.nodes import expected, merged_of, paint
from tests.slicer_extension.panel.bench import Bench
from tests.slicer_extension.panel.qt_actions import click, key, settle, shown, unfold, wait_until
from tests.slicer_extension.panel.test_panel_prompts import place
from tests.slicer_extension.runs.training_server import TrainingServer


@pytest.fixture(autouse=True)
def _quick(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("SemGANLib.Panel.SegmentEditing.REST_MILLISECONDS", 20)
    monkeypatch.setattr("SemGANLib.Runs.CorrectionFollowing.QUICK_SECONDS", 0.01)
    monkeypatch.setattr("SemGANLib.Runs.Trainings.LOOK_SECONDS", 0.02)


@pytest.fixture
def reader(bench: Bench) -> Bench:
    """Somebody with a preview and the section Correct open."""
    bench.connect()
    bench.preview()
    unfold(bench.ui.correctSection)
    wait_until(lambda: bench.ui.paintButton.enabled)
    return bench


def segmentation(bench: Bench) -> Any:
    """The result."""
    return bench.scene.GetNodeByID(bench.logic.outcome(bench.volume).segmentation_id)


def label(bench: Bench) -> np.ndarray:
    """What the scene shows."""
    return merged_of(segmentation(bench), bench.volume)


def draw(bench: Bench, k: int = 8) -> np.ndarray:
    """Draw a line of the liver in a slice; returns its voxels."""
    mask = np.zeros((16, 28, 40), bool)
    mask[k, 3, 4:30] = True
    node = segmentation(bench)
    paint(node, bench.volume, segment_ids(node)[0], (label(bench) == 1) | mask)
    return mask


def settled(bench: Bench, count: int) -> None:
    """Wait until so many corrections are back."""
    corrections = bench.logic.corrections
    wait_until(lambda: len(corrections.history()) == count + 1 and not corrections.state.busy)
    settle()


def test_a_stroke_is_sent_comes_back_and_can_be_taken_back_by_key(reader: Bench) -> None:
    before = label(reader)
    click(reader.ui.paintButton)
    mask = draw(reader)
    settled(reader, 1)
    after = label(reader)
    assert (after[mask] == 1).all() and (after != before).sum() > mask.sum(), "the neighbours have followed"
    assert reader.ui.correctionsTable.item(1, 2).text() == "shown now"
    key(reader.panel.widget, "Ctrl+Z")
    np.testing.assert_array_equal(label(reader), before)
    assert reader.ui.correctionsTable.item(0, 2).text() == "shown now"
    key(reader.panel.widget, "Ctrl+Y")
    np.testing.assert_array_equal(label(reader), after)


def test_answers_are_not_taken_for_strokes(reader: Bench) -> None:
    click(reader.ui.paintButton)
    draw(reader)
    settled(reader, 1)
    draw(reader, 13)
    settled(reader, 2)
    for _ in range(20):
        settle()
    assert len(reader.server.asked_corrections) == 2 and "Nothing was painted" not in reader.says()
    assert reader.ui.paintButton.checked, "and the brush is still in the hand"


def test_a_point_reaches_the_server_with_its_sign_and_reach(reader: Bench) -> None:
    reader.ui.reachSlider.value = 12.0
    click(reader.ui.negativeButton)
    click(reader.ui.pointButton)
    place(reader.scene, _middle(reader))
    settled(reader, 1)
    (asked,) = reader.server.asked_corrections
    (stroke,) = asked["strokes"]
    assert (stroke["kind"], stroke["positive"], stroke["structure"]) == ("point", False, "liver")
    assert asked["reach_mm"] == 12 and reader.ui.pointButton.checked


def _middle(bench: Bench) -> tuple[float, float, float]:
    """A place (RAS mm) in the liver."""
    node = segmentation(bench)
    x, y, z = node.GetSegmentCenterRAS(segment_ids(node)[0])
    return float(x), float(y), float(z)


def test_a_locked_structure_is_named_to_the_server(reader: Bench) -> None:
    key(reader.panel.widget, "E")
    click(reader.ui.lockButton)
    key(reader.panel.widget, "Shift+E")
    draw(reader)
    click(reader.ui.applyButton)
    settled(reader, 1)
    assert reader.server.asked_corrections[0]["locked"] == ["right kidney"]


def test_a_segment_of_the_users_own_is_drawn_in_peace(reader: Bench) -> None:
    click(reader.ui.paintButton)
    node = segmentation(reader)
    node.GetSegmentation().AddEmptySegment("cyst", "cyst")
    mask = np.zeros((16, 28, 40), bool)
    mask[8, 3, 4:30] = True
    paint(node, reader.volume, "cyst", mask)
    rested: list[bool] = []
    QtCore.QTimer.singleShot(500, lambda: rested.append(True))
    wait_until(lambda: bool(rested))
    assert not reader.server.asked_corrections and not shown(reader.ui.messageFrame)


def test_nothing_drawn_is_told_when_apply_is_pressed(reader: Bench) -> None:
    click(reader.ui.applyButton)
    assert "Nothing was painted" in reader.says() and not reader.server.asked_corrections


def test_closing_the_scene_in_the_middle_does_no_harm_and_the_next_scan_can_be_corrected(reader: Bench) -> None:
    reader.server.hold_corrections = True
    click(reader.ui.paintButton)
    draw(reader)
    wait_until(lambda: reader.logic.corrections.state.busy)
    reader.scene.Clear(0)
    settle()
    assert not reader.ui.paintButton.enabled and not shown(reader.ui.correctBar)
    reader.server.hold_corrections = False
    reader.add_volume("second")
    reader.preview()
    wait_until(lambda: reader.ui.paintButton.enabled)
    click(reader.ui.paintButton)
    draw(reader)
    settled(reader, 1)


def test_a_new_preview_is_corrected_from_its_own_result(reader: Bench) -> None:
    click(reader.ui.paintButton)
    draw(reader)
    settled(reader, 1)
    reader.preview()
    wait_until(lambda: reader.ui.paintButton.enabled)
    assert len(reader.logic.corrections.history()) == 1 and not reader.ui.undoButton.enabled


def test_a_result_that_takes_the_place_of_a_corrected_one_is_no_stroke(reader: Bench) -> None:
    click(reader.ui.paintButton)
    draw(reader)
    settled(reader, 1)
    node = segmentation(reader)
    reader.ui.targetSelector.setCurrentNode(node)
    click(reader.ui.previewButton)
    reader.wait()
    assert segmentation(reader) is node
    wait_until(lambda: reader.ui.paintButton.enabled)
    assert len(reader.logic.corrections.history()) == 1 and not reader.ui.paintButton.checked
    np.testing.assert_array_equal(label(reader), expected(reader.volume))
    click(reader.ui.paintButton)
    draw(reader)
    settled(reader, 1)
    key(reader.panel.widget, "Ctrl+Z")
    np.testing.assert_array_equal(label(reader), expected(reader.volume))
    assert len(reader.server.asked_corrections) == 2


class TestLearning:
    @pytest.fixture
    def server(self) -> Iterator[TrainingServer]:
        with TrainingServer() as server:
            yield server
        assert not server.errors

    def test_a_new_structure_is_learnt_and_an_earlier_version_used_again(
        self, bench: Bench, server: TrainingServer
    ) -> None:
        bench.connect()
        unfold(bench.ui.learnSection)
        wait_until(lambda: bench.ui.trainButton.enabled)
        assert bench.ui.learnLabelsLabel.text == "1 of 2 final labels hold it."
        click(bench.ui.trainButton)
        wait_until(lambda: "Version 1 of the model is in use" in bench.ui.learnLabel.text)
        assert "aorta Dice 0.71" in bench.ui.learnLabel.text
        wait_until(lambda: bench.ui.versionsTable.rowCount == 2)
        bench.ui.versionsTable.selectRow(1)
        click(bench.ui.useVersionButton)
        wait_until(lambda: server.current == 0)
        wait_until(lambda: "Version 0" in bench.says())
        assert bench.ui.versionsTable.item(1, 0).text() == "0 (in use)"
