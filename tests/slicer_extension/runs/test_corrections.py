"""Corrections by strokes: what is painted goes to the server in its order, and what comes back enters the scene."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from SemGANLib.Protocols.CorrectionProtocol import BOX, LASSO, POINT, CorrectionChoices
from SemGANLib.Runs.CorrectionTexts import remarks
from SemGANLib.Scene import Geometry
from SemGANLib.Scene.SegmentationImport import segment_ids
from SemGANLib.Server.Client import Client
from SemGANLib.Server.Errors import ConnectionLost
from SemGANLib.Types.ModelTypes import ModelId
from SemGANLib.Types.ResultTypes import Finding, Result

from tests.slicer_extension import fake_server
from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.nodes import add_transform, expected, merged_of, paint, previewed
from tests.slicer_extension.scans import GRIDS, add_scan
from tests.slicer_extension.scene.test_saved_scenes import load, node_named, save
from tests.slicer_extension.session import Session

NEAR = CorrectionChoices(reach_mm=12.0)
"""One slice to each side of the phantom's 12 mm slices."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("SemGANLib.Runs.CorrectionFollowing.QUICK_SECONDS", 0.01)
    monkeypatch.setattr("SemGANLib.Runs.CorrectionFollowing.SLOW_SECONDS", 0.05)
    monkeypatch.setattr("SemGANLib.Runs.CorrectionRoot.POLL_SECONDS", 0.01)
    monkeypatch.setattr("SemGANLib.Runs.CorrectionJob.AGAIN_SECONDS", (0.01, 0.01, 0.01))


class Reader:
    """Somebody who corrects the preview of a volume."""

    def __init__(self, session: Session, volume: Any) -> None:
        self.session, self.volume = session, volume
        self.logic = session.logic.corrections
        self.node = volume.GetScene().GetNodeByID(session.logic.outcome(volume).segmentation_id)  # type: ignore[union-attr]

    def begin(self) -> Reader:
        """Begin, and wait until corrections can be sent."""
        assert self.logic.begin(self.volume)
        self.session.wait(lambda: self.logic.state.ready)
        return self

    @property
    def label(self) -> np.ndarray:
        """What the scene shows."""
        return merged_of(self.node, self.volume)

    def paint(self, name: str, mask: np.ndarray) -> np.ndarray:
        """Add voxels to a structure and take them from all others; returns the voxels."""
        label = self.label
        label[mask] = {"liver": 1, "right kidney": 2, "spleen": 4, "": 0}[name]
        for position, value in enumerate((1, 2, 4)):
            if ((label == value) != (self.label == value)).any():
                paint(self.node, self.volume, segment_ids(self.node)[position], label == value)
        return mask

    def stroke(self, name: str = "liver", k: int = 8, j: int = 3) -> np.ndarray:
        """Draw a line of voxels in a slice."""
        mask = np.zeros((16, 28, 40), bool)
        mask[k, j, 4:30] = True
        return self.paint(name, mask)

    def send(self, choices: CorrectionChoices = NEAR, structure: str | None = None) -> None:
        """Send, and wait until all is back."""
        assert self.logic.send_edits(structure, choices), self.session.messages[-1:]
        self.settle()

    def settle(self) -> None:
        """Wait until all is back."""
        self.session.wait(lambda: not self.logic.state.busy)

    def part_came(self) -> bool:
        """Whether a partial result of the first correction has come."""
        return self.logic._session.pendings[0].version > 0

    def said(self) -> str:
        """All messages so far."""
        return " ".join(message.text for message in self.session.messages)


def along(mask: np.ndarray) -> np.ndarray:
    """Add the slices at both sides."""
    near = mask.copy()
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    return near


@pytest.fixture
def reader(scene: Any, server: FakeServer) -> Iterator[Reader]:
    """Ready to correct."""
    session, volume = previewed(scene, server)
    yield Reader(session, volume).begin()


def test_a_stroke_changes_its_slice_and_its_neighbours_and_nothing_else(reader, server):
    before = reader.label
    mask = reader.stroke("liver")
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(mask), 1, before))
    (asked,) = server.asked_corrections
    assert [stroke["structure"] for stroke in asked["strokes"]] == ["liver"] and asked["reach_mm"] == 12
    assert reader.logic.history()[-1].text.startswith("liver: ") and reader.logic.history()[-1].current
    assert "label" not in asked, "nothing was changed that the server does not know"


