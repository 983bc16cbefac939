"""Steps of the self test that runs inside Slicer; see `SemGANTest`. No server and no network are needed.

Every step takes the test case, begins with an empty scene, and its docstring is what the user reads meanwhile.
"""

from __future__ import annotations

import time
from typing import Any, Callable

import slicer

from ..Compose import compose
from ..Panel.Widget import Panel
from ..Scene.SampleScan import SCAN
from .SelfTestClient import ADDRESS, BRIGHT, SelfTestClient

PATIENCE = 20.0
"""Seconds until a step gives up."""


class _Settings:
    """Instead of the user's own."""

    def value(self, _key: str, default: Any = None) -> Any:
        return default

    def setValue(self, _key: str, _value: Any) -> None:
        """Store nothing."""

    def remove(self, _key: str) -> None:
        """Do nothing: nothing is stored."""


class _Bench:
    """A panel on a server in memory, with the scan that comes along."""

    def __init__(self) -> None:
        self.client = SelfTestClient()
        self.logic = compose(settings=_Settings(), confirm=lambda *_: True, make_client=lambda *_: self.client)
        self.panel = Panel(self.logic, _Settings())
        self.ui = self.panel.ui
        self.volume = slicer.util.loadVolume(str(SCAN))
        self.logic.choices.volume = self.volume

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.panel.close()
        self.logic.close()

    def wait(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not reached():
            if time.monotonic() > end:
                raise AssertionError(f"gave up waiting; the panel says: {self.ui.messageLabel.text}")
            slicer.app.processEvents()
            time.sleep(0.01)

    def connect(self) -> None:
        self.ui.addressEdit.setText(ADDRESS)
        self.ui.connectButton.click()
        self.wait(lambda: self.logic.connection.state == "on")

    def segment(self, button: Any) -> Any:
        button.click()
        self.wait(lambda: self.logic.run(self.volume) is not None and not self.logic.run(self.volume).active)
        return self.logic.outcome(self.volume)


def says_what_is_missing(test: Any) -> None:
    """Without a server the panel says what to do."""
    with _Bench() as bench:
        bench.ui.previewButton.click()
        test.assertIn("server", bench.ui.messageLabel.text)
        test.assertTrue(bench.ui.previewButton.enabled)


def segments_on_the_grid_of_the_scan(test: Any) -> None:
    """Preview: the segment has the scan's voxels, and the scan stays as it was."""
    with _Bench() as bench:
        before = slicer.util.arrayFromVolume(bench.volume).copy()
        bench.connect()
        outcome = bench.segment(bench.ui.previewButton)
        segmentation = slicer.mrmlScene.GetNodeByID(outcome.segmentation_id)
        segment = segmentation.GetSegmentation().GetNthSegmentID(0)
        found = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment, bench.volume)
        test.assertTrue(((found > 0) == (before > BRIGHT)).all())
        test.assertTrue((slicer.util.arrayFromVolume(bench.volume) == before).all())
        test.assertEqual(bench.ui.volumesTable.rowCount, 1)


def shows_the_maps_and_gives_the_layout_back(test: Any) -> None:
    """Refine: the maps come, are compared side by side, and the layout goes back."""
    with _Bench() as bench:
        bench.connect()
        outcome = bench.segment(bench.ui.refineButton)
        test.assertEqual(set(outcome.maps), {"reconstruction", "residual", "uncertainty"})
        manager = slicer.app.layoutManager()
        before = manager.layout if manager is not None else None
        bench.ui.compareButton.click()
        if manager is not None:
            test.assertNotEqual(manager.layout, before)
        bench.ui.compareButton.click()
        if manager is not None:
            test.assertEqual(manager.layout, before)


def takes_slicers_tools_for_corrections(test: Any) -> None:
    """Correct: a brush and a point are taken on the result, and the mouse is given back."""
    with _Bench() as bench:
        bench.connect()
        bench.segment(bench.ui.previewButton)
        bench.ui.correctSection.collapsed = False
        bench.wait(lambda: bench.ui.paintButton.enabled)
        mode = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        bench.ui.paintButton.click()
        test.assertEqual(bench.panel.correct.effect, "Paint")
        bench.ui.pointButton.click()
        test.assertEqual(bench.panel.correct.effect, "")
        test.assertEqual(mode.GetCurrentInteractionMode(), mode.Place)
        bench.ui.pointButton.click()
        slicer.app.processEvents()
        test.assertEqual(mode.GetCurrentInteractionMode(), mode.ViewTransform)
        test.assertFalse(bench.ui.pointButton.checked)


def submits_the_label(test: Any) -> None:
    """Submit: the label goes to the server with the user's name."""
    with _Bench() as bench:
        bench.connect()
        bench.segment(bench.ui.previewButton)
        bench.ui.submitSection.collapsed = False
        bench.ui.userEdit.setText("Self Test")
        bench.ui.submitButton.click()
        bench.wait(lambda: bool(bench.client.labels))
        test.assertIn("Self Test", str(list(bench.client.labels.values())[0]))


def survives_a_closed_scene(test: Any) -> None:
    """The scene is closed: the panel can be used afterwards."""
    with _Bench() as bench:
        bench.connect()
        bench.segment(bench.ui.previewButton)
        slicer.mrmlScene.Clear()
        slicer.app.processEvents()
        test.assertEqual(bench.ui.volumesTable.rowCount, 0)
        bench.volume = slicer.util.loadVolume(str(SCAN))
        bench.logic.choices.volume = bench.volume
        test.assertIsNotNone(bench.segment(bench.ui.previewButton))


STEPS = (
    says_what_is_missing,
    segments_on_the_grid_of_the_scan,
    shows_the_maps_and_gives_the_layout_back,
    takes_slicers_tools_for_corrections,
    submits_the_label,
    survives_a_closed_scene,
)
