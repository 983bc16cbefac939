"""What the client asks about the archive behind a server, and what it makes of odd answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from SemGANLib.Server import Errors
from SemGANLib.Server.ArchiveCalls import archived, archived_in
from SemGANLib.Server.Client import Client
from SemGANLib.Types.ArchiveTypes import ArchivedLabel, ArchiveFacts
from SemGANLib.Types.DatastoreTypes import LabelState

from tests.slicer_extension.datastore.archive_server import HOST, ArchiveServer
from tests.slicer_extension.scan_files import file_of, phantom

LABEL = file_of(phantom("LAS"), ".nrrd")


@pytest.fixture
def stored() -> Iterator[ArchiveServer]:
    """A server of an archive with one series, whose id has to be quoted."""
    with ArchiveServer() as server:
        server.images["ct 4/ä"] = (".nrrd", LABEL)
        yield server
    assert not server.errors


def test_the_answer_to_a_label_tells_what_the_archive_has_of_it(stored):
    client = Client(stored.address)
    assert client.save_label("ct 4/ä", LABEL, LabelState("final"), {}).archived == ArchivedLabel(
        "ct 4/ä", "final", "sent"
    )
    assert client.archive() == ArchiveFacts(HOST)


def test_a_label_that_was_kept_is_listed_and_sent_again_under_its_quoted_name(stored):
    client = Client(stored.address)
    stored.waits = "no answer"
    saved = client.save_label("ct 4/ä", LABEL, LabelState("final"), {})
    kept = ArchivedLabel("ct 4/ä", "final", "waiting", "no answer")
    assert saved.archived == kept and saved.etag
    assert client.archive() == ArchiveFacts(HOST, "", (kept,)) and client.send_again("ct 4/ä", "final") == kept
    stored.waits = ""
    assert client.send_again("ct 4/ä", "final").sent and stored.archive["ct 4/ä", "final"] == LABEL
    stored.foreign.add("ct 4/ä")
    with pytest.raises(Errors.Conflict, match="none of the archive"):
        client.send_again("ct 4/ä", "final")
    with pytest.raises(Errors.Gone, match="no label"):
        client.send_again("another", "final")


def test_a_server_of_a_folder_has_no_archive(server):
    assert Client(server.address).archive() is None


@pytest.mark.parametrize("answer", [[], {}, {"archive": ""}, {"archive": None}, "pacs"])
def test_an_answer_without_an_archive_is_none(stored, answer, monkeypatch):
    monkeypatch.setattr(stored, "reply", lambda *_call: (200, answer))
    assert Client(stored.address).archive() is None


def test_labels_that_cannot_be_read_are_left_out(stored, monkeypatch):
    good = {"image": "a", "tag": "final", "state": "refused", "reason": None, "more": 1}
    content = {"archive": HOST, "trouble": None, "unsent": [good, 7, {"image": "b"}]}
    monkeypatch.setattr(stored, "reply", lambda *_call: (200, content))
    assert Client(stored.address).archive() == ArchiveFacts(HOST, "", (ArchivedLabel("a", "final", "refused"),))
    with pytest.raises(Errors.WrongVersion, match="Update the server"):
        Client(stored.address).send_again("a", "final")


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"saved", b"[]", b"{}", b'{"archive": null}', b'{"archive": {"state": "sent"}}']
)
def test_an_answer_to_a_label_that_says_nothing_of_an_archive_is_no_error(body):
    assert archived_in(body) is None


@pytest.mark.parametrize("entry", [None, 3, {"image": 1, "tag": "final", "state": "sent"}])
def test_what_is_no_label_is_none(entry: Any) -> None:
    assert archived(entry) is None
