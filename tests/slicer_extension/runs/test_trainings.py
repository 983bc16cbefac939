"""The server learns from labels; the module begins it, follows it whoever has begun it, and chooses versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from SemGANLib.Protocols.TrainingProtocol import Learning
from SemGANLib.Types.TrainingTypes import STRUCTURE, TUNE, TrainingRequest

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.runs.training_server import TrainingServer
from tests.slicer_extension.session import Session

AORTA = TrainingRequest(STRUCTURE, "aorta", "semgan_abdomen")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often."""
    monkeypatch.setattr("SemGANLib.Runs.Trainings.LOOK_SECONDS", 0.02)


@pytest.fixture
def server() -> Iterator[TrainingServer]:
    """A server that learns; all that it was asked and answered fits the published document."""
    with TrainingServer() as server:
        yield server
    assert not server.errors


def wait_for(session: Session, state: str) -> Learning:
    """Wait until the training has come so far."""
    trainings = session.logic.trainings
    session.wait(lambda: trainings.state.training is not None and trainings.state.training.state == state)
    session.settle()
    return trainings.state


def test_what_the_labels_hold_and_the_versions_are_told(session: Session) -> None:
    session.logic.trainings.look("semgan_abdomen")
    session.settle()
    state = session.logic.trainings.state
    assert [(one.name, len(one.images), one.known) for one in state.labels.structures] == [
        ("liver", 2, True),
        ("aorta", 1, False),
    ]
    assert state.versions.current == 0 and [one.kind for one in state.versions.versions] == ["shipped"]


def test_a_training_is_followed_until_its_version_is_in_use(session: Session, server: TrainingServer) -> None:
    heard: list[Learning] = []
    session.logic.trainings.changed.connect(heard.append)
    looks = len(server.matches("GET /semgan/models"))
    session.logic.trainings.train(AORTA)
    state = wait_for(session, "done")
    assert [one.text for one in heard if one.active][0] == "Learning, step 0 of 3, about 20 s left"
    assert any(one.fraction == pytest.approx(1 / 3) for one in heard)
    assert "Learnt: aorta. Version 1 of the model is in use; the Dice of liver was 0.951." in state.text
    assert "aorta Dice 0.71; liver Dice 0.95" in state.text
    assert state.versions.current == 1, "its version is listed"
    assert len(server.matches("GET /semgan/models")) > looks, "the models are asked for anew"
    assert not state.active and session.messages[-1].text == state.text


def test_a_structure_that_no_label_holds_is_refused_in_the_servers_words(session: Session) -> None:
    session.logic.trainings.train(TrainingRequest(STRUCTURE, "bladder"))
    session.settle()
    assert "no final label holds bladder" in session.messages[-1].text
    assert session.logic.trainings.state.training is None


def test_a_training_is_cancelled(session: Session, server: TrainingServer) -> None:
    server.held = True
    session.logic.trainings.train(AORTA)
    session.wait(lambda: session.logic.trainings.state.active)
    session.logic.trainings.cancel()
    assert wait_for(session, "cancelled").text == "Cancelled: the model is as it was."
    assert server.current == 0


def test_a_training_that_somebody_else_has_begun_is_followed_by_whoever_connects(
    session: Session, scene: Any, server: TrainingServer
) -> None:
    server.begins("aorta")
    other = Session(scene)
    other.connect(server.address)
    assert wait_for(other, "done").versions.current == 1


def test_a_training_that_was_interrupted_goes_on_when_told_to(scene: Any, server: TrainingServer) -> None:
    server.begins("aorta", "interrupted")
    session = Session(scene)
    session.connect(server.address)
    assert "Press Go on" in session.logic.trainings.state.text and not session.logic.trainings.state.active
    session.logic.trainings.resume()
    assert wait_for(session, "done").training.version == 1


def test_an_earlier_version_is_used_again(session: Session, server: TrainingServer) -> None:
    session.logic.trainings.train(AORTA)
    wait_for(session, "done")
    session.logic.trainings.use_version(0)
    session.settle()
    assert server.current == session.logic.trainings.state.versions.current == 0
    assert "Version 0" in session.messages[-1].text


def test_a_server_that_does_not_answer_for_a_moment_is_asked_again(session: Session, server: TrainingServer) -> None:
    server.held = True
    session.logic.trainings.train(AORTA)
    session.wait(lambda: session.logic.trainings.state.active)
    server.drop = 3
    server.held = False
    assert wait_for(session, "done").training.version == 1


def test_an_older_server_is_left_alone(scene: Any) -> None:
    with FakeServer() as older:
        session = Session(scene)
        session.connect(older.address)
        assert session.logic.trainings.state.available is False
        session.logic.trainings.look("semgan_abdomen")
        session.settle()
        assert not older.matches("GET /semgan/train/labels.*") and not session.messages
        session.close()


def test_what_one_server_learns_is_not_told_of_another(session: Session, server: TrainingServer) -> None:
    server.held = True
    session.logic.trainings.train(AORTA)
    session.wait(lambda: session.logic.trainings.state.active)
    session.logic.disconnect()
    session.settle()
    assert session.logic.trainings.state == Learning()
    session.logic.trainings.train(AORTA)
    assert "Connect to a server" in session.messages[-1].text


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (
            TrainingRequest(TUNE, seconds=600.0),
            {"kind": "tune", "seconds": 600.0, "client": "3D Slicer SemGAN"},
        ),
        (
            TrainingRequest(STRUCTURE, "aorta", "m", 8),
            {
                "kind": "structure",
                "seconds": 300.0,
                "client": "3D Slicer SemGAN",
                "structures": [{"name": "aorta", "label": 8}],
                "model": "m",
            },
        ),
    ],
)
def test_what_is_not_said_is_left_to_the_server(sent: TrainingRequest, content: dict[str, Any]) -> None:
    assert sent.to_json() == content
