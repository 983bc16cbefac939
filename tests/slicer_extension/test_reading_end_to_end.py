"""Readers at the real server, with the real client and a real scene: no voxel of a label moves, and none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from SemGANLib.Server.Client import Client

from tests.slicer_extension.label_server import KEY, LabelServer, tiny_bundle
from tests.slicer_extension.nodes import merged
from tests.slicer_extension.reading_loop import take_turn
from tests.slicer_extension.scan_files import file_of, phantom, turned_round
from tests.slicer_extension.scans import GRIDS, LEFT_HANDED
from tests.slicer_extension.session import Session

pytestmark = pytest.mark.slow

JOB_SECONDS = 240.0
"""The machine may be busy with other tests."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with random weights: its labels mean nothing, but are the same everywhere."""
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def reading_room(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelServer]:
    """A server with the phantom as files of all kinds of grids."""
    home = tmp_path_factory.mktemp("reading_room")
    studies = home / "studies"
    studies.mkdir()
    for kind in GRIDS:
        (studies / f"{kind.replace(' ', '_')}.nii.gz").write_bytes(file_of(phantom(kind), ".nii.gz"))
    (studies / "shared.nii.gz").write_bytes(file_of(phantom("LAS"), ".nii.gz"))
    (studies / "many.nii.gz").write_bytes(file_of(phantom("oblique left-handed"), ".nii.gz"))
    for suffix in (".nrrd", ".mha"):
        (studies / f"file{suffix.replace('.', '_')}{suffix}").write_bytes(file_of(phantom("PSR"), suffix))
    with LabelServer(home, studies, ["--bundle", str(bundle)]) as server:
        yield server


@pytest.fixture
def reader(scene: Any, reading_room: LabelServer) -> Session:
    """A reader, connected to it."""
    session = Session(scene)
    session.connect(reading_room.address, KEY)
    assert session.logic.connection.state == "on", session.logic.connection.text
    return session


@pytest.mark.parametrize("kind", GRIDS)
def test_a_reader_goes_through_the_loop_and_no_voxel_moves(reader, reading_room, kind):
    turn = take_turn(reader, reading_room.studies, kind.replace(" ", "_"))
    assert not turn.problems, turn
    assert (turn.opened != turn.scan) is (kind in LEFT_HANDED), "Slicer turns the slices of left-handed scans round"


@pytest.mark.parametrize("image", ["file_nrrd", "file_mha"])
def test_scans_in_other_formats_are_labelled_where_they_lie(reader, reading_room, image):
    reader.logic.open_image(image)
    reader.settle()
    volume = reader.opened[-1]
    reader.logic.preview(volume)
    assert reader.finish(volume, JOB_SECONDS).phase == "done"
    found = merged(reader, volume)
    reader.logic.submit(volume, "Dr. A")
    reader.settle()
    assert reader.messages[-1].level == "info", reader.messages[-1].text
    reader.logic.open_image(image)
    reader.settle()
    np.testing.assert_array_equal(merged(reader, reader.opened[-1]), found)


def test_two_readers_and_a_third_who_judges(scene, reading_room):
    first, second, third = (Session(scene) for _ in range(3))
    for session in (first, second):
        session.connect(reading_room.address, KEY)
        session.logic.open_image("shared")
        session.settle()
        session.logic.preview(session.opened[-1])
        assert session.finish(session.opened[-1], JOB_SECONDS).phase == "done"
    client = Client(reading_room.address, KEY)
    first.logic.submit(first.opened[-1], "Dr. A", "preliminary")
    _settle(first)
    for answer, annotator, earlier in ((False, "Dr. A", 0), (True, "Dr. B", 1)):
        second.answer = answer
        second.logic.submit(second.opened[-1], "Dr. B", "preliminary")
        _settle(second)
        assert "Dr. A" in second.asked[-1] and "preliminary" in second.asked[-1]
        (label,) = client.stored_labels("shared")
        assert (label.annotator, label.versions) == (annotator, earlier)
    third.connect(reading_room.address, KEY)
    third.logic.open_image("shared")
    third.settle()
    third.logic.review(third.opened[-1], "Dr. C", "rejected", "the spleen lacks its tip")
    _settle(third)
    (label,) = client.stored_labels("shared")
    assert label.review is not None, third.messages[-1].text
    assert (label.review.reviewer, label.review.verdict) == ("Dr. C", "rejected")
    assert label.review.comment == "the spleen lacks its tip"


def test_a_label_of_a_batch_is_opened_looked_at_and_submitted(reader, reading_room):
    client = Client(reading_room.address, KEY)
    reader.logic.start_batch(["many"])
    reader.wait(lambda: client.stored_labels("many"), JOB_SECONDS)
    reader.logic.open_image("many")
    _settle(reader)
    volume = reader.opened[-1]
    result = reader.logic.outcome(volume).result
    assert result.model.name and result.domain is not None and not reader.logic.edited(volume)
    found = merged(reader, volume)
    assert found.any() and {label.name for label in result.labels} >= {"liver", "spleen"}
    reader.logic.submit(volume, "Dr. A")
    _settle(reader)
    kept = {label.state.tag: label for label in client.stored_labels("many")}
    assert kept["final"].edited is False and kept["final"].annotator == "Dr. A" and "original" in kept
    reader.logic.open_image("many")
    _settle(reader)
    np.testing.assert_array_equal(merged(reader, reader.opened[-1]), found)


def _settle(session: Session) -> None:
    """Wait for work, and for what that has begun."""
    for _ in range(3):
        session.settle()


@pytest.mark.real_data
def test_a_reader_goes_through_the_loop_on_real_scans(scene, bundle, data_folder, tmp_path):
    studies = tmp_path / "studies"
    studies.mkdir()
    folders = {"ct_04": "abdomen_ct", "ct_12": "abdomen_ct", "mr_05": "abdomen_mr_t2"}
    for name, folder in folders.items():
        content = (data_folder / folder / "images" / f"{name}.nii.gz").read_bytes()
        (studies / f"{name}.nii.gz").write_bytes(turned_round(content) if name == "ct_12" else content)
    with LabelServer(tmp_path / "home", studies, ["--bundle", str(bundle)]) as server:
        session = Session(scene)
        session.connect(server.address, KEY)
        turns = [take_turn(session, studies, name) for name in folders]
    assert [turn.scan for turn in turns] == ["LAS", "RAS", "LAS"]
    assert not [problem for turn in turns for problem in turn.problems], turns
