"""A radiograph is a radiograph, whatever people and scanners call it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.authoring.create import create_bundle
from monai_semgan.bundle.labels import learnt_modalities, read_metadata
from monai_semgan.cli import main
from monai_semgan.data.datalist import load_datalist
from monai_semgan.errors import SemganError
from monai_semgan.inference.inferer import SliceInversionInferer
from monai_semgan.jobs.contract import JobRequest
from monai_semgan.modalities import canonical_modality
from tests.phantoms import save_nifti

RADIOGRAPHS = ("DX", "XR", "CR", "RG", "PX", "xr", " x-ray ")


@pytest.mark.parametrize("name", RADIOGRAPHS)
def test_every_word_for_a_radiograph_is_understood_wherever_one_is_read(name: str, tmp_path: Path) -> None:
    assert canonical_modality(name) == "DX"
    (tmp_path / "list.json").write_text(json.dumps({"test": [{"image": "a.nii.gz", "modality": name}]}))
    save_nifti(tmp_path / "a.nii.gz", np.zeros((4, 4, 1)))
    assert load_datalist(tmp_path / "list.json").test[0].modality == "DX"
    assert SliceInversionInferer(modality=name).modality == "DX"
    content = {"network_data_format": {"inputs": {"image": {"modality": f"{name}/MRI"}}}}
    assert learnt_modalities(content) == ("DX", "MR")
    folder = create_bundle(tmp_path / "lungs", ["lungs"], name, size=32)
    assert learnt_modalities(read_metadata(folder)) == ("DX",)


@pytest.mark.parametrize("name", [name for name in RADIOGRAPHS if name.isupper()])
def test_servers_take_them_too(name: str) -> None:
    assert JobRequest(image="a", modality=name).modality == name


def test_other_modalities_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SemganError, match="unknown modality 'US'; use CT, MR, DX or XR"):
        canonical_modality("US")
    assert main(["bundle", "new", str(tmp_path / "b"), "--labels", "a", "--modality", "US"]) == 2
    assert "unknown modality 'US'; use CT" in capsys.readouterr().err and not (tmp_path / "b").exists()
