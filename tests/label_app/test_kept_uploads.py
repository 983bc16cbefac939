"""Scans that were sent for a preview become images of the studies without being sent again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.label_app.holes import ask
from tests.label_app.servers import Server, fill, start_semgan

pytestmark = pytest.mark.label

READER = {"X-SemGAN-Client": "a-reader-of-tests"}
OTHER = {"X-SemGAN-Client": "another-reader-of-tests"}


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`semgan serve`."""
    folder = tmp_path_factory.mktemp("kept")
    with start_semgan(fill(folder / "studies"), folder / "home", "--bundle", tiny_bundle) as started:
        yield started


@pytest.fixture
def upload(server: Server) -> str:
    """A scan that a reader has sent."""
    sent = (server.studies / "ct.nii.gz").read_bytes()
    headers = {**READER, "Content-Type": "application/octet-stream"}
    answer = ask(server, "POST", "/semgan/uploads?suffix=.nii.gz", data=sent, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def keep(server: Server, upload: str, image: str, headers: dict[str, str] = READER) -> Any:
    return ask(server, "PUT", f"/semgan/uploads/{upload}/image?image={image}", headers=headers)


def test_what_was_sent_is_an_image_with_the_same_bytes_and_outlives_the_upload(server: Server, upload: str) -> None:
    assert keep(server, upload, "mine").json() == {"image": "mine"}
    assert ask(server, "DELETE", f"/semgan/uploads/{upload}", headers=READER).status_code == 204
    sent = (server.studies / "ct.nii.gz").read_bytes()
    assert ask(server, "GET", "/datastore/image?image=mine").content == sent
    assert "mine" in ask(server, "GET", "/datastore/?output=all").json()["objects"]


def test_a_request_that_comes_twice_makes_one_image(server: Server, upload: str) -> None:
    before = len(ask(server, "GET", "/datastore/?output=all").json()["objects"])
    assert [keep(server, upload, "twice").status_code for _ in range(2)] == [200, 200]
    assert len(ask(server, "GET", "/datastore/?output=all").json()["objects"]) == before + 1


def test_nobody_keeps_what_another_reader_has_sent(server: Server, upload: str) -> None:
    refused = keep(server, upload, "stolen", OTHER)
    assert refused.status_code == 403 and "another user" in refused.json()["detail"]
    assert "stolen" not in ask(server, "GET", "/datastore/?output=all").json()["objects"]


@pytest.mark.parametrize(("image", "status"), [("ct", 409), ("a%2Fb", 422), ("", 422), (".hidden", 422)])
def test_ids_that_are_taken_or_none_are_refused_with_the_reason(
    image: str, status: int, server: Server, upload: str
) -> None:
    answer = keep(server, upload, image)
    assert answer.status_code == status and answer.json()["detail"]


def test_an_upload_that_is_not_there_is_said_to_be_so(server: Server) -> None:
    answer = keep(server, "0" * 32, "nothing")
    assert answer.status_code == 404 and "send the volume again" in answer.json()["detail"]
