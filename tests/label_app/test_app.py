"""The app under a plain MONAI Label server and under `semgan serve`, asked by MONAI Label's own client."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.label_app.servers import Server

pytestmark = pytest.mark.label
ORGANS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}


@pytest.fixture(scope="module", params=["plain", "served"])
def running(request: pytest.FixtureRequest) -> Server:
    """Each of the servers."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="module")
def client(running: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """MONAI Label's client."""
    from monailabel.client import MONAILabelClient

    return MONAILabelClient(running.address, tmpdir=str(tmp_path_factory.mktemp("client")))


def test_the_server_tells_its_models_and_labels(client: Any) -> None:
    info = client.info()
    modes = {"semgan_preview", "semgan_invert", "semgan_refine"}
    assert set(info["models"]) == {*modes, "semgan_points", "semgan_scribbles"}
    for name, model in info["models"].items():
        assert model["labels"] == ORGANS and (name not in modes or model["type"] == "segmentation")
        assert "Research use only" in model["description"]


def test_a_description_tells_how_well_every_structure_is_found() -> None:
    from monai_semgan.label_app.infer import described

    text = described("seconds", {1: "liver", 12: "right adrenal gland"}, {1: {"CT": 0.941, "MR": 0.8}, 12: {"CT": 0.5}})
    assert "CT: liver 0.94, right adrenal gland 0.50; MR: liver 0.80." in text
    assert described("seconds", {1: "liver"}, {}) == "seconds. Research use only."


@pytest.mark.parametrize("mode", ["preview", "invert", "refine"])
@pytest.mark.parametrize("image", ["ct", "mr"])
def test_the_label_lies_on_exactly_the_images_grid(mode: str, image: str, client: Any, running: Server) -> None:
    file, params = client.infer(f"semgan_{mode}", image, {})
    label, scan = nibabel.load(file), nibabel.load(running.studies / f"{image}.nii.gz")
    assert label.shape == scan.shape and label.get_data_dtype() == np.uint8
    assert np.allclose(label.affine, scan.affine, atol=1e-4)
    ids = np.asarray(label.dataobj)
    voxel_ml = abs(np.linalg.det(scan.affine[:3, :3])) / 1000
    for name, index in ORGANS.items():
        assert params["volumes_ml"][name] == pytest.approx((ids == index).sum() * voxel_ml, abs=0.02)
    assert params["label_names"] == ORGANS and set(params["label_colors"]) == set(ORGANS)
    assert params["latencies"]["total"] > 0 and len(params["model"]["sha256"]) == 64
    assert params["research_only"] and params["modality"] == image.upper()
    assert (params["residual_per_slice"] is None) == (mode == "preview")


def test_extra_maps_are_labels_with_tags_of_their_own(client: Any, running: Server) -> None:
    _, params = client.infer("semgan_invert", "ct", {"maps": True})
    assert set(params["extras"]) == {"reconstruction", "residual", "uncertainty"}
    assert "maps_folder" not in params
    scan = nibabel.load(running.studies / "ct.nii.gz")
    for name, place in params["extras"].items():
        assert place == {"label": "ct", "tag": f"semgan_{name}"}
        found = nibabel.load(client.download_label(place["label"], place["tag"]))
        assert found.shape == scan.shape and np.allclose(found.affine, scan.affine, atol=1e-4)
    assert client.datastore()["objects"]["ct"]["labels"].keys() >= {"semgan_uncertainty"}


def test_only_the_labels_that_were_asked_for_are_given_out(client: Any) -> None:
    file, params = client.infer("semgan_preview", "ct", {"labels": ["liver"], "result_extension": ".nrrd"})
    assert file.endswith(".nrrd") and list(params["volumes_ml"]) == ["liver"]


def test_an_unknown_image_is_refused_and_not_answered_with_another(client: Any) -> None:
    from monailabel.client.client import MONAILabelClientException

    with pytest.raises(MONAILabelClientException) as problem:
        client.infer("semgan_preview", "nobody", {"result_extension": ".nii.gz"})
    assert "Status: 404" in problem.value.msg or "Status: 500" in problem.value.msg
    assert "Traceback" not in problem.value.msg


def test_a_session_segments_a_volume_that_is_not_in_the_datastore(client: Any, studies: Path) -> None:
    session = client.create_session(str(studies / "mr.nii.gz"))["session_id"]
    assert client.get_session(session)["name"] == session
    file, params = client.infer("semgan_preview", "", {}, session_id=session)
    assert nibabel.load(file).shape == nibabel.load(studies / "mr.nii.gz").shape
    assert params["modality"] == "MR"
    client.remove_session(session)
    with pytest.raises(Exception, match="404"):
        client.get_session(session)


def test_a_file_can_be_sent_with_the_request(client: Any, studies: Path) -> None:
    file, params = client.infer("semgan_preview", "", {}, file=str(studies / "ct.nii.gz"))
    assert nibabel.load(file).shape == nibabel.load(studies / "ct.nii.gz").shape and params["modality"] == "CT"


def test_a_corrected_label_is_saved_listed_and_given_back(client: Any, running: Server, tmp_path: Path) -> None:
    scan = nibabel.load(running.studies / "ct.nii.gz")
    corrected = np.random.default_rng(0).integers(0, 5, scan.shape).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(corrected, scan.affine), tmp_path / "label.nii.gz")
    client.save_label("ct", str(tmp_path / "label.nii.gz"), tag="corrected", params={"label_info": []})
    assert client.datastore()["objects"]["ct"]["labels"]["corrected"]["ext"] == ".nii.gz"
    back = nibabel.load(client.download_label("ct", "corrected"))
    np.testing.assert_array_equal(np.asarray(back.dataobj), corrected)


def test_an_image_is_added_under_the_name_it_is_given(client: Any, studies: Path) -> None:
    assert client.upload_image(str(studies / "mr.nii.gz"), "added")["image"] == "added"
    assert "added" in client.datastore()["objects"]
    file, _ = client.infer("semgan_preview", "added", {})
    assert nibabel.load(file).shape == nibabel.load(studies / "mr.nii.gz").shape


def test_the_job_api_is_there_too(running: Server) -> None:
    import requests

    health = requests.get(f"{running.address}/semgan/health", timeout=60).json()
    assert health["product"] == "monai_semgan" and health["workers"]
    job = requests.post(f"{running.address}/semgan/jobs", json={"image": "ct"}, timeout=60).json()["id"]
    for _ in range(240):
        state = requests.get(f"{running.address}/semgan/jobs/{job}", timeout=60).json()
        if state["finished"]:
            break
        time.sleep(0.5)
    assert state["state"] == "done", state
    assert requests.get(f"{running.address}/semgan/jobs/{job}/result/label", timeout=60).ok
    assert requests.delete(f"{running.address}/semgan/jobs/{job}", timeout=60).status_code == 204


def test_the_next_image_to_label_is_one_without_label(client: Any) -> None:
    assert client.next_sample("random", {})["id"] in client.datastore()["objects"]


def test_a_batch_runs_without_a_gpu(running: Server, client: Any) -> None:
    import requests

    address = f"{running.address}/batch/infer/semgan_preview"
    assert requests.post(address, json={"label_tag": "batched"}, timeout=60).status_code == 200
    for _ in range(240):
        state = requests.get(f"{running.address}/batch/infer", timeout=60).json()
        if state["status"] in ("DONE", "ERROR"):
            break
        time.sleep(0.5)
    assert state["status"] == "DONE", state
    assert any("images done" in line for line in state["details"]), state
    for image in ("ct", "mr"):
        assert nibabel.load(client.download_label(image, "batched")).ndim == 3
