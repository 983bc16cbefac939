"""The panel with everything real but Slicer itself: logic, threads, timer, HTTP to a server on loopback, MRML scene."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.slicer_extension.panel.bench import Bench
from tests.slicer_extension.panel.qt_actions import click, settle, shown, type_into, wait_until
from tests.slicer_extension.scans import add_scan


def test_from_connect_to_a_table_of_volumes(bench: Bench) -> None:
    bench.connect()
    assert bench.server.address in bench.ui.connectionLabel.text and "semgan_abdomen" in bench.ui.connectionLabel.text
    bench.preview()
    table = bench.ui.volumesTable
    assert [table.item(row, 0).text() for row in range(table.rowCount)] == ["liver", "right kidney", "spleen"]
    assert float(table.item(0, 1).text()) == pytest.approx(float(table.item(0, 2).text()), rel=0.01)
    assert not bench.asked and bench.ui.previewButton.enabled


def test_refine_shows_partial_results_and_then_the_maps(bench: Bench) -> None:
    bench.server.hold = True
    bench.connect()
    bench.refine()
    wait_until(lambda: bench.logic.outcome(bench.volume) is not None)
    assert "so far" in bench.ui.outcomeLabel.text and bench.ui.cancelButton.enabled
    wait_until(lambda: bench.logic.run(bench.volume).job.step == 2)
    settle()
    assert "2" in bench.ui.progressLabel.text and shown(bench.ui.lossPlot)
    bench.server.hold = False
    bench.wait()
    assert "so far" not in bench.ui.outcomeLabel.text
    box = bench.ui.mapComboBox
    assert [box.itemText(index).split(":")[0] for index in range(box.count)] == [
        "none", "Reconstruction", "Residual", "Uncertainty",
    ]  # fmt: skip


def test_cancel_keeps_the_partial_result(bench: Bench) -> None:
    bench.server.hold = True
    bench.connect()
    bench.refine()
    wait_until(lambda: bench.logic.outcome(bench.volume) is not None)
    click(bench.ui.cancelButton)
    bench.wait()
    assert bench.ui.volumesTable.rowCount == 3 and bench.ui.refineButton.enabled


def test_another_computer_is_asked_for_first_and_what_is_sent_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("SemGANLib.Server.Address.Address.local", property(lambda self: False))
    bench.connect()
    bench.answer = False
    click(bench.ui.previewButton)
    settle()
    (question,) = bench.asked
    assert all(word in question for word in ("voxel", "name", bench.server.address))
    assert not bench.server.asked("POST", "/semgan/uploads") and bench.ui.previewButton.enabled
    bench.answer = True
    bench.preview()
    assert bench.ui.volumesTable.rowCount == 3


def test_a_chosen_segmentation_is_replaced_only_after_asking(bench: Bench) -> None:
    bench.connect()
    bench.preview()
    segmentation = bench.scene.GetNodeByID(bench.logic.outcome(bench.volume).segmentation_id)
    bench.ui.targetSelector.setCurrentNode(segmentation)
    bench.answer = False
    jobs = len(bench.server.jobs)
    click(bench.ui.previewButton)
    assert len(bench.asked) == 1 and len(bench.server.jobs) == jobs
    bench.answer = True
    bench.preview()
    assert bench.logic.outcome(bench.volume).segmentation_id == segmentation.GetID()


def test_a_volume_that_is_deleted_is_no_longer_chosen(bench: Bench) -> None:
    bench.connect()
    bench.preview()
    bench.scene.RemoveNode(bench.volume)
    settle()
    assert bench.ui.inputSelector.currentNode() is None and bench.ui.outcomeLabel.text == "No result yet."
    click(bench.ui.previewButton)
    assert "No volume is chosen" in bench.says()
    bench.add_volume("another")
    bench.preview()
    assert bench.ui.volumesTable.rowCount == 3


def test_edits_are_measured_told_and_submitted(bench: Bench) -> None:
    import json

    import slicer

    bench.connect()
    bench.preview()
    bench.ui.submitSection.collapsed = False
    assert bench.ui.editedLabel.text.startswith("Not edited")
    before = float(bench.ui.volumesTable.item(0, 1).text())
    node = bench.scene.GetNodeByID(bench.logic.outcome(bench.volume).segmentation_id)
    segment = node.GetSegmentation().GetNthSegmentID(0)
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, bench.volume)
    array[: array.shape[0] // 2] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment, bench.volume)
    click(bench.ui.measureButton)
    assert float(bench.ui.volumesTable.item(0, 1).text()) < before
    type_into(bench.ui.userEdit, "A. Reader")
    click(bench.ui.submitButton)
    wait_until(lambda: bool(bench.server.labels))
    assert bench.ui.editedLabel.text.startswith("Edited")
    ((params, _label),) = bench.server.labels.values()
    assert "A. Reader" in json.dumps(params) and params["edited"] is True


SLOW = 1.5
"""Seconds that the server takes for every answer: a main thread that waited for one would stand still that long.
The client takes one of 2 s for broken."""


def test_the_main_thread_is_never_held_by_a_slow_server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer ticks every 5 ms; a gap is what a user feels. Work is counted in time of the processor, which other
    programs do not lengthen. The import of a result may take 1 s."""
    import qt
    from SemGANLib.Runs.Arrival import Arrival

    bench.connect()
    bench.volume = add_scan(bench.scene, name="large", shape=(160, 160, 60))
    bench.volume.CreateDefaultDisplayNodes()
    bench.ui.inputSelector.setCurrentNode(bench.volume)
    bench.server.deaf, bench.server.versions = SLOW, 1
    ticks: list[tuple[float, float]] = []
    imports: list[tuple[float, float]] = []

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.thread_time()

    put = Arrival._put

    def timed(*arguments: Any) -> None:
        wall, work = now()
        put(*arguments)
        imports.append((wall, now()[1] - work))

    monkeypatch.setattr(Arrival, "_put", timed)
    timer = qt.QTimer()
    timer.connect("timeout()", lambda: ticks.append(now()))
    timer.start(5)
    bench.refine()
    bench.wait()
    timer.stop()
    assert bench.logic.run(bench.volume).phase == "done"
    gaps = [(a, b) for a, b in zip(ticks, ticks[1:], strict=False) if not any(a[0] < w < b[0] for w, _ in imports)]
    assert len(imports) == 2 and len(gaps) > 100
    assert max(b[1] - a[1] for a, b in gaps) < 0.1
    assert max(b[0] - a[0] for a, b in gaps) < SLOW
    assert max(work for _, work in imports) < 1.0