@pytest.mark.parametrize("kind", GRIDS)
def test_strokes_arrive_where_they_were_drawn_on_every_grid(scene, server, kind):
    session = Session(scene)
    session.connect(server.address)
    volume = add_scan(scene, kind)
    session.preview(volume)
    reader = Reader(session, volume).begin()
    before = reader.label
    mask = reader.stroke("spleen")
    reader.send(CorrectionChoices(only_slice=True))
    np.testing.assert_array_equal(reader.label, np.where(mask, 4, before))


def test_what_is_erased_is_a_negative_stroke(reader, server):
    before = reader.label
    mask = before == 4
    mask[: int(np.argwhere(mask)[:, 0].max())] = False
    reader.paint("", mask)
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(mask) & (before == 4), 0, before))
    (stroke,) = server.asked_corrections[0]["strokes"]
    assert (stroke["structure"], stroke["positive"]) == ("spleen", False)


def test_what_was_painted_before_corrections_began_is_sent_as_well(scene, server):
    session, volume = previewed(scene, server)
    reader = Reader(session, volume)
    mask = reader.stroke("liver")
    reader.begin()
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(mask), 1, expected(volume)))


def test_where_structures_overlap_the_one_painted_last_has_the_voxels(reader, server):
    before = reader.label
    paint(reader.node, reader.volume, "liver", (before == 1) | (before == 4))  # the spleen keeps its voxels as well
    reader.send(CorrectionChoices(only_slice=True))
    np.testing.assert_array_equal(reader.label, np.where(before == 4, 1, before))
    assert not reader.logic.send_edits(), "nothing is left to be sent"
    assert len(server.asked_corrections[0]["strokes"]) == 1


def test_without_any_edit_the_user_is_told_so(reader, server):
    assert not reader.logic.send_edits()
    assert "Nothing was painted" in reader.said() and not server.asked_corrections


def test_only_the_edits_of_the_chosen_structure_are_sent_and_the_others_stay(reader, server):
    liver, spleen = reader.stroke("liver", j=3), reader.stroke("spleen", j=24)
    reader.send(structure="liver")
    assert [stroke["structure"] for stroke in server.asked_corrections[0]["strokes"]] == ["liver"]
    assert (reader.label[spleen] == 4).all() and (reader.label[along(liver)] == 1).all()
    reader.send()
    assert [stroke["structure"] for stroke in server.asked_corrections[1]["strokes"]] == ["spleen"]
    assert (reader.label[along(spleen)] == 4).all() and (reader.label[along(liver)] == 1).all()


def test_strokes_that_come_faster_than_answers_keep_their_order_and_none_is_lost(reader, server):
    before = reader.label
    masks = []
    for number, name in enumerate(["liver", "spleen", "right kidney"]):
        masks.append(reader.stroke(name, k=4 + 4 * number))
        assert reader.logic.send_edits(None, NEAR)
        reader.session.pump()
    assert reader.logic.state.waiting == 3
    overlap = reader.stroke("spleen", k=4)  # over the first one, before it is back
    assert reader.logic.send_edits(None, NEAR)
    reader.settle()
    wanted = before.copy()
    for mask, value in ((masks[0], 1), (masks[1], 4), (masks[2], 2), (overlap, 4)):
        wanted[along(mask)] = value
    np.testing.assert_array_equal(reader.label, wanted)
    assert [one["strokes"][0]["structure"] for one in server.asked_corrections] == [
        "liver",
        "spleen",
        "right kidney",
        "spleen",
    ]
    assert [row.number for row in reader.logic.history()] == [0, 1, 2, 3, 4]


def test_corrections_that_the_server_computes_together_are_one_line_and_lose_no_stroke(reader, server):
    server.joins = server.hold_corrections = True
    before = reader.label
    masks = [reader.stroke("liver", k=2)]
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(lambda: server.asked_corrections and reader.logic.history()[-1].state == "running")
    for number, name in enumerate(["spleen", "right kidney"], 1):
        masks.append(reader.stroke(name, k=2 + 5 * number))
        reader.logic.send_edits(None, NEAR)
    reader.session.wait(lambda: len(server.asked_corrections) == 3)
    server.hold_corrections = False
    reader.settle()
    wanted = before.copy()
    for mask, value in zip(masks, (1, 4, 2), strict=True):
        wanted[along(mask)] = value
    np.testing.assert_array_equal(reader.label, wanted)
    assert [row.text.count("added") for row in reader.logic.history()] == [0, 1, 2]
    assert reader.logic.history()[-1].text.count("within 12 mm") == 1, "said once of all"
    reader.logic.undo()
    np.testing.assert_array_equal(reader.label, np.where(along(masks[0]), 1, before))


