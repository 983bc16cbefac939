"""With MONAI Label's log-in, a job is its user's, whatever client the user sits at."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("jwt", reason="needs the environment of the extra label")

import jwt

from tests.label_app.holes import ask
from tests.label_app.servers import Server, fill, start_semgan
from tests.label_app.test_access import Realm, realm

__all__ = ["realm"]

pytestmark = pytest.mark.label


def headers(realm: Realm, name: str, role: str = "monailabel-user", client: str = "") -> dict[str, str]:
    """A user's, at a client."""
    claims = {"preferred_username": name, "realm_access": {"roles": [role]}, "exp": time.time() + 600}
    token = jwt.encode(claims, realm.key, algorithm="RS256")
    return {"Authorization": f"Bearer {token}", **({"X-SemGAN-Client": client} if client else {})}


def submit(server: Server, who: dict[str, str]) -> str:
    response = ask(server, "POST", "/semgan/jobs", json={"image": "ct", "mode": "invert", "steps": 5000}, headers=who)
    assert response.status_code == 201 and response.json()["mine"] is True, response.text
    return str(response.json()["id"])


def test_users_end_their_own_jobs_and_administrators_all(realm: Realm, tiny_bundle: Path, tmp_path: Path) -> None:
    eva, eva_elsewhere = headers(realm, "eva", client="desk-0001"), headers(realm, "eva", client="desk-0002")
    adam, admin = headers(realm, "adam", client="desk-0001"), headers(realm, "root", "monailabel-admin")
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle, variables=realm.variables) as server:
        jobs = [submit(server, eva) for _ in range(2)]
        for job in jobs:
            seen = [ask(server, "GET", f"/semgan/jobs/{job}", headers=who).json() for who in (eva_elsewhere, adam)]
            assert [one["mine"] for one in seen] == [True, False] and "eva" not in str(seen)
            assert ask(server, "POST", f"/semgan/jobs/{job}/cancel", headers=adam).status_code == 403
            assert ask(server, "DELETE", f"/semgan/jobs/{job}", headers=adam).status_code == 403
        assert ask(server, "DELETE", f"/semgan/jobs/{jobs[0]}", headers=eva_elsewhere).status_code == 204
        assert ask(server, "DELETE", f"/semgan/jobs/{jobs[1]}", headers=admin).status_code == 204
