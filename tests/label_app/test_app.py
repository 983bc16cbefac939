"""The app under a plain MONAI Label server, asked by MONAI Label's own client."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

pytestmark = pytest.mark.label
ORGANS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}


@pytest.fixture(scope="module")
def client(server: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """MONAI Label's client."""
    from monailabel.client import MONAILabelClient

    return MONAILabelClient(server, tmpdir=str(tmp_path_factory.mktemp("client")))


def test_the_server_tells_its_models_and_labels(client: Any) -> None:
    info = client.info()
    assert set(info["models"]) == {"semgan_preview", "semgan_invert", "semgan_refine"}
    for model in info["models"].values():
        assert model["labels"] == ORGANS and model["type"] == "segmentation"
        assert "Research use only" in model["description"]


@pytest.mark.parametrize("mode", ["preview", "invert", "refine"])
@pytest.mark.parametrize("image", ["ct", "mr"])
def test_the_label_lies_on_exactly_the_images_grid(mode: str, image: str, client: Any, studies: Path) -> None:
    file, params = client.infer(f"semgan_{mode}", image, {})
    label, scan = nibabel.load(file), nibabel.load(studies / f"{image}.nii.gz")
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


def test_extra_maps_are_labels_with_tags_of_their_own(client: Any, studies: Path) -> None:
    _, params = client.infer("semgan_invert", "ct", {"maps": True})
    assert set(params["extras"]) == {"reconstruction", "residual", "uncertainty"}
    assert "maps_folder" not in params
    scan = nibabel.load(studies / "ct.nii.gz")
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

    with pytest.raises(MONAILabelClientException, match="500") as problem:
        client.infer("semgan_preview", "nobody", {"result_extension": ".nii.gz"})
    assert "Traceback" not in problem.value.msg


def test_a_session_segments_a_volume_that_is_not_in_the_datastore(client: Any, studies: Path) -> None:
    session = client.create_session(str(studies / "mr.nii.gz"))["session_id"]
    file, params = client.infer("semgan_preview", "", {}, session_id=session)
    assert nibabel.load(file).shape == nibabel.load(studies / "mr.nii.gz").shape
    assert params["modality"] == "MR"
    client.remove_session(session)


def test_a_batch_runs_without_a_gpu(server: str, client: Any) -> None:
    import requests

    address = f"{server}/batch/infer/semgan_preview"
    assert requests.post(address, json={"label_tag": "original"}, timeout=60).status_code == 200
    for _ in range(240):
        state = requests.get(f"{server}/batch/infer", timeout=60).json()
        if state["status"] in ("DONE", "ERROR"):
            break
        time.sleep(0.5)
    assert state["status"] == "DONE", state
    for image in ("ct", "mr"):
        assert nibabel.load(client.download_label(image, "original")).ndim == 3