def test_touched_slices_are_shown_before_the_neighbours_follow(reader, server):
    server.hold_corrections = True
    before = reader.label
    mask = reader.stroke("liver")
    painted = reader.label
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(lambda: "1 of 2 slices" in reader.logic.state.text)
    assert reader.logic.state.fraction == 0.5 and reader.logic.state.busy
    np.testing.assert_array_equal(reader.label, painted)
    server.hold_corrections = False
    reader.settle()
    np.testing.assert_array_equal(reader.label, np.where(along(mask), 1, before))


def test_what_is_painted_while_the_server_computes_stays_and_is_sent_next(reader, server):
    server.hold_corrections = True
    before = reader.label
    first = reader.stroke("liver", k=4)
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(reader.part_came)
    second = reader.stroke("spleen", k=5)  # in a slice that the first one is about to change
    server.hold_corrections = False
    reader.settle()
    now = np.where(along(first), 1, before)
    np.testing.assert_array_equal(reader.label, np.where(second, 4, now))
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(second), 4, now))


def test_locked_segments_keep_every_voxel_and_are_not_corrected(reader, server):
    before = reader.label
    reader.logic.set_locked("spleen", True)
    assert [choice.name for choice in reader.logic.structures() if choice.locked] == ["spleen"]
    mask = reader.stroke("liver", k=int(np.argwhere(before == 4)[:, 0].min()), j=int(np.argwhere(before == 4)[0, 1]))
    reader.send()
    assert server.asked_corrections[0]["locked"] == ["spleen"]
    np.testing.assert_array_equal(reader.label == 4, before == 4)
    assert (reader.label[mask & (before != 4)] == 1).all()
    reader.stroke("spleen", k=2)
    assert not reader.logic.send_edits()
    assert "spleen: locked" in reader.said()
    reader.logic.set_locked("spleen", False)
    reader.send()


def test_undo_and_redo_need_no_server(reader, server):
    labels = [reader.label]
    for k in (3, 8, 12):
        reader.stroke("liver", k=k)
        reader.send()
        labels.append(reader.label)
    server.die()
    for label in reversed(labels[:-1]):
        reader.logic.undo()
        np.testing.assert_array_equal(reader.label, label)
    assert not reader.logic.state.can_undo
    for label in labels[1:]:
        reader.logic.redo()
        np.testing.assert_array_equal(reader.label, label)
    assert not reader.logic.state.can_redo
    reader.logic.revert_to(1)
    np.testing.assert_array_equal(reader.label, labels[1])
    assert [row.undone for row in reader.logic.history()] == [False, False, True, True]
    server.listen(server.port)


def test_a_result_whose_corrections_are_all_undone_counts_as_not_edited(reader):
    reader.stroke("liver")
    reader.send()
    assert reader.session.logic.edited(reader.volume)
    reader.logic.undo()
    assert not reader.session.logic.edited(reader.volume)
    reader.logic.redo()
    assert reader.session.logic.edited(reader.volume)
    reader.stroke("spleen", k=3)
    reader.logic.undo()
    assert reader.session.logic.edited(reader.volume), "what was painted and not sent stays"


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


def test_a_correction_after_undo_is_made_on_the_state_that_is_shown(reader, server):
    first = reader.stroke("liver", k=3)
    reader.send()
    state = reader.label
    reader.stroke("liver", k=8)
    reader.send()
    reader.logic.undo()
    third = reader.stroke("spleen", k=12)
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(third), 4, state))
    assert first.any() and server.asked_corrections[-1]["on"] == 1, "the server went back as well"
    assert len(reader.logic.history()) == 3, "what was undone is gone"


