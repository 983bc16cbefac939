"""Active learning through a plain `monailabel start_server`, asked by MONAI Label's own client."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

pytestmark = pytest.mark.label
STRATEGIES = {"semgan_out_of_domain", "semgan_residual", "semgan_disagreement", "random", "first"}


@pytest.fixture
def client(server: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Makes MONAI Label's client for a user."""
    from monailabel.client import MONAILabelClient

    folder = str(tmp_path_factory.mktemp("client"))
    return lambda user: MONAILabelClient(server, tmpdir=folder, client_id=user)


def scoring_status(server: str, wait_for: tuple[str, ...], seconds: float = 300) -> dict[str, Any]:
    """Status of the scoring task, once it is one of those."""
    import requests

    deadline = time.monotonic() + seconds
    while True:
        status = requests.get(f"{server}/scoring/", timeout=30).json()
        if status["status"] in wait_for:
            return dict(status)
        assert time.monotonic() < deadline, status
        time.sleep(0.5)


def _noted(server: str, image: str) -> dict[str, Any]:
    """What is noted of an image, once the server has noticed what its subprocess has written."""
    import requests

    deadline = time.monotonic() + 120
    while True:
        info = requests.get(f"{server}/datastore/image/info", params={"image": image}, timeout=60).json()
        if "semgan_scores" in info:
            return dict(info)
        assert time.monotonic() < deadline, info
        time.sleep(0.2)


def test_two_users_get_different_images_and_a_third_one_nothing(client: Callable[[str], Any]) -> None:
    assert set(client("ann").info()["strategies"]) == STRATEGIES
    given = [client("ann").next_sample("semgan_out_of_domain", {}), client("bob").next_sample("random", {})]
    assert {sample["id"] for sample in given} == {"ct", "mr"}
    assert client("cid").next_sample("first", {}) == {}


def test_scoring_runs_in_the_background_and_its_scores_come_with_the_next_image(
    server: str, client: Callable[[str], Any]
) -> None:
    import requests

    started = requests.post(f"{server}/scoring/semgan_scores", json={"steps": 1}, timeout=60)
    assert started.status_code == 200
    status = scoring_status(server, ("DONE", "ERROR"))
    assert status["status"] == "DONE" and any("2 of 2 images done" in line for line in status["details"]), status
    infos = {image: _noted(server, image) for image in ("ct", "mr")}
    for info in infos.values():
        assert 0 < info["semgan_scores"]["out_of_domain"] < 1 and 0 <= info["semgan_scores"]["disagreement"] <= 1
    ann = client("ann").next_sample("semgan_disagreement", {})
    assert ann["semgan_scores"] == infos[ann["id"]]["semgan_scores"]


def test_scoring_can_be_stopped(server: str) -> None:
    import requests

    assert requests.post(f"{server}/scoring/semgan_scores", json={"again": True}, timeout=60).status_code == 200
    scoring_status(server, ("RUNNING",))
    stopped = requests.delete(f"{server}/scoring/", timeout=60)
    assert stopped.status_code == 200 and stopped.json()["status"] == "STOPPED"
    assert requests.get(f"{server}/scoring/?check_if_running=true", timeout=30).status_code == 404
