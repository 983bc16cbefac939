"""A bundle for a new task is trained by `monai.bundle`, filled, packed, downloaded by MONAI, and run from there."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, download, load

from monai_semgan.authoring.create import create_bundle
from monai_semgan.authoring.fill import fill_bundle
from monai_semgan.authoring.pack import pack_bundle
from monai_semgan.bundle.load import load_bundle
from monai_semgan.inference.segmentation import MODES, segment
from monai_semgan.io.reading import read_volume
from tests.conftest import tiny_config
from tests.phantoms import grid, patient, save_nifti
from tests.training.phantoms import write_patients
from tests.workflows.test_training_configs import STAGES, workflow

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two organs after three steps of each stage, filled with what its training left."""
    folder = create_bundle(tmp_path_factory.mktemp("task") / "two_organs", ["big", "small"], size=32, pixel_mm=10.0)
    write_patients(folder / "data")
    for config in STAGES:
        workflow(folder, config).run()
    return fill_bundle(folder)


@pytest.fixture(scope="module")
def site(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the bundle's zip on a server on loopback."""
    folder = tmp_path_factory.mktemp("site")
    pack_bundle(trained, folder / "two_organs.zip")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/two_organs.zip"
        server.shutdown()


@pytest.fixture(scope="module")
def downloaded(site: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where MONAI puts what it downloads."""
    folder = tmp_path_factory.mktemp("hub")
    download(name="two_organs", url=site, bundle_dir=str(folder), progress=False)
    return folder


def test_monai_loads_the_trained_network_from_what_it_downloaded(trained: Path, downloaded: Path) -> None:
    expected = load_bundle(trained, "cpu").network.state_dict()
    for kind in ("train", "inference"):
        network = load("two_organs", bundle_dir=str(downloaded), workflow_type=kind, device="cpu")
        assert isinstance(network, torch.nn.Module)
        found = network.state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items()) and len(found) == len(expected)


def test_a_file_address_is_taken_too(trained: Path, tmp_path: Path) -> None:
    address = pack_bundle(trained, tmp_path / "two_organs.zip").as_uri()
    download(name="two_organs", url=address, bundle_dir=str(tmp_path / "hub"), progress=False)
    assert (tmp_path / "hub" / "two_organs" / "models" / "model.pt").is_file()


@pytest.mark.parametrize("mode", MODES)
def test_the_downloaded_bundle_segments_as_the_command_line_does(
    trained: Path, downloaded: Path, tmp_path: Path, mode: str
) -> None:
    scan = trained / "data" / "image_3.nii.gz"
    given = {"bundle_root": str(downloaded / "two_organs"), "device": "cpu", "dataset_dir": str(scan)}
    options = {**given, "output_dir": str(tmp_path / "out"), "displayable_configs#mode": mode, "invert#steps": 3}
    config = str(downloaded / "two_organs" / "configs" / "inference.json")
    flow = ConfigWorkflow(config, workflow_type="infer", logging_file=False, **options)
    flow.initialize()
    assert flow.check_properties() == []
    flow.run()
    written = nibabel.load(next((tmp_path / "out").iterdir()))
    steps = {"steps": 3} if mode == "invert" else {}
    expected = segment(read_volume(scan), load_bundle(trained, "cpu"), mode, **steps).label
    np.testing.assert_array_equal(np.asarray(written.dataobj), expected)
    assert np.asarray(written.dataobj).max() <= 2


@pytest.mark.parametrize("mode", ["preview", "refine"])
def test_a_bundle_that_learnt_mri_takes_mri_for_its_own(tiny_bundle: Path, tmp_path: Path, mode: str) -> None:
    labels = ["liver", "right kidney", "left kidney", "spleen"]
    folder = create_bundle(tmp_path / "mri", labels, "MR", pixel_mm=11.0)
    fill_bundle(folder, [tiny_bundle / "models" / "model.pt"])
    config = json.loads((folder / "configs" / "inference.json").read_text())
    config |= {name: tiny_config()[name] for name in ("invert", "refine")}
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    affine, shape = grid((8.0, 8.0, 12.0), codes="LPI")
    results = {}
    for modality in ("MR", "CT"):
        scan = save_nifti(tmp_path / f"{modality}.nii.gz", patient(affine, shape, modality, seed=0).array, affine)
        given = {"bundle_root": str(folder), "device": "cpu", "dataset_dir": str(scan)}
        options = {**given, "output_dir": str(tmp_path / "o"), "displayable_configs#mode": mode}
        flow = ConfigWorkflow(str(folder / "configs" / "inference.json"), logging_file=False, **options)
        flow.initialize()
        flow.run()
        found = np.asarray(nibabel.load(tmp_path / "o" / f"{modality}_seg.nii.gz").dataobj)
        expected = segment(read_volume(scan), load_bundle(folder, "cpu"), mode)
        np.testing.assert_array_equal(found, expected.label)
        results[modality] = expected
    assert any("has learnt from MR" in note for note in results["CT"].notes)
    assert not any("has learnt from" in note for note in results["MR"].notes)


def test_a_copy_in_an_empty_folder_runs_from_there(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "copied" / "elsewhere"))
    affine, shape = grid((8.0, 8.0, 12.0))
    scan = save_nifti(tmp_path / "scan.nii.gz", patient(affine, shape, seed=0).array, affine)
    given = {"bundle_root": str(copy), "device": "cpu", "dataset_dir": str(scan)}
    flow = ConfigWorkflow(str(copy / "configs" / "inference.json"), logging_file=False, **given)
    flow.initialize()
    flow.run()
    assert (copy / "eval" / "scan_seg.nii.gz").is_file()
