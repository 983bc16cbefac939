"""`monai.bundle` runs the inference configuration, and gives what `semgan segment` gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from monai_semgan.bundle.load import load_bundle
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.metrics import mean_dice, score_volume
from monai_semgan.evaluation.tables import read_study
from monai_semgan.inference.segmentation import MODES, segment
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.networks import InversionSegmenter
from monai_semgan.outputs.maps import write_maps
from monai_semgan.workflows.evaluation import evaluation_entries
from monai_semgan.workflows.inference import find_scans
from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import grid, patient, save_patient


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
    expected = segment(volume, load_bundle(tiny_bundle, "cpu"), mode)
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
    flow = workflow(tiny_bundle, weights=str(tmp_path / "none.pt"))
    flow.initialize()
    with pytest.raises(RuntimeError) as failure:
        flow.run()
    assert isinstance(failure.value.__cause__, SemganError) and "no such weights file" in str(failure.value.__cause__)


def overlaid(bundle: Path, *names: str, **override: Any) -> ConfigWorkflow:
    """The inference configuration with overlays."""
    files = [str(bundle / "configs" / name) for name in ("inference.json", *names)]
    override = {"bundle_root": str(bundle), "device": "cpu", **override}
    return ConfigWorkflow(files, workflow_type="infer", logging_file=False, **override)


def test_maps_come_in_the_units_and_on_the_grid_of_the_scan(tiny_bundle: Path, ct_scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flow = overlaid(tiny_bundle, "inference_maps.json", dataset_dir=str(ct_scan), output_dir=str(out))
    flow.initialize()
    assert flow.check_properties() == []
    flow.run()
    scan = read_volume(ct_scan)
    names = {path.name.removeprefix("scan_").removesuffix(".nii.gz"): path for path in out.iterdir()}
    assert set(names) == {"seg", "uncertainty", "reconstruction", "residual"}
    for path in names.values():
        assert nibabel.load(path).shape == scan.array.shape
        np.testing.assert_allclose(nibabel.load(path).affine, scan.affine, atol=1e-4)
    written = write_maps(segment(scan, load_bundle(tiny_bundle, "cpu"), "refine"), scan, {}, tmp_path / "maps")
    for path in written:
        ours, theirs = (np.asarray(nibabel.load(p).dataobj) for p in (path, names[path.name.split(".")[0]]))
        np.testing.assert_allclose(theirs, ours, atol=1e-3)


def test_preview_overlay_sets_the_mode(tiny_bundle: Path) -> None:
    flow = overlaid(tiny_bundle, "inference_maps.json", "inference_preview.json")
    assert flow.parser.get_parsed_content("inferer").run_mode == "preview"


def test_tensorrt_overlay_leaves_the_network_as_it_is_without_a_gpu(tiny_bundle: Path) -> None:
    network = overlaid(tiny_bundle, "inference_trt.json").parser.get_parsed_content("network")
    assert isinstance(network, InversionSegmenter)


def test_evaluation_prints_and_writes_the_dice_of_the_package(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = [save_patient(tmp_path, name, modality) for name, modality in (("a", "CT"), ("b", "MR"))]
    (tmp_path / "list.json").write_text(json.dumps({"validation": entries}))
    options = {"data_list_file_path": str(tmp_path / "list.json"), "output_dir": str(tmp_path / "out")}
    flow = overlaid(tiny_bundle, "evaluate.json", **options)
    flow.initialize()
    assert flow.check_properties() == []
    flow.run()
    bundle, patients = load_bundle(tiny_bundle, "cpu"), []
    for entry in entries:
        volume, label = (read(tmp_path / entry[key]) for read, key in ((read_volume, "image"), (read_label, "label")))
        found = segment(volume, bundle).label
        patients.append(score_volume(found, label, bundle.labels, with_distance=False))
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert len(written["patients"]) == 2
    assert written["dice"] == pytest.approx(mean_dice(patients))
    assert "NaN" not in (tmp_path / "out" / "metrics.json").read_text()  # which is no JSON
    study = read_study(tmp_path / "out" / "metrics.json")
    assert [patient.modality for patient in study.scored] == ["CT", "MR"]
    assert flow.evaluator.state.metrics["dice_mean"] == pytest.approx(written["dice"]["mean"], abs=1e-4)


def test_evaluation_without_labelled_volumes_names_the_remedy(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="data_list_file_path"):
        evaluation_entries("")
    entry = save_patient(tmp_path, "a", label=False)
    (tmp_path / "list.json").write_text(json.dumps({"validation": [entry]}))
    with pytest.raises(SemganError, match="no labelled entry to score; choose another with --data_list_key"):
        evaluation_entries(tmp_path / "list.json")


@pytest.mark.slow
def test_two_processes_share_the_evaluation_of_a_copied_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "elsewhere" / "bundle"))
    entries = [save_patient(tmp_path, name) for name in ("a", "b", "c")]
    (tmp_path / "list.json").write_text(json.dumps({"validation": entries}))
    files = [f"configs/{name}.json" for name in ("inference", "evaluate", "multi_gpu_evaluate")]
    options = ["--config_file", str(files), "--data_list_file_path", str(tmp_path / "list.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "monai.bundle", "run", *options]
    done = subprocess.run(command, cwd=bundle, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(json.loads((bundle / "eval" / "metrics.json").read_text())["patients"]) == 3


def test_dicom_folders_and_patterns_are_found(tmp_path: Path) -> None:
    affine, shape = grid((16.0, 16.0, 24.0))
    series = datasets(patient(affine, shape).array, affine)
    for name in ("first", "second"):
        (tmp_path / "dicom" / name).mkdir(parents=True)
        write_series(tmp_path / "dicom" / name, series)
    found = find_scans(tmp_path / "dicom")
    assert [Path(entry["image"]).name for entry in found] == ["first", "second"]
    assert find_scans(tmp_path / "dicom" / "first") == found[:1]
    for name in ("b.nii.gz", "a.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    names = [str(tmp_path / name) for name in ("a.nii.gz", "b.nii.gz")]
    assert [entry["image"] for entry in find_scans(str(tmp_path / "*.gz"))] == names
    assert find_scans(tmp_path)[:2] == find_scans(str(tmp_path / "*.gz"))
    assert find_scans(tmp_path)[2:] == found


def test_a_dicom_series_is_segmented_on_its_own_grid(tiny_bundle: Path, tmp_path: Path) -> None:
    affine, shape = grid((8.0, 8.0, 12.0))
    (tmp_path / "series").mkdir()
    write_series(tmp_path / "series", datasets(patient(affine, shape, seed=0).array, affine))
    flow = workflow(tiny_bundle, dataset_dir=str(tmp_path / "series"), output_dir=str(tmp_path / "out"))
    flow.initialize()
    flow.run()
    written = nibabel.load(next((tmp_path / "out").iterdir()))
    volume = read_volume(tmp_path / "series")
    expected = segment(volume, load_bundle(tiny_bundle, "cpu")).label
    assert expected.any()
    np.testing.assert_array_equal(np.asarray(written.dataobj), expected)
    np.testing.assert_allclose(written.affine, volume.affine, atol=1e-3)
