"""What is known of a result is kept in the scene."""

from __future__ import annotations

from SemGANLib.Scene.Records import MODULE, records

from tests.slicer_extension.nodes import (
    previewed,
)


def test_a_record_that_somebody_has_broken_is_no_result(scene, server):
    session, volume = previewed(scene, server)
    for record in records(scene):
        record.node.SetParameter("Result", "{broken")
    assert session.logic.outcome(volume) is None and session.logic.organ_volumes(volume) == []
    assert session.preview(volume).phase == "done"
    assert session.logic.outcome(volume) is not None


def test_records_are_hidden_and_go_with_their_volume(scene, server):
    session, volume = previewed(scene, server)
    (record,) = records(scene)
    assert record.node.GetHideFromEditors() and record.node.GetModuleName() == MODULE
    scene.RemoveNode(volume)
    assert not list(records(scene))
