"""Active learning through `semgan serve`: several users at once, scores in the background, and after a restart."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.label_app.servers import Server, fill, start_semgan

pytestmark = [pytest.mark.label, pytest.mark.slow]
USERS = [f"user {number}" for number in range(6)]


def next_sample(server: Server, user: str, strategy: str) -> Any:
    """What MONAI Label's client is told."""
    from monailabel.client import MONAILabelClient

    return MONAILabelClient(server.address, client_id=user).next_sample(strategy, {})


def ask(server: Server, method: str, path: str, **options: Any) -> Any:
    """JSON of a successful answer."""
    import requests

    answer = requests.request(method, f"{server.address}{path}", timeout=60, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask_job(server: Server) -> str:
    """Id of a preview that a user asks for."""
    import requests

    answer = requests.post(f"{server.address}/semgan/jobs", json={"image": "mr", "mode": "preview"}, timeout=60)
    return str(answer.json()["id"])


def wait_for(server: Server, path: str, wanted: Callable[[Any], Any]) -> Any:
    """JSON of a path, once it is as wanted."""
    deadline = time.monotonic() + 300
    while not wanted(found := ask(server, "GET", path)):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def scored(server: Server) -> dict[str, Any]:
    """The task, once it has ended."""
    return dict(wait_for(server, "/scoring/", lambda task: task.get("end_ts")))


def copies(studies: Path) -> Path:
    """Three scans, of two kinds."""
    fill(studies)
    (studies / "ct2.nii.gz").write_bytes((studies / "ct.nii.gz").read_bytes())
    return studies


def test_users_who_ask_at_the_same_time_share_the_images_and_know_of_it_after_a_restart(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    studies, options = copies(tmp_path / "studies"), ("--bundle", tiny_bundle)
    with start_semgan(studies, tmp_path / "home", *options) as server:
        with ThreadPoolExecutor(len(USERS)) as pool:
            given = list(pool.map(lambda user: next_sample(server, user, "semgan_out_of_domain"), USERS))
        assert sorted(sample.get("id", "") for sample in given) == ["", "", "", "ct", "ct2", "mr"]
        assert {} in given

        task = ask(server, "POST", "/scoring/semgan_scores", json={"steps": 1})
        assert task["status"] in ("SUBMITTED", "RUNNING")
        ask(server, "GET", "/info/")
        assert scored(server)["progress"] == {"done": 3, "failed": 0, "total": 3}
        image = next(sample["id"] for sample in given if sample)
        before = ask(server, "GET", "/datastore/image/info", params={"image": image})["semgan_scores"]
        assert 0 < before["out_of_domain"] < 1 and 0 <= before["disagreement"] <= 1 and len(before["model"]) == 64

    with start_semgan(studies, tmp_path / "home2", *options) as server:
        owner = next(user for user, sample in zip(USERS, given, strict=True) if sample.get("id") == image)
        stranger = next(user for user, sample in zip(USERS, given, strict=True) if not sample)
        assert next_sample(server, stranger, "random") == {}
        assert next_sample(server, owner, "semgan_disagreement")["semgan_scores"] == before
        ask(server, "POST", "/scoring/semgan_scores", json={"steps": 1})
        assert scored(server)["progress"] == {"done": 0, "failed": 0, "total": 0}


def test_scores_of_another_model_are_not_told_with_the_next_image(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle) as server:
        ask(server, "POST", "/scoring/semgan_scores", json={"steps": 1})
        assert scored(server)["progress"]["done"] == 2
        assert next_sample(server, "ann", "semgan_out_of_domain")["score"] is not None
    other = shutil.copytree(tiny_bundle, tmp_path / "other")
    config = other / "configs" / "inference.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"preview": {"batch_size": 3}}))
    with start_semgan(studies, tmp_path / "home2", "--bundle", other) as server:
        sample = next_sample(server, "ann", "semgan_out_of_domain")
        assert sample["score"] is None and "semgan_scores" not in sample


def test_scoring_can_be_stopped_and_goes_on_where_it_was(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = copies(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle) as server:
        ask(server, "POST", "/scoring/semgan_scores", json={"steps": 40})
        wait_for(server, "/scoring/", lambda task: task["progress"]["done"] >= 1)
        assert ask(server, "DELETE", "/scoring/")["status"] == "STOPPED"
        done = scored(server)["progress"]["done"]
        assert 1 <= done < 3
        ask(server, "POST", "/scoring/semgan_scores", json={"steps": 40})
        assert scored(server)["progress"]["total"] == 3 - done


def test_a_users_job_does_not_wait_for_scoring(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = copies(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle) as server:
        ask(server, "POST", "/scoring/semgan_scores", json={"steps": 1000})
        job = wait_for(server, "/semgan/jobs", lambda found: [j for j in found["jobs"] if j["step"] >= 1 and j["loss"]])
        assert job["jobs"][0]["request"]["steps"] == 1000
        mine = ask_job(server)
        state = wait_for(server, f"/semgan/jobs/{mine}", lambda found: found["finished"])
        assert state["state"] == "done"
        assert ask(server, "GET", "/scoring/")["progress"] == {"done": 0, "failed": 0, "total": 3}
        wait_for(server, "/semgan/jobs", lambda found: [j for j in found["jobs"] if j["request"]["steps"] == 1000])
        ask(server, "DELETE", "/scoring/")
        assert scored(server)["progress"]["failed"] == 0
