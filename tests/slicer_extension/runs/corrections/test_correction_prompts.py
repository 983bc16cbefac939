"""Points, lassos and boxes are sent as what they are."""

from __future__ import annotations

import pytest
from SemGANLib.Protocols.CorrectionProtocol import BOX, LASSO, POINT

from tests.slicer_extension.runs.corrections.correction_reader import NEAR, markup


@pytest.mark.parametrize("positive", [True, False])
def test_points_lassos_and_boxes_are_sent_as_what_they_are(reader, server, positive):
    corners = [(5, 5, 8), (12, 5, 8), (12, 11, 8), (5, 11, 8)]
    for kind, node, count in (
        (POINT, markup(reader, "Fiducial", [(7, 7, 8)]), 1),
        (BOX, markup(reader, "Line", corners[::2]), 8 * 7),
        (LASSO, markup(reader, "ClosedCurve", corners), 30),
    ):
        assert reader.logic.add_prompt(kind, positive, "liver", node, NEAR)
        reader.settle()
        (stroke,) = server.asked_corrections[-1]["strokes"]
        assert (stroke["kind"], stroke["structure"], stroke["positive"]) == (kind, "liver", positive)
        assert sum(length for _first, length in stroke["runs"]) >= count


def test_a_prompt_beside_the_scan_is_told_and_nothing_is_sent(reader, server):
    assert not reader.logic.add_prompt(POINT, True, "liver", markup(reader, "Fiducial", [(400, 7, 8)]))
    assert "outside of the scan" in reader.said() and not server.asked_corrections
