"""Undo and redo of corrections, with and without a server, and while it computes."""

from __future__ import annotations

import numpy as np

from tests.slicer_extension.runs.corrections.correction_reader import NEAR, along


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
