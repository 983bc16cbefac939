"""`monai.bundle` runs the inference configuration, and gives what `semgan segment` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from monai_semgan.bundle import load_bundle
from monai_semgan.bundle_run import find_scans
from monai_semgan.data.volume import read_volume
from monai_semgan.errors import SemganError
from monai_semgan.segmentation import MODES, segment_volume


def workflow(bundle: Path, **override: Any) -> ConfigWorkflow:
    config = str(bundle / "configs" / "inference.json")
    override = {"bundle_root": str(bundle), "device": "cpu", **override}
    return ConfigWorkflow(config, workflow_type="infer", logging_file=False, **override)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scan", ["ct_scan", "mr_scan"])
def test_bundle_and_command_line_agree_in_every_voxel(
    tiny_bundle: Path, scan: str, mode: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(scan)
    options = {"displayable_configs#mode": mode, "dataset_dir": str(path), "output_dir": str(tmp_path / "out")}
    flow = workflow(tiny_bundle, **options)
    flow.initialize()
    assert flow.check_properties() == []
    flow.run()
    flow.finalize()
    written = nibabel.load(next((tmp_path / "out").iterdir()))
    volume = read_volume(path)
    expected = segment_volume(volume, load_bundle(tiny_bundle, "cpu"), mode)
    assert expected.label.any()
    np.testing.assert_array_equal(np.asarray(written.dataobj), expected.label)
    np.testing.assert_allclose(written.affine, volume.affine, atol=1e-4)


def test_displayed_settings_steer_the_inferer(tiny_bundle: Path) -> None:
    names = {"mode": "refine", "steps": 7, "objective": "mind"}
    flow = workflow(tiny_bundle, **{f"displayable_configs#{name}": value for name, value in names.items()})
    inferer = flow.parser.get_parsed_content("inferer")
    assert (inferer.run_mode, inferer.settings.steps, inferer.settings.objective) == ("refine", 7, "mind")


def test_missing_data_and_missing_weights_are_named(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="dataset_dir: no such folder"):
        find_scans(tmp_path / "nowhere")
    with pytest.raises(SemganError, match="dataset_dir: no images"):
        find_scans(tmp_path)
    with pytest.raises(RuntimeError) as failure:
        workflow(tiny_bundle, weights=str(tmp_path / "none.pt")).initialize()
    assert isinstance(failure.value.__cause__, SemganError) and "no such weights file" in str(failure.value.__cause__)