def test_the_server_hears_of_undo_and_redo_at_once_for_whoever_else_looks_at_it(reader, server):
    for k in (3, 8, 12):
        reader.stroke("liver", k=k)
        reader.send()
    (history,) = server.histories.values()
    for clicks, number in (((reader.logic.undo,) * 2, 1), ((reader.logic.redo,), 2), ((reader.logic.undo,) * 2, 0)):
        for click in clicks:
            click()
        reader.session.settle()
        assert history["current"] == number
    fourth = reader.stroke("spleen", k=12)
    reader.logic.redo()
    reader.logic.send_edits(None, NEAR)  # while the server is told of the redo
    reader.settle()
    assert server.asked_corrections[-1]["on"] == 1 and (reader.label[fourth] == 4).all()
    assert [job["state"] for job in server.jobs.values() if job.get("corrects")] == ["done"] * 4


def test_undo_while_the_server_computes_takes_the_stroke_back(reader, server):
    server.hold_corrections = True
    before = reader.label
    reader.stroke("liver")
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(reader.part_came)
    reader.logic.undo()
    np.testing.assert_array_equal(reader.label, before)
    reader.session.settle()
    assert [job["state"] for job in server.jobs.values() if job.get("corrects")] == ["cancelled"]
    assert not reader.logic.state.busy and len(reader.logic.history()) == 1


def test_a_correction_that_was_withdrawn_in_vain_does_not_hold_up_the_next_one(reader, server, monkeypatch):
    def broken(_client: Client, _job: str) -> None:
        raise ConnectionLost("the connection broke")

    server.hold_corrections = True
    reader.stroke("liver", k=3)
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(reader.part_came)
    reader.logic.cancel()  # keeps a state that the server does not have
    reader.session.settle()
    with monkeypatch.context() as patch:
        patch.setattr(Client, "cancel", broken)
        reader.stroke("liver", k=8)
        reader.logic.send_edits(None, NEAR)
        reader.session.wait(reader.part_came)
        reader.logic.undo()
        reader.session.settle()
    mask = reader.stroke("spleen", k=12)
    server.hold_corrections = False
    reader.send()
    assert (reader.label[mask] == 4).all()


def test_cancel_keeps_what_has_come(reader, server):
    server.hold_corrections = True
    mask = reader.stroke("liver")
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(reader.part_came)
    reader.logic.cancel()
    assert (reader.label[mask] == 1).all()
    assert reader.logic.history()[-1].state == "cancelled"
    server.hold_corrections = False
    state, more = reader.label, reader.stroke("spleen", k=3)
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(more), 4, state))
    assert server.asked_corrections[-1]["label"], "the server cannot know what had come"
    reader.session.settle()
    assert len(server.uploads) == 1, "the label is removed there when it is of no use any more"


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


def test_a_scene_that_refuses_a_result_leaves_nobody_waiting(reader, server, monkeypatch):
    mask = reader.stroke("liver")
    server.hold_corrections = True
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(reader.part_came)

    def broken(*_arguments: Any) -> None:
        raise RuntimeError("the scene refuses")

    with monkeypatch.context() as broken_scene:
        broken_scene.setattr("SemGANLib.Scene.SegmentationUpdate.update", broken)
        server.hold_corrections = False
        reader.settle()
    assert "the scene refuses" in reader.said() and len(reader.logic.history()) <= 2
    assert (reader.label[mask] == 1).all()
    reader.stroke("spleen", k=3)
    reader.send()


def test_a_connection_that_breaks_while_the_server_computes_does_no_harm(reader, server):
    server.hold_corrections = True
    mask = reader.stroke("liver")
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(reader.part_came)
    server.drop, server.hold_corrections = 2, False
    reader.settle()
    assert (reader.label[along(mask)] == 1).all() and len(reader.logic.history()) == 2


def test_a_correction_in_whose_middle_the_server_ended_is_sent_again(reader, server):
    server.hold_corrections = True
    before, first = reader.label, reader.stroke("liver", k=3)
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(reader.part_came)
    second = reader.stroke("spleen", k=12)
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(lambda: len(server.asked_corrections) == 2)
    server.jobs[server.asked_corrections[0]["job"]].update(state="interrupted", parts=[], message="the server ended")
    server.hold_corrections = False
    reader.settle()
    np.testing.assert_array_equal(
        reader.label, np.where(along(first), 1, np.where(along(second), 4, before)), "no stroke is lost"
    )
    assert len(reader.logic.history()) == 3 and "not made" not in reader.said()


def test_a_correction_that_fails_leaves_what_was_painted(reader, server):
    server.fail_correction = "the disk is full"
    before, mask = reader.label, reader.stroke("liver")
    reader.logic.send_edits(None, NEAR)
    reader.settle()
    assert "the disk is full" in reader.said() and len(reader.logic.history()) == 1
    np.testing.assert_array_equal(reader.label, np.where(mask, 1, before))
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(mask), 1, before))


