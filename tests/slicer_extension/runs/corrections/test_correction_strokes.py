"""What is painted goes to the server in its order, and what comes back enters the scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from SemGANLib.Protocols.CorrectionProtocol import POINT, CorrectionChoices
from SemGANLib.Runs.CorrectionTexts import remarks
from SemGANLib.Types.ModelTypes import ModelId
from SemGANLib.Types.ResultTypes import Finding, Result

from tests.slicer_extension.nodes import expected, paint, previewed
from tests.slicer_extension.runs.corrections.correction_reader import NEAR, Reader, along, markup
from tests.slicer_extension.scans import GRIDS, add_scan
from tests.slicer_extension.session import Session


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


def test_what_was_said_of_one_correction_is_not_said_of_the_next_but_what_is_of_its_own_strokes_is(reader, server):
    gone = {"code": "not_found", "level": "info", "labels": [4], "text": "No spleen was found."}
    locked = {"code": "locked_kept", "level": "warning", "labels": [], "text": "3 drawn voxels stay as they were."}
    said = []
    for row, findings in enumerate(([gone], [gone, locked], [gone, locked]), start=3):
        server.say = findings
        reader.stroke("liver", j=row)
        reader.send()
        said.append(reader.logic.history()[-1].warning)
    assert said == [gone["text"], locked["text"], locked["text"]]


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
