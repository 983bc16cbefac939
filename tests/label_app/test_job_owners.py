"""A job, or batch, is its client's; with MONAI Label's log-in its user's, whose role tells what else is allowed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("jwt", reason="needs the environment of the extra label")

import jwt
import nibabel
import numpy as np

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


def test_a_batch_is_that_of_the_client_who_has_started_it(tiny_bundle: Path, tmp_path: Path) -> None:
    eva, adam = {"X-SemGAN-Client": "desk-0001"}, {"X-SemGAN-Client": "desk-0002"}
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle) as server:
        started = ask(
            server, "POST", "/batch/infer/semgan_invert?images=all", json={"steps": 5000, "max_workers": 1}, headers=eva
        )
        assert started.status_code == 200
        deadline = time.monotonic() + 300
        while not (jobs := ask(server, "GET", "/semgan/jobs", headers=adam).json()["jobs"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert jobs[0]["mine"] is False
        assert ask(server, "POST", f"/semgan/jobs/{jobs[0]['id']}/cancel", headers=adam).status_code == 403
        refused = ask(server, "DELETE", "/batch/infer", headers=adam)
        assert refused.status_code == 403 and "somebody else" in refused.json()["detail"]
        assert ask(server, "DELETE", "/batch/infer", headers=eva).json()["status"] == "STOPPED"
        ask(server, "DELETE", f"/semgan/jobs/{jobs[0]['id']}", headers=eva)


def test_the_role_of_reviewers_may_review_and_not_label(realm: Realm, tiny_bundle: Path, tmp_path: Path) -> None:
    anna, rolf = headers(realm, "anna", "monailabel-annotator"), headers(realm, "rolf", "monailabel-reviewer")
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle, variables=realm.variables) as server:
        scan = nibabel.load(studies / "ct.nii.gz")
        label = {"label": ("label.nii", nibabel.Nifti1Image(np.ones(scan.shape, np.uint8), scan.affine).to_bytes())}
        saved = [ask(server, "PUT", "/datastore/label?image=ct", files=label, headers=who) for who in (rolf, anna)]
        assert [one.status_code for one in saved] == [403, 200]
        review = ask(
            server,
            "PUT",
            "/semgan/labels/ct/final/review",
            json={"verdict": "accepted"},
            headers={**rolf, "If-Match": saved[1].headers["ETag"]},
        )
        assert review.status_code == 200 and review.json()["review"]["reviewer"] == "rolf"


def test_with_a_log_in_administrators_alone_change_the_model_that_all_use(
    realm: Realm, tiny_bundle: Path, tmp_path: Path
) -> None:
    anna, admin = headers(realm, "anna", "monailabel-annotator"), headers(realm, "root", "monailabel-admin")
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle, variables=realm.variables) as server:
        model = ask(server, "GET", "/semgan/models", headers=anna).json()["models"][0]["name"]
        asked = [
            ("/semgan/train", {"kind": "structure", "structures": [{"name": "cyst"}]}),
            (f"/semgan/train/{'0' * 32}/resume", None),
            (f"/semgan/models/{model}/current", {"version": 0}),
        ]
        refused = [ask(server, "POST", path, json=body, headers=anna) for path, body in asked]
        assert [one.status_code for one in refused] == [403] * 3
        assert "administrators" in refused[0].json()["detail"]
        allowed = [ask(server, "POST", path, json=body, headers=admin).status_code for path, body in asked]
        assert allowed == [409, 404, 200], "no final labels, no such training, and version 0 is in use already"
        assert ask(server, "GET", "/semgan/train", headers=anna).status_code == 200
        assert ask(server, "GET", f"/semgan/models/{model}/versions", headers=anna).status_code == 200
