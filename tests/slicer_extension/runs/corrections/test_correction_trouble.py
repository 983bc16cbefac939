"""Servers that break, refuse, are busy, older, or have lost what they had: no stroke is lost."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from SemGANLib.Server.Client import Client
from SemGANLib.Server.Errors import ConnectionLost

from tests.slicer_extension import server_answers
from tests.slicer_extension.nodes import previewed
from tests.slicer_extension.runs.corrections.correction_reader import NEAR, Reader, along


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


def test_one_that_the_server_took_while_the_one_before_ended_in_the_middle_comes_before_it(reader, server, monkeypatch):
    server.hold_corrections = True
    before, first = reader.label, reader.stroke("liver", k=3)
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(reader.part_came)
    correct, may_answer = Client.correct, threading.Event()

    def answers_late(client: Client, *request: Any) -> Any:
        job = correct(client, *request)
        assert may_answer.wait(60)
        return job

    monkeypatch.setattr(Client, "correct", answers_late)
    second = reader.stroke("spleen", k=12)
    reader.logic.send_edits(None, NEAR)
    reader.session.wait(lambda: len(server.asked_corrections) == 2)
    ended = reader.logic._session.pendings[0]
    server.jobs[server.asked_corrections[0]["job"]].update(state="interrupted", parts=[], message="the server ended")
    reader.session.wait(lambda: ended.job is None)
    may_answer.set()
    server.hold_corrections = False
    reader.settle()
    np.testing.assert_array_equal(reader.label, np.where(along(first), 1, np.where(along(second), 4, before)))
    assert [row.text.split(":")[0] for row in reader.logic.history()[1:]] == ["spleen", "liver"]


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
    monkeypatch.setattr(server_answers, "LABELS", [one for one in server_answers.LABELS if one["name"] != "spleen"])
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
