"""The panel with everything real but Slicer itself: logic, threads, timer, HTTP to a server on loopback, MRML scene."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from SemGANLib.Nrrd import Grid

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.panel.conftest import dispose
from tests.slicer_extension.panel.qt_actions import click, settle, shown, type_into, wait_until
from tests.slicer_extension.scans import add_scan, add_volume
from tests.slicer_extension.session import MemorySettings

SECONDS = 1.0
"""Until a request is given up in these tests."""


class Bench:
    """A user in front of the panel.

    Attributes:
        server: on loopback.
        volume: a scan in the scene, chosen.
        asked: questions so far; `answer` is given to all.
    """

    def __init__(self, scene: Any, server: FakeServer) -> None:
        from SemGANLib.Client import Client
        from SemGANLib.Compose import compose
        from SemGANLib.Widget import Panel

        self.scene, self.server = scene, server
        self.asked: list[str] = []
        self.answer = True
        settings = MemorySettings()
        self.logic = compose(scene, settings, self._confirm, lambda address, key: Client(address, key, SECONDS))
        self.panel = Panel(self.logic, settings)
        self.ui = self.panel.ui
        self.panel.widget.resize(420, 1500)
        self.panel.widget.show()
        self.volume = self.add_volume()

    def _confirm(self, _title: str, text: str) -> bool:
        self.asked.append(text)
        return self.answer

    def add_volume(self, name: str = "CT") -> Any:
        """Another scan, chosen."""
        self.volume = add_scan(self.scene, name=name)
        self.volume.CreateDefaultDisplayNodes()
        self.ui.inputSelector.setCurrentNode(self.volume)
        return self.volume

    def connect(self, address: str = "", key: str = "") -> None:
        """Type and click, and wait for what comes of it."""
        if self.logic.connection.state == "on":
            click(self.ui.connectButton)
        type_into(self.ui.addressEdit, address or self.server.address)
        type_into(self.ui.keyEdit, key)
        click(self.ui.connectButton)
        wait_until(lambda: self.logic.connection.state != "connecting")

    def wait(self) -> None:
        """Until the run of the volume has ended."""
        wait_until(lambda: self.logic.run(self.volume) is not None and not self.logic.run(self.volume).active, 30)
        settle()

    def preview(self) -> None:
        """Click and wait."""
        click(self.ui.previewButton)
        self.wait()

    def says(self) -> str:
        """All that the user can read of what happened."""
        labels = (self.ui.messageLabel, self.ui.connectionLabel, self.ui.progressLabel, self.ui.problemLabel)
        return "\n".join(label.text for label in labels if shown(label))

    def close(self) -> None:
        """Leave."""
        self.panel.close()
        self.logic.close()
        dispose(self.panel.widget)


@pytest.fixture
def bench(scene: Any, server: FakeServer) -> Iterator[Bench]:
    """Not connected yet; one volume."""
    bench = Bench(scene, server)
    yield bench
    bench.close()


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
    click(bench.ui.refineButton)
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
    click(bench.ui.refineButton)
    wait_until(lambda: bench.logic.outcome(bench.volume) is not None)
    click(bench.ui.cancelButton)
    bench.wait()
    assert bench.ui.volumesTable.rowCount == 3 and bench.ui.refineButton.enabled


def test_another_computer_is_asked_for_first_and_what_is_sent_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("SemGANLib.Address.Address.local", property(lambda self: False))
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


# bad input: what makes it, what the user reads

Trouble = Callable[[Bench], None]


def no_server(bench: Bench) -> None:
    bench.connect("http://127.0.0.1:1")


def wrong_address(bench: Bench) -> None:
    bench.connect("my server")


def another_kind_of_server(bench: Bench) -> None:
    bench.server.check, bench.server.health = False, {"product": "something else"}
    bench.connect()
    bench.server.health = {}


def wrong_key(bench: Bench) -> None:
    bench.server.key = "right"
    bench.connect(key="wrong")
    bench.server.key = ""


def older_server(bench: Bench) -> None:
    bench.server.check, bench.server.health = False, {"api": "0.9"}
    bench.connect()
    bench.server.health = {}


def time_out(bench: Bench) -> None:
    bench.server.deaf = 3 * SECONDS
    bench.connect()
    bench.server.deaf = 0.0


def server_dies(bench: Bench) -> None:
    bench.server.hold = True
    bench.connect()
    click(bench.ui.refineButton)
    wait_until(lambda: bench.logic.outcome(bench.volume) is not None)
    bench.server.die()
    wait_until(lambda: bench.logic.run(bench.volume).phase == "lost")
    settle()


def job_fails(bench: Bench) -> None:
    bench.server.fail = "The device has no memory left; use fewer slices."
    bench.connect()
    bench.preview()
    bench.server.fail = ""


def no_connection(bench: Bench) -> None:
    click(bench.ui.previewButton)


def no_volume(bench: Bench) -> None:
    bench.connect()
    bench.ui.inputSelector.setCurrentNode(None)
    click(bench.ui.previewButton)


def two_slices(bench: Bench) -> None:
    bench.connect()
    thin = add_volume(bench.scene, np.zeros((2, 28, 40), np.int16), np.diag([8.0, 8.0, 12.0, 1.0]), "thin")
    bench.ui.inputSelector.setCurrentNode(thin)
    click(bench.ui.previewButton)


def another_grid(bench: Bench) -> None:
    bench.server.grid_of = lambda grid: Grid(grid.array, np.diag([1.0, 1.0, 1.0, 1.0]))
    bench.connect()
    bench.preview()
    bench.server.grid_of = lambda grid: grid


def scene_closed(bench: Bench) -> None:
    bench.server.hold = True
    bench.connect()
    click(bench.ui.refineButton)
    wait_until(lambda: bench.logic.outcome(bench.volume) is not None)
    bench.scene.Clear(0)
    settle()
    bench.server.hold = False


ROWS: list[tuple[Trouble, tuple[str, ...]]] = [
    (no_server, ("127.0.0.1:1", "Start it")),
    (wrong_address, ("address",)),
    (another_kind_of_server, ("SemGAN server",)),
    (wrong_key, ("key",)),
    (older_server, ("0.9", "pdate")),
    (time_out, ("answer",)),
    (server_dies, ("answer",)),
    (job_fails, ("no memory left",)),
    (no_connection, ("Connect to a server",)),
    (no_volume, ("No volume is chosen",)),
    (two_slices, ("slices",)),
    (another_grid, ("grid",)),
    (scene_closed, ()),
]


@pytest.mark.parametrize(("trouble", "words"), ROWS, ids=[trouble.__name__ for trouble, _ in ROWS])
def test_bad_input_is_explained_and_the_panel_can_be_used_afterwards(
    bench: Bench, trouble: Trouble, words: tuple[str, ...]
) -> None:
    voxels = bench.volume.GetImageData().GetPointData().GetScalars()
    mine = bench.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn by hand")
    mine.GetSegmentation().AddEmptySegment("tumour")
    trouble(bench)
    for word in words:
        assert word in bench.says(), bench.says()
    assert "Traceback" not in bench.says() and "Error" not in bench.says()
    if trouble is scene_closed:
        assert bench.ui.outcomeLabel.text == "No result yet." and not shown(bench.ui.progressBar)
        bench.add_volume()
    else:
        assert mine.GetSegmentation().GetNumberOfSegments() == 1
        assert bench.volume.GetImageData().GetPointData().GetScalars() is voxels
        bench.ui.inputSelector.setCurrentNode(bench.volume)
    if trouble is server_dies:
        assert bench.ui.volumesTable.rowCount == 3  # what had come is still there
        click(bench.ui.cancelButton)
        bench.wait()
        bench.server.hold = False
        bench.server.listen(bench.server.port)
    bench.connect()
    bench.preview()
    assert bench.logic.run(bench.volume).phase == "done", bench.says()
    assert bench.ui.volumesTable.rowCount == 3 and bench.ui.previewButton.enabled


SLOW = 0.4
"""Seconds that the server takes for every answer: a main thread that waited for one would stand still that long."""


def test_the_main_thread_is_never_held_by_a_slow_server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer ticks every 5 ms; a gap is what a user feels. Work is counted in time of the processor, which other
    programs do not lengthen. The import of a result may take 1 s."""
    import qt
    from SemGANLib.VolumeRun import VolumeRun

    bench.connect()
    bench.volume = add_scan(bench.scene, name="large", shape=(160, 160, 60))
    bench.volume.CreateDefaultDisplayNodes()
    bench.ui.inputSelector.setCurrentNode(bench.volume)
    bench.server.deaf, bench.server.versions = SLOW, 1
    ticks: list[tuple[float, float]] = []
    imports: list[tuple[float, float]] = []

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.thread_time()

    put = VolumeRun._put

    def timed(*arguments: Any) -> None:
        wall, work = now()
        put(*arguments)
        imports.append((wall, now()[1] - work))

    monkeypatch.setattr(VolumeRun, "_put", timed)
    timer = qt.QTimer()
    timer.connect("timeout()", lambda: ticks.append(now()))
    timer.start(5)
    click(bench.ui.refineButton)
    bench.wait()
    timer.stop()
    assert bench.logic.run(bench.volume).phase == "done"
    gaps = [(a, b) for a, b in zip(ticks, ticks[1:], strict=False) if not any(a[0] < w < b[0] for w, _ in imports)]
    assert len(imports) == 2 and len(gaps) > 100
    assert max(b[1] - a[1] for a, b in gaps) < 0.1
    assert max(b[0] - a[0] for a, b in gaps) < SLOW
    assert max(work for _, work in imports) < 1.0
