"""One server, several models: a request says which one, and what comes back tells it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Serve, Server

pytestmark = pytest.mark.label

MakeStudies = Callable[[], Path]


def renamed(tiny_bundle: Path, folder: Path, name: str, labels: dict[str, str]) -> Path:
    """A copy of a bundle with another name, whose structures have other names."""
    shutil.copytree(tiny_bundle, folder)
    file = folder / "configs" / "metadata.json"
    metadata = json.loads(file.read_text())
    metadata["name"] = name
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] |= labels
    file.write_text(json.dumps(metadata))
    return folder


@pytest.fixture(scope="module")
def server(
    serve: Serve, make_studies: MakeStudies, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    """A server with three models: another one, and one of the first one's name."""
    folder = tmp_path_factory.mktemp("models")
    pelvis = renamed(tiny_bundle, folder / "pelvis", "Pelvis", {"1": "bladder", "2": "prostate"})
    twin = renamed(tiny_bundle, folder / "twin", json.loads(_metadata(tiny_bundle))["name"], {"4": "pancreas"})
    return serve(make_studies(), bundles=[str(tiny_bundle), str(pelvis), str(twin)])


def _metadata(bundle: Path) -> str:
    return (bundle / "configs" / "metadata.json").read_text()


def models(server: Server) -> list[dict[str, Any]]:
    """What the server tells of its models."""
    return list(server.get("/models").json()["models"])


def test_every_model_is_told_with_its_own_name_and_labels(server: Server) -> None:
    first, second, third = models(server)
    assert second["name"] == "Pelvis" and third["name"] == f"{first['name']} (twin)"
    assert [label["name"] for label in second["labels"]][:2] == ["bladder", "prostate"]
    assert third["labels"][3]["name"] == "pancreas" and first["labels"][3]["name"] == "spleen"


def test_a_request_is_done_by_the_model_that_it_names_and_by_the_first_one_if_it_names_none(server: Server) -> None:
    jobs = {None: server.submit(image="ct")}
    for model in models(server):
        jobs[model["name"]] = server.submit(image="ct", model=model["name"])
    for name, job in jobs.items():
        ended = server.done(job)
        expected = models(server)[0] if name is None else next(m for m in models(server) if m["name"] == name)
        result = server.get(f"/jobs/{job}/result").json()
        assert result["model"]["name"] == ended["request"]["model"] == expected["name"]
        assert [label["name"] for label in result["labels"]] == [label["name"] for label in expected["labels"]]
        assert list(result["volumes_ml"]) == [label["name"] for label in expected["labels"]]
    assert all(model["modes"][0]["seconds"] for model in models(server))  # each has its own time


def test_labels_are_those_of_the_model_that_is_asked(server: Server) -> None:
    job = server.submit(image="ct", model="Pelvis", labels=["bladder"])
    server.done(job)
    assert list(server.get(f"/jobs/{job}/result").json()["volumes_ml"]) == ["bladder"]
    refused = server.ask("POST", "/jobs", json={"image": "ct", "model": "Pelvis", "labels": ["liver"]})
    assert refused.status_code == 422 and "this model knows bladder" in refused.json()["detail"]


def test_a_model_that_is_not_there_is_told_with_those_that_are(server: Server) -> None:
    refused = server.ask("POST", "/jobs", json={"image": "ct", "model": "Brain"})
    assert refused.status_code == 404 and "Pelvis" in refused.json()["detail"]


def test_a_preview_of_one_model_pauses_the_inversion_of_another(server: Server) -> None:
    inversion = server.running(model="Pelvis")
    preview = server.submit(image="ct")
    server.done(preview)
    assert server.job(inversion)["state"] in ("running", "paused")
    step = server.job(inversion)["step"]
    server.wait(inversion, lambda found: found["state"] == "running" and found["step"] > step)
    server.ask("POST", f"/jobs/{inversion}/cancel")
    assert server.wait(inversion)["state"] == "cancelled"
    assert server.get(f"/jobs/{inversion}/result").json()["model"]["name"] == "Pelvis"


def test_a_model_that_cannot_be_loaded_spoils_only_its_own_jobs(
    serve: Serve, make_studies: MakeStudies, tiny_bundle: Path, tmp_path: Path
) -> None:
    broken = renamed(tiny_bundle, tmp_path / "broken", "Broken", {})
    (broken / "models" / "model.pt").write_bytes(b"no weights")
    server = serve(make_studies(), bundles=[str(tiny_bundle), str(broken)])
    failed = server.wait(server.submit(image="ct", model="Broken"))
    assert failed["state"] == "failed" and "weights" in failed["message"] and str(tmp_path) not in failed["message"]
    server.done(server.submit(image="ct"))
