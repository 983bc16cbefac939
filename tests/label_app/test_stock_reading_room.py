"""A day with MONAI Label's own client: scans of either hand, and labels as 3D Slicer saves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

import SimpleITK
from monailabel.client import MONAILabelClient

from monai_semgan.io.reading import read_label
from tests.conftest import REPOSITORY
from tests.label_app.servers import start_monailabel, start_semgan
from tests.phantoms import grid, labels_at, patient, points_of, save_nifti

pytestmark = pytest.mark.label

SCANS = {"las": "LAS", "psr": "PSR", "lps": "LPS", "ras": "RAS"}
"""Names and axes; the first two are left-handed."""


def _fill(studies: Path) -> Path:
    studies.mkdir(parents=True)
    for number, (name, codes) in enumerate(SCANS.items()):
        affine, shape = grid((8.0, 9.0, 12.0), codes=codes, degrees=(0.0, 3.0, 5.0))
        save_nifti(studies / f"{name}.nii.gz", patient(affine, shape, seed=number).array, affine)
    return studies


@pytest.fixture(scope="module", params=["semgan serve", "monailabel start_server"])
def client(
    request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[MONAILabelClient, Path]]:
    """MONAI Label's client of a server, and the server's studies."""
    folder = tmp_path_factory.mktemp("day")
    studies = _fill(folder / "studies")
    if request.param == "semgan serve":
        serving = start_semgan(studies, folder / "home", "--bundle", tiny_bundle)
    else:
        main = (REPOSITORY / "monai_semgan" / "label_app" / "main.py").read_text()
        serving = start_monailabel(main, studies, folder / "home", "--conf", "bundle", tiny_bundle)
    with serving as server:
        yield MONAILabelClient(server.address, tmpdir=str(folder)), studies


def _as_slicer_saves(label: Path, target: Path) -> Path:
    """Turn the last axis round, as 3D Slicer does with the slices of a left-handed volume, and write NRRD."""
    image = SimpleITK.ReadImage(str(label))
    turned = SimpleITK.Flip(image, [False, False, True], False)
    assert turned.GetDirection() != image.GetDirection()
    SimpleITK.WriteImage(turned, str(target), useCompression=True)
    return target


def _voxels(file: Path, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What the label of a file says at the voxels of a grid, which its own have to meet."""
    label = read_label(file)
    index = points_of(np.linalg.inv(affine) @ label.affine, label.array.shape)
    assert np.abs(index - index.round()).max() < 1e-3
    voxels = np.zeros(shape, np.uint8)
    voxels[tuple(np.moveaxis(index.round().astype(int), -1, 0))] = label.array
    return voxels


@pytest.mark.parametrize("scan", SCANS)
def test_a_scan_of_any_hand_is_segmented_corrected_and_comes_back(
    scan: str, client: tuple[MONAILabelClient, Path], tmp_path: Path
) -> None:
    asking, studies = client
    image = nibabel.load(studies / f"{scan}.nii.gz")
    file, params = asking.infer("semgan_preview", scan, {})
    found = nibabel.load(file)
    assert found.shape == image.shape and np.allclose(found.affine, image.affine, atol=1e-4)
    assert set(params["label_names"]) >= {"liver", "spleen"}

    corrected = labels_at(points_of(image.affine, image.shape))
    save_nifti(tmp_path / "corrected.nii.gz", corrected, image.affine)
    sent = _as_slicer_saves(tmp_path / "corrected.nii.gz", tmp_path / "label.nrrd")
    names = [{"name": name, "idx": index} for name, index in params["label_names"].items()]
    asking.save_label(scan, str(sent), "final", {"label_info": names})

    stored = Path(asking.download_label(scan, "final"))
    assert np.array_equal(_voxels(stored, image.affine, image.shape), corrected)


def test_two_readers_get_different_scans_and_none_that_has_a_label(client: tuple[MONAILabelClient, Path]) -> None:
    asking, studies = client
    affine, shape = grid((8.0, 9.0, 12.0), codes="LAS")
    for name in ("new_1", "new_2"):
        save_nifti(studies / f"{name}.nii.gz", patient(affine, shape).array, affine)
        asking.upload_image(str(studies / f"{name}.nii.gz"), f"sent_{name}")
    given = []
    for reader in ("ann", "ben"):
        own = MONAILabelClient(asking.get_server_url(), client_id=reader)
        given.append(own.next_sample("semgan_out_of_domain", {})["id"])
    assert given[0] != given[1]
    assert not set(given) & set(SCANS)
