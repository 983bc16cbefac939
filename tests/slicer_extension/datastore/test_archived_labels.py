"""Labels of images of an archive: the reader is told whether they have come there, and has them sent again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from SemGANLib.Server.Nrrd import encode
from SemGANLib.Types.ArchiveTypes import ArchivedLabel

from tests.slicer_extension.datastore.archive_server import HOST, ArchiveServer
from tests.slicer_extension.datastore.readers import open_case, submit
from tests.slicer_extension.scan_files import file_of, phantom
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.session import Session

DOWN = "the archive does not answer; start it, or look at the network"
FULL = "the archive has no room left."


@pytest.fixture
def stored() -> Iterator[ArchiveServer]:
    """A server of an archive with one series, `case`."""
    with ArchiveServer() as server:
        server.images["case"] = (".nrrd", encode(phantom("LAS")))
        yield server
    assert not server.errors


def previewed(reader: Session) -> Any:
    """Open the image and preview it."""
    volume = open_case(reader)
    reader.preview(volume)
    return volume


def put(stored: ArchiveServer, *images: str) -> None:
    """Keep final labels that the archive does not have, as after a bad night."""
    for image in images:
        stored.images[image] = stored.images["case"]
        stored.put(image, "final", file_of(phantom("LAS"), ".nrrd"))
        stored.send(image, "final")


def states(reader: Session) -> list[tuple[str, str]]:
    """List images and states of what the archive lacks."""
    return [(label.image, label.state) for label in reader.logic.archiving.state.unsent]


class TestSubmitting:
    """The message after a submission says where the label is."""

    def test_a_label_that_has_come_is_said_to_be_in_the_archive(self, reader, stored):
        submit(reader, previewed(reader))
        assert list(stored.archive) == [("case", "final")]
        assert reader.messages[-1].level == "info"
        assert reader.messages[-1].text.endswith(f"“case”. It is in the archive {HOST}.")
        assert states(reader) == [] and reader.logic.archiving.state.text == ""

    @pytest.mark.parametrize(("waits", "refused"), [(DOWN, ""), ("", FULL)])
    def test_a_label_that_was_kept_is_said_to_be_with_the_reason_and_what_to_do(self, reader, stored, waits, refused):
        volume = previewed(reader)
        stored.waits, stored.refused = waits, {"case": refused}
        submit(reader, volume)
        message = reader.messages[-1]
        assert message.level == "warning" and "was submitted" in message.text and "server keeps it" in message.text
        assert f"{HOST} does not have it: {(waits or refused).rstrip('.')}. To try" in message.text
        assert "Send again" in message.text
        assert states(reader) == [("case", "waiting" if waits else "refused")]
        assert "final label of “case”" in reader.logic.archiving.state.text

    def test_the_archive_is_named_as_far_as_it_is_known(self, scene, stored):
        stored.status_at = {"GET /semgan/archive": 500}
        reader = Session(scene)
        reader.connect(stored.address)
        submit(reader, previewed(reader))
        assert reader.messages[-1].text.endswith("It is in the archive.")

    def test_a_preliminary_label_is_not_said_to_be_in_the_archive(self, reader, stored):
        volume = previewed(reader)
        stored.waits = DOWN
        submit(reader, volume)
        stored.waits = ""
        submit(reader, volume, tag="preliminary")
        assert "preliminary" in reader.messages[-1].text and "archive" not in reader.messages[-1].text
        assert states(reader) == [], "but the final one, which the server sends with it, has come"

    def test_a_scan_that_the_archive_does_not_have_keeps_its_label_at_the_server(self, reader, scene, stored):
        volume = add_scan(scene)
        reader.preview(volume)
        stored.send = lambda image, tag: None
        submit(reader, volume)
        assert reader.messages[-1].level == "info"
        assert f"stays at the server: the archive {HOST} does not have this scan" in reader.messages[-1].text

    def test_the_next_version_takes_the_place_of_the_one_that_was_kept(self, reader, stored):
        volume = previewed(reader)
        stored.waits = DOWN
        submit(reader, volume)
        stored.waits = ""
        submit(reader, volume)
        assert "It is in the archive" in reader.messages[-1].text and states(reader) == []


class TestSendingAgain:
    """What the archive lacks is sent again when the reader says so."""

    def test_a_label_that_was_kept_is_sent_again(self, reader, stored):
        volume = previewed(reader)
        stored.waits = DOWN
        submit(reader, volume)
        stored.waits = ""
        heard: list[Any] = []
        reader.logic.archiving.changed.connect(heard.append)
        reader.logic.archiving.send_again()
        reader.logic.archiving.send_again()  # a second click while it goes
        reader.settle()
        assert stored.matches("POST /semgan/archive.*") == ["POST /semgan/archive/submissions/case/final"]
        assert stored.archive["case", "final"] == stored.versions_of["case", "final"][-1].data
        assert reader.messages[-1].level == "info"
        assert reader.messages[-1].text == f"The final label of “case” is in the archive {HOST} now."
        assert heard[0].sending and not heard[-1].sending and states(reader) == []

    def test_one_that_still_fails_stays_on_offer_with_its_reason(self, reader, stored):
        volume = previewed(reader)
        stored.waits = DOWN
        submit(reader, volume)
        stored.waits, stored.refused = "", {"case": FULL}
        reader.logic.archiving.send_again()
        reader.settle()
        message = reader.messages[-1]
        assert message.level == "warning"
        assert message.text == f"The archive {HOST} does not have the final label of “case”: {FULL}"
        assert states(reader) == [("case", "refused")] and not reader.logic.archiving.state.sending

    def test_a_server_that_is_gone_meanwhile_is_told_and_the_label_stays_on_offer(self, reader, stored):
        volume = previewed(reader)
        stored.waits = DOWN
        submit(reader, volume)
        stored.drop = 1
        reader.logic.archiving.send_again()
        reader.settle()
        assert reader.messages[-1].level == "error" and "broke" in reader.messages[-1].text
        assert states(reader) == [("case", "waiting")] and not reader.logic.archiving.state.sending

    def test_labels_of_an_earlier_day_are_on_offer_after_connecting(self, scene, stored):
        stored.waits = DOWN
        put(stored, "a", "b", "c")
        reader = Session(scene)
        reader.connect(stored.address)
        assert states(reader) == [("a", "waiting"), ("b", "waiting"), ("c", "waiting")]
        assert "“a” and 2 more: the archive does not answer" in reader.logic.archiving.state.text
        reader.logic.archiving.send_again()
        reader.settle()
        assert len(stored.matches("POST /semgan/archive.*")) == 1, "one try tells that nothing is reached"
        assert len(states(reader)) == 3
        stored.waits, stored.refused = "", {"b": FULL}
        reader.logic.archiving.send_again()
        reader.settle()
        assert [image for image, _ in stored.archive] == ["a", "c"] and states(reader) == [("b", "refused")]
        assert reader.messages[-1].level == "warning"
        assert "2 labels are in the archive" in reader.messages[-1].text and "“b”" in reader.messages[-1].text

    def test_one_that_was_removed_meanwhile_does_not_hold_the_others_back(self, scene, stored):
        stored.waits = DOWN
        put(stored, "a", "b")
        reader = Session(scene)
        reader.connect(stored.address)
        stored.waits = ""
        del stored.versions_of["a", "final"]
        reader.logic.archiving.send_again()
        reader.settle()
        assert list(stored.archive) == [("b", "final")]
        assert "there is no label final of a" in reader.messages[-1].text

    def test_what_one_server_lacks_is_not_offered_at_another(self, scene, stored, server):
        stored.waits = DOWN
        put(stored, "a")
        reader = Session(scene)
        reader.connect(stored.address)
        reader.connect(server.address)
        assert states(reader) == [] and reader.logic.archiving.state.host == ""
        reader.logic.archiving.send_again()
        assert not server.matches("POST .*")


def test_an_archive_that_cannot_be_listed_is_told_with_the_images(reader, stored):
    stored.unlisted = "the archive does not answer"
    reader.logic.list_images()
    reader.settle()
    assert reader.logic.images.ids == ("case",)
    assert reader.messages[-1].level == "warning"
    assert f"The archive {HOST} could not be listed: the archive does not answer." in reader.messages[-1].text


@pytest.mark.parametrize("found", ["folder", "older", "damaged"])
def test_servers_without_an_archive_are_as_before(scene, server, found, monkeypatch):
    if found != "folder":
        server.status_at = {"GET /semgan/archive": 405 if found == "older" else 500}
    if found == "damaged":
        server.status_at = {}
        reply = server.reply
        monkeypatch.setattr(server, "reply", lambda *call: (200, []) if "/archive" in call[1] else reply(*call))
    server.images["case"] = (".nrrd", encode(phantom("LAS")))
    reader = Session(scene)
    reader.connect(server.address)
    submit(reader, previewed(reader))
    reader.logic.list_images()
    reader.settle()
    assert list(server.labels) == [("case", "final")]
    assert [(one.level, one.text) for one in reader.messages] == [
        ("info", "The label was submitted for the image “case”.")
    ]
    assert len(server.matches("GET /semgan/archive")) == 1, "it is asked once, and no more"


def test_a_label_that_another_says_something_unreadable_of_is_submitted_all_the_same(scene, server, monkeypatch):
    reply = server.reply

    def odd(method: str, target: str, *rest: Any) -> tuple[int, Any]:
        status, content = reply(method, target, *rest)
        return status, b"saved" if (method, target[:16]) == ("PUT", "/datastore/label") else content

    monkeypatch.setattr(server, "reply", odd)
    server.images["case"] = (".nrrd", encode(phantom("LAS")))
    reader = Session(scene)
    reader.connect(server.address)
    submit(reader, previewed(reader))
    assert list(server.labels) == [("case", "final")] and reader.messages[-1].level == "info"


def test_labels_are_the_same_whatever_has_become_of_them():
    label = ArchivedLabel("case", "final", "waiting", DOWN)
    assert label.same(ArchivedLabel("case", "final", "sent")) and not label.sent
    assert not label.same(ArchivedLabel("case", "preliminary", "waiting", DOWN))