def test_what_the_server_refuses_is_told_in_its_words(reader, server):
    server.refuses_corrections = [(422, "the result has no structure “liver”")]
    mask = reader.stroke("liver")
    reader.logic.send_edits(None, NEAR)
    reader.settle()
    assert "no structure “liver”" in reader.said() and (reader.label[mask] == 1).all()
    assert not reader.logic.state.busy


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_is_asked_again(reader, server, status):
    server.refuses_corrections = [(status, "try again later")]
    mask = reader.stroke("liver")
    reader.send()
    assert (reader.label[along(mask)] == 1).all()


def test_a_request_that_is_lost_after_the_section_was_opened_anew_is_not_taken_for_an_earlier_one(
    reader, server, monkeypatch
):
    first = reader.stroke("liver", k=3)
    reader.send()
    reader.logic.end()
    reader.begin()
    sent = Client.correct
    broken = [True]

    def breaks_once(client: Client, *request: Any) -> Any:
        if broken and broken.pop():
            raise ConnectionLost("the connection broke")
        return sent(client, *request)

    monkeypatch.setattr(Client, "correct", breaks_once)
    second = reader.stroke("spleen", k=9)
    reader.send()
    assert (reader.label[along(first)] == 1).all() and (reader.label[along(second)] == 4).all()
    assert len(server.asked_corrections) == 2


def test_a_lost_answer_draws_no_stroke_twice(reader, server):
    server.unanswered = ["POST .*/corrections"]
    mask = reader.stroke("liver")
    reader.send()
    assert (reader.label[along(mask)] == 1).all() and len(server.asked_corrections) == 1


@pytest.mark.parametrize("gone", ["job", "job and scan"])
def test_a_job_that_is_gone_is_made_anew_and_corrections_go_on(reader, server, gone):
    first = reader.stroke("liver", k=3)
    reader.send()
    state = reader.label
    for job in list(server.jobs):
        del server.jobs[job]
    if gone == "job and scan":
        server.uploads.clear()
        reader.session.logic._parts.runs._uploads.clear()
    second = reader.stroke("spleen", k=9)
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(second), 4, state))
    assert first.any() and server.asked_corrections[-1]["label"]
    third = reader.stroke("spleen", k=13)
    reader.send()
    assert (reader.label[along(third)] == 4).all() and "label" not in server.asked_corrections[-1]
    reader.logic.undo()
    reader.logic.undo()
    np.testing.assert_array_equal(reader.label, state)


@pytest.mark.parametrize(
    "refusal",
    [
        (409, "the result is of another version of the model"),
        (403, "the job was started by somebody else, who alone may correct it"),  # a scene of a colleague's
    ],
)
def test_a_result_that_cannot_be_corrected_there_is_corrected_on_a_new_job(reader, server, refusal):
    server.refuses_corrections = [refusal]
    before, mask = reader.label, reader.stroke("liver")
    reader.send()
    np.testing.assert_array_equal(reader.label, np.where(along(mask), 1, before))
    assert len(server.matches("POST /semgan/jobs")) == 2


def test_a_structure_that_the_model_in_use_does_not_know_any_more_stays(reader, server, monkeypatch):
    monkeypatch.setattr(fake_server, "LABELS", [one for one in fake_server.LABELS if one["name"] != "spleen"])
    server.refuses_corrections = [(409, "the result is of another version of the model")]
    before, mask = reader.label, reader.stroke("liver")
    reader.send()
    assert (before == 4).any()
    np.testing.assert_array_equal(reader.label, np.where(along(mask), 1, before))


@pytest.mark.parametrize("api", ["1.0", "1.1"])
def test_an_older_server_is_told_as_such(scene, server, api):
    server.health = {"api": api}
    session, volume = previewed(scene, server)
    reader = Reader(session, volume).begin()
    reader.stroke("liver")
    assert not reader.logic.send_edits() and "older" in reader.said()
    assert not server.matches("POST .*corrections")


def test_what_the_server_remarks_of_strokes_is_shown(reader, server):
    text = "Strokes of liver and spleen contradict one another in 3 voxels; the newest counts."
    server.say = [{"code": "strokes_contradict", "level": "warning", "labels": [1, 4], "text": text}]
    reader.stroke("liver")
    reader.send()
    assert text in reader.said() and reader.logic.history()[-1].warning == text


