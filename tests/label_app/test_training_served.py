"""Clients of MONAI Label teach the model a structure from the labels that they have submitted, and go back."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from tests.label_app.holes import ask
from tests.label_app.servers import Server, fill, start_semgan

pytestmark = [pytest.mark.label, pytest.mark.slow]

SECONDS = 240.0


def submit(client: MONAILabelClient, studies: Path, image: str, folder: Path) -> None:
    """A reader's final label: a block in the middle, called bladder."""
    scan = nibabel.load(studies / f"{image}.nii.gz")
    ids = np.zeros(scan.shape, np.uint8)
    middle = tuple(slice(n // 3, n - n // 3) for n in scan.shape)
    ids[middle] = 99
    path = folder / f"{image}_label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(ids, scan.affine), path)
    client.save_label(image, str(path), "final", {"label_info": [{"name": "bladder", "idx": 99}]})


def wait(status: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The last status of a training."""
    deadline = time.monotonic() + SECONDS
    while (found := status())["status"] in ("SUBMITTED", "RUNNING"):
        assert time.monotonic() < deadline, found
        time.sleep(0.3)
    return found


def versions(server: Server) -> dict[str, Any]:
    """What the job API tells of the default model's versions."""
    model = ask(server, "GET", "/semgan/models").json()["models"][0]["name"]
    return dict(ask(server, "GET", f"/semgan/models/{model}/versions").json())


def test_a_new_structure_is_learnt_found_and_given_up_again(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle) as server:
        client = MONAILabelClient(server.address, tmpdir=str(tmp_path))
        assert sorted(client.info()["trainers"]) == ["semgan_structure", "semgan_tune"]
        with pytest.raises(MONAILabelClientException, match="no final label names a structure"):
            client.train_start("semgan_structure", {})
        for image in ("ct", "mr"):
            submit(client, studies, image, tmp_path)
        told = ask(server, "GET", "/semgan/train/labels").json()
        assert told["structures"] == [{"name": "bladder", "label": 99, "known": False, "images": ["ct", "mr"]}]

        before = client.info()
        assert client.train_start("semgan_structure", {"seconds": 10})["status"] in ("SUBMITTED", "RUNNING")
        ended = wait(client.train_status)
        assert ended["status"] == "DONE", f"{ended}\n{server.logged()[-2000:]}"

        assert "bladder" in client.info()["models"]["semgan_preview"]["labels"]
        assert versions(server)["current"] == 1
        label, facts = client.infer("semgan_preview", "ct", {})
        assert "bladder" in facts["label_names"] and Path(label).stat().st_size

        model = versions(server)["model"]
        ask(server, "POST", f"/semgan/models/{model}/current", json={"version": 0})
        assert client.info()["models"]["semgan_preview"]["labels"] == before["models"]["semgan_preview"]["labels"]
        _, facts = client.infer("semgan_preview", "ct", {})
        assert "bladder" not in facts["label_names"]


def test_scores_are_made_again_by_the_version_that_has_come_into_use(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle) as server:
        client = MONAILabelClient(server.address, tmpdir=str(tmp_path))
        submit(client, studies, "ct", tmp_path)
        assert ask(server, "POST", "/scoring/semgan_scores?run_sync=true", json={"steps": 1}).status_code == 200
        scored = scores_of(server, "mr")
        client.train_start("semgan_structure", {"seconds": 10})
        assert wait(client.train_status)["status"] == "DONE", server.logged()[-2000:]
        deadline = time.monotonic() + SECONDS
        while scores_of(server, "mr")["model"] == scored["model"]:
            assert time.monotonic() < deadline
            time.sleep(0.3)
        following = client.next_sample("semgan_out_of_domain", {})
        assert following["id"] == "mr" and following["semgan_scores"]["model"] != scored["model"]


def scores_of(server: Server, image: str) -> dict[str, Any]:
    """What is noted of an image."""
    return dict(json.loads(ask(server, "GET", f"/datastore/image/info?image={image}").text)["semgan_scores"])


def test_a_training_that_a_client_stops_leaves_the_model_as_it_was(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle) as server:
        client = MONAILabelClient(server.address, tmpdir=str(tmp_path))
        for image in ("ct", "mr"):
            label, _ = client.infer("semgan_preview", image, {"result_extension": ".nii.gz"})
            client.save_label(image, label, "final", {})
        client.train_start("semgan_tune", {"seconds": 600})
        with pytest.raises(MONAILabelClientException, match="running already"):
            client.train_start("semgan_tune", {"seconds": 600})
        deadline = time.monotonic() + SECONDS
        while (found := client.train_status())["progress"]["step"] == 0:
            assert found["status"] in ("SUBMITTED", "RUNNING") and time.monotonic() < deadline, found
            time.sleep(0.3)
        client.train_stop()
        assert wait(client.train_status)["status"] == "STOPPED"
        assert [one["kind"] for one in versions(server)["versions"]] == ["shipped"]


def learners(server: Server) -> list[Any]:
    """Processes of a server that learn."""
    import psutil

    found = []
    for child in psutil.Process(server.process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # those that read a scan end at any time
            if "learn" in child.cmdline():
                found.append(child)
    return found


def test_a_training_goes_on_after_the_server_was_killed(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "first", "--bundle", tiny_bundle) as killed:
        submit(MONAILabelClient(killed.address, tmpdir=str(tmp_path)), studies, "ct", tmp_path)
        asked = {"structures": [{"name": "bladder"}], "seconds": 12}
        training = ask(killed, "POST", "/semgan/train", json=asked).json()["id"]
        deadline = time.monotonic() + SECONDS
        while ask(killed, "GET", f"/semgan/train/{training}").json()["step"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        (learning,) = learners(killed)
        killed.process.kill()
        killed.process.wait()
        learning.wait(100)  # it leaves with its parent
    with start_semgan(studies, tmp_path / "second", "--bundle", tiny_bundle) as server:
        found = ask(server, "GET", f"/semgan/train/{training}").json()
        assert found["state"] == "interrupted" and versions(server)["current"] == 0
        ask(server, "POST", f"/semgan/train/{training}/resume")
        assert wait(MONAILabelClient(server.address).train_status)["status"] == "DONE", server.logged()[-2000:]
        assert versions(server)["current"] == 1
