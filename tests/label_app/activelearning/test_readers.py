"""Who asks for the next sample: the user of the log-in, the client's name for itself, or its header."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.label_app.holes import ask
from tests.label_app.servers import Server, fill, start_semgan
from tests.label_app.test_access import Realm

pytestmark = pytest.mark.label
ANN, BOB = {"X-SemGAN-Client": "ann-0123456789"}, {"X-SemGAN-Client": "bob-0123456789"}


@pytest.fixture
def fresh(tiny_bundle: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that has given nothing out, with two scans."""
    with start_semgan(fill(tmp_path / "studies"), tmp_path / "home", "--bundle", tiny_bundle) as server:
        yield server


def next_of(server: Server, headers: dict[str, str], **params: Any) -> str | None:
    """The id that is given out."""
    answer = ask(server, "POST", "/activelearning/first", json=params, headers=headers)
    assert answer.status_code == 200, answer.text
    found = answer.json().get("id")
    return str(found) if found else None


def test_readers_are_told_apart_by_their_header_and_by_client_id_before_it(fresh: Server) -> None:
    first = next_of(fresh, ANN)
    assert next_of(fresh, ANN, client_id="cid") not in (first, None)
    assert next_of(fresh, BOB) is None
    assert next_of(fresh, {}, client_id="cid") != first
    assert next_of(fresh, ANN) == first


@pytest.mark.parametrize("header", ["short", "with space 12345", "x" * 65, "../../../../etc"])
def test_a_header_that_is_no_id_is_refused(header: str, fresh: Server) -> None:
    answer = ask(fresh, "POST", "/activelearning/first", json={}, headers={"X-SemGAN-Client": header})
    assert answer.status_code == 422 and "X-SemGAN-Client" in answer.json()["detail"]


def test_a_log_in_counts_before_whatever_a_client_says_and_owns_its_jobs(tiny_bundle: Path, tmp_path: Path) -> None:
    realm = Realm()
    studies = fill(tmp_path / "studies")
    eva, max_ = realm.header("monailabel-user"), realm.header("monailabel-user", name="max")
    admin = realm.header("monailabel-admin", name="boss")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle, variables=realm.variables) as server:
        first = next_of(server, {**eva, **ANN}, client_id="somebody")
        assert next_of(server, {**max_, **ANN}, client_id="somebody") not in (first, None)
        job = ask(server, "POST", "/semgan/jobs", json={"image": "ct"}, headers={**eva, **ANN}).json()
        assert job["mine"] is True
        path = f"/semgan/jobs/{job['id']}"
        assert ask(server, "GET", path, headers={**max_, **ANN}).json()["mine"] is False
        refused = ask(server, "DELETE", path, headers={**max_, **ANN})
        assert refused.status_code == 403 and refused.json()["detail"]
        assert ask(server, "DELETE", path, headers=admin).status_code == 204
    realm.server.shutdown()