def test_what_was_said_of_the_result_is_not_said_again_of_every_correction():
    volume = Finding("implausible_volume", "warning", (4,), "The spleen has 3472 ml.")
    after = [replace(volume, text="The spleen has 3470 ml."), replace(volume, labels=(1,), text="The liver has 30 ml.")]
    before = Result("a", 1, False, "preview", (), (1, 1, 1), (), ModelId("m", "1", ""), (), findings=(volume,))
    said = remarks(replace(before, findings=tuple(after)), before)
    assert said == "The liver has 30 ml."


def markup(reader: Reader, kind: str, voxels: list[tuple[float, float, float]]) -> Any:
    """Place a markup at voxels."""
    node = reader.volume.GetScene().AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", "prompt")
    affine = Geometry.ijk_to_world(reader.volume)
    for i, j, k in voxels:
        node.AddControlPointWorld(*(affine @ (i, j, k, 1))[:3].tolist())
    return node


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


@pytest.mark.parametrize("gone", ["renamed", "removed"])
def test_a_structure_whose_segment_was_renamed_or_removed_is_not_erased(reader, server, gone):
    segments = reader.node.GetSegmentation()
    spleen = next(choice.segment for choice in reader.logic.structures() if choice.name == "spleen")
    if gone == "renamed":
        segments.GetSegment(spleen).SetName("spleen, large")
    else:
        segments.RemoveSegment(spleen)
    assert not reader.logic.send_edits() and not server.asked_corrections
    mask = reader.stroke("liver", k=3)
    reader.send()
    (asked,) = server.asked_corrections
    assert [(one["structure"], one["positive"]) for one in asked["strokes"]] == [("liver", True)]
    assert (reader.label[mask] == 1).all()
    reader.logic.undo()
    assert reader.session.logic.edited(reader.volume), "a structure less than came"


def test_segments_of_the_users_own_stay_and_are_never_sent(reader, server):
    reader.node.GetSegmentation().AddEmptySegment("tumour", "tumour")
    paint(reader.node, reader.volume, "tumour", np.ones((16, 28, 40)))
    assert [choice.name for choice in reader.logic.structures() if not choice.known] == ["tumour"]
    assert not reader.logic.send_edits("tumour") and "does not know “tumour”" in reader.said()
    assert not reader.logic.add_prompt(POINT, True, "tumour", markup(reader, "Fiducial", [(4, 7, 8)]))
    assert not reader.logic.send_edits()
    assert not server.asked_corrections


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


CLICKS = ["stroke"] * 3 + ["wait"] * 2 + ["undo", "redo", "revert", "cancel", "break"]


@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_order_of_clicks_scene_list_and_server_agree_in_the_end(reader, server, seed, joins):
    random = np.random.default_rng(seed)
    server.joins = joins
    for _ in range(25):
        click = random.choice(CLICKS)
        if click == "stroke":
            names = ("liver", "right kidney", "spleen", "")
            reader.stroke(str(random.choice(names)), k=int(random.integers(16)), j=int(random.integers(28)))
            reader.logic.send_edits(None, NEAR)
        elif click == "break":
            server.drop = 1
        elif click == "revert":
            reader.logic.revert_to(int(random.choice([row.number for row in reader.logic.history()])))
        elif click == "wait":
            for _turn in range(int(random.integers(1, 40))):
                reader.session.pump()
                time.sleep(0.001)
        else:
            getattr(reader.logic, click)()
    reader.settle()
    if reader.logic.send_edits(None, NEAR):  # strokes that were taken back from the server and stayed
        reader.settle()
    assert not reader.logic.send_edits(), "nothing is left to be sent"
    reader.stroke("" if (reader.label[2, 2, 4:30] == 4).all() else "spleen", k=2, j=2)
    reader.send()
    last = server.asked_corrections[-1]["job"]
    np.testing.assert_array_equal(reader.label, server.labels_of[last])
    labels = [reader.label]
    while reader.logic.state.can_undo:
        reader.logic.undo()
        labels.append(reader.label)
    np.testing.assert_array_equal(labels[-1], expected(reader.volume))
    for label in labels[-2::-1]:
        reader.logic.redo()
        np.testing.assert_array_equal(reader.label, label)
    assert not [message for message in reader.session.messages if message.level == "error"]
