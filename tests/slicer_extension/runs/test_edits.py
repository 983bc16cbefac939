"""Which segmentations of a loaded scene differ from the results that they came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from SemGANLib.Runs.Edits import Edits
from SemGANLib.Scene.Records import records

from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.session import Session


class HoldingRunner:
    """Keeps what it is to run, and answers when told."""

    def __init__(self) -> None:
        self.held: list[Callable[[], None]] = []

    def run(self, work: Callable[[], Any], done: Callable[[Any], None], _failed: Callable[[Exception], None]) -> None:
        self.held.append(lambda: done(work()))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_older_comparison_that_answers_late_does_not_make_a_result_edited(
    scene: Any, server: Any, order: tuple[int, int]
) -> None:
    session = Session(scene)
    session.connect(server.address)
    session.refine(add_scan(scene, "axial", "scan"))
    (record,) = records(scene)
    runner = HoldingRunner()
    edits = Edits(runner)
    edits.compare_loaded(scene, lambda: None)
    segmentation = record.segmentation.GetSegmentation()
    for number in range(segmentation.GetNumberOfSegments()):  # as at the end of loading: touched, not changed
        segmentation.GetNthSegment(number).GetRepresentation("Binary labelmap").Modified()
    edits.compare_loaded(scene, lambda: None)
    for number in order:
        runner.held[number]()
    assert not edits.edited(record)
    segmentation.RemoveSegment(segmentation.GetNthSegmentID(0))
    assert edits.edited(record)
    session.close()
