"""Corrections in a scene that changes: moved, loaded, closed, or with a result of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from SemGANLib.Protocols.CorrectionProtocol import POINT
from SemGANLib.Scene.SegmentationImport import segment_ids

from tests.slicer_extension.nodes import add_transform
from tests.slicer_extension.runs.corrections.correction_reader import NEAR, Reader, along, markup
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.scene.test_saved_scenes import load, node_named, save
from tests.slicer_extension.session import Session


def test_a_scan_that_was_moved_is_sent_again_and_corrected_where_it_is(reader, scene):
    matrix = np.eye(4)
    matrix[:3, 3] = (30, -20, 50)
    transform = add_transform(scene, matrix)
    for node in (reader.volume, reader.node):
        node.SetAndObserveTransformNodeID(transform.GetID())
    before, mask = reader.label, reader.stroke("liver")
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(mask), 1, before))


def test_a_scan_that_was_moved_away_from_its_result_is_told_and_nothing_is_taken_for_a_stroke(reader, server, scene):
    reader.stroke("liver", k=3)
    reader.send()
    before, matrix = reader.label, np.eye(4)
    matrix[2, 3] = 12  # by a voxel
    transform = add_transform(scene, matrix)
    reader.volume.SetAndObserveTransformNodeID(transform.GetID())
    assert not reader.logic.send_edits() and "moved apart" in reader.said()
    assert not reader.logic.add_prompt(
        POINT, True, segment_ids(reader.node)[0], markup(reader, "Fiducial", [(4, 7, 8)])
    )
    reader.logic.undo()
    assert len(server.asked_corrections) == 1 and reader.logic.history()[-1].current
    reader.node.SetAndObserveTransformNodeID(transform.GetID())
    np.testing.assert_array_equal(reader.label, before)
    mask = reader.stroke("spleen", k=12)
    reader.send()
    assert (reader.label[mask] == 4).all()
    for node in (reader.volume, reader.node):
        assert node.HardenTransform()
    assert not reader.logic.send_edits() and "Nothing was painted" in reader.said()


def test_a_new_result_in_the_same_segmentation_begins_a_list_of_its_own(reader, server):
    choices = reader.session.logic.choices
    choices.volume, choices.segmentation = reader.volume, reader.node
    reader.session.refine(reader.volume)
    assert reader.logic.state.volume_id == "", "the former result is no longer there to be corrected"
    again = Reader(reader.session, reader.volume).begin()
    assert len(again.logic.history()) == 1 and not again.logic.send_edits()
    mask = again.stroke("liver")
    again.send()
    assert (again.label[along(mask)] == 1).all()
    assert server.asked_corrections[0]["on"] == 0


def test_the_table_of_volumes_follows(reader):
    heard = len(reader.session.outcomes)
    before = {row.name: row.measured_ml for row in reader.session.logic.organ_volumes(reader.volume)}
    reader.stroke("liver")
    reader.send()
    after = {row.name: row.measured_ml for row in reader.session.logic.organ_volumes(reader.volume)}
    assert after["liver"] > before["liver"] and len(reader.session.outcomes) > heard
    assert reader.session.logic.edited(reader.volume)


def test_without_a_result_there_is_nothing_to_correct(scene, server):
    session = Session(scene)
    session.connect(server.address)
    assert not session.logic.corrections.begin(add_scan(scene))
    assert "press Preview first" in session.messages[-1].text


@pytest.mark.parametrize("leave", ["end", "volume", "segmentation", "scene", "close"])
def test_leaving_ends_what_the_server_computes(reader, server, leave):
    server.hold_corrections = True
    reader.stroke("liver")
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(lambda: reader.logic.history()[-1].state == "running")
    scene: Any = reader.volume.GetScene()
    actions: dict[str, Callable[[], Any]] = {
        "end": reader.logic.end,
        "volume": lambda: scene.RemoveNode(reader.volume),
        "segmentation": lambda: scene.RemoveNode(reader.node),
        "scene": lambda: scene.Clear(False),
        "close": reader.session.close,
    }
    actions[leave]()
    if leave != "close":
        reader.session.settle()
    assert [job["state"] for job in server.jobs.values() if job.get("corrects")] == ["cancelled"]


def test_corrections_under_way_are_not_offered_as_jobs_that_were_left(reader, server, scene):
    server.hold_corrections = True
    reader.stroke("liver")
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(lambda: len(server.asked_corrections) == 1)
    server.clients.update(dict.fromkeys(server.jobs, "me"))
    again = Session(scene, reader.session.settings)
    again.connect(server.address)
    assert again.logic.left_jobs == ()


@pytest.mark.parametrize("server_forgot", [False, True])
def test_corrections_go_on_where_they_were_after_the_scene_was_saved_and_loaded(
    reader, server, scene, tmp_path, server_forgot
):
    labels = [reader.label]
    for k in (3, 8):
        reader.stroke("liver", k=k)
        reader.send()
        labels.append(reader.label)
    reader.logic.undo()
    reader.logic.set_locked("spleen", True)
    path = save(scene, tmp_path, "folder")
    reader.session.close()
    if server_forgot:
        server.jobs.clear()
        server.uploads.clear()

    session = Session(scene, reader.session.settings)
    load(scene, path)
    session.connect(server.address)
    reader = Reader(session, node_named(scene, "CT")).begin()
    assert [row.undone for row in reader.logic.history()] == [False, False, True]
    assert [choice.name for choice in reader.logic.structures() if choice.locked] == ["spleen"]
    np.testing.assert_array_equal(reader.label, labels[1])
    reader.logic.redo()
    np.testing.assert_array_equal(reader.label, labels[2])
    reader.logic.undo()
    mask = reader.stroke("right kidney", k=12)
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(mask) & (labels[1] != 4), 2, labels[1]))
    assert server.asked_corrections[-1]["locked"] == ["spleen"]
