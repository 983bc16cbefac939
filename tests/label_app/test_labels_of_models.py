"""Labels on a server of several models get the ids of the model that they are made from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.label_app.holes import ask
from tests.label_app.servers import fill, start_semgan

pytestmark = pytest.mark.label


def test_segments_get_the_ids_of_the_model_that_the_label_names(tiny_bundle: Path, tmp_path: Path) -> None:
    pelvis = shutil.copytree(tiny_bundle, tmp_path / "pelvis")
    file = pelvis / "configs" / "metadata.json"
    metadata = json.loads(file.read_text())
    metadata["name"] = "Pelvis"
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] |= {"1": "bladder", "2": "prostate"}
    file.write_text(json.dumps(metadata))
    told = [{"name": "prostate", "idx": 1}, {"name": "bladder", "idx": 2}]  # in the order of the segments
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle, "--bundle", pelvis) as server:
        scan = nibabel.load(studies / "ct.nii.gz")
        ids = np.zeros(scan.shape, np.uint8)
        ids[0, 0, :3] = 1, 2, 2
        sent = nibabel.Nifti1Image(ids, scan.affine).to_bytes()
        for model, stored in (("Pelvis", [2, 1, 1]), ("of another server", [1, 2, 2])):
            params = json.dumps({"model": model, "label_info": told})
            answer = ask(
                server,
                "PUT",
                "/datastore/label?image=ct",
                files={"label": ("label.nii", sent)},
                data={"params": params},
            )
            assert answer.status_code == 200, answer.text
            kept = ask(server, "GET", "/datastore/label?label=ct&tag=final").content
            assert nibabel.Nifti1Image.from_bytes(kept).get_fdata()[0, 0, :3].tolist() == stored
