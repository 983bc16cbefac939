"""Structure sets lie on their scan and hold its labels voxel by voxel, for readers of every kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import check_label_output, write_label
from monai_semgan.organs import Segments
from tests.dicom_phantoms import datasets, write_series
from tests.io.test_contours import inside
from tests.io.test_segments import errors_in, needs_dciodvfy
from tests.phantoms import grid

NAMES = {1: "liver", 2: "tumour"}


def scan(folder: Path, spacing: tuple[float, float, float] = (0.7, 0.7, 2.5)) -> Volume:
    """A small oblique series."""
    affine, _ = grid(spacing, codes="LPS", degrees=(4.0, 8.0, 12.0))
    array = np.random.default_rng(0).integers(-900, 900, (14, 12, 5)).astype(float)
    return read_volume(write_series(folder, datasets(array, affine)))


def labels(seed: int, volume: Volume) -> np.ndarray:
    """Labels with holes, specks and bridges."""
    random = np.random.default_rng(seed).random(volume.array.shape)
    label = np.select([random > 0.5, random > 0.3], [1, 2], 0).astype(np.uint8)
    label[..., 4] = 0
    label[3, 4, 4] = 2
    return label


def voxels(region: pydicom.Dataset, volume: Volume) -> np.ndarray:
    """Voxels whose centres lie in the contours, each filled by itself, by nothing but their points."""
    found = np.zeros(volume.array.shape, int)
    for contour in region.ContourSequence:
        assert contour.ContourGeometricType == "CLOSED_PLANAR"
        points = np.array(contour.ContourData, float).reshape(-1, 3) * [-1, -1, 1]
        assert len(points) == contour.NumberOfContourPoints >= 4
        places = np.linalg.solve(volume.affine, np.c_[points, np.ones(len(points))].T)[:3].T
        plane = round(places[0, 2])
        assert np.abs(places[:, 2] - plane).max() < 1e-3
        assert volume.source is not None
        reference = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        assert reference == volume.source.frames[plane].uid
        found[..., plane] += inside(places[:, :2], found.shape[:2])
    assert found.max() <= 1
    return found > 0


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 2.5), (0.9, 0.5, 3.0), (0.05, 0.05, 0.1)])
def test_labels_come_back_voxel_by_voxel_whatever_the_pixels(
    spacing: tuple[float, float, float], tmp_path: Path
) -> None:
    volume = scan(tmp_path / "scan", spacing)
    label = labels(0, volume)
    check_label_output(tmp_path / "a_rtstruct", volume)
    written = pydicom.dcmread(write_label(label, volume, tmp_path / "a_rtstruct", Segments(NAMES)))
    for region, (index, name) in zip(written.ROIContourSequence, NAMES.items(), strict=True):
        assert np.array_equal(voxels(region, volume), label == index)
        assert written.StructureSetROISequence[index - 1].ROIName == name


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rt_utils_reads_labels_back_voxel_by_voxel_from_square_pixels(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rt_utils = pytest.importorskip("rt_utils")
    folder = tmp_path_factory.mktemp("rt")
    slices = 12  # it takes images for square
    affine, _ = grid((0.7, 0.7, 2.5), codes="LPS", degrees=(4.0, 8.0, 12.0))
    array = np.random.default_rng(seed).integers(-900, 900, (slices, slices, 5)).astype(float)
    volume = read_volume(write_series(folder / "scan", datasets(array, affine)))
    label = labels(seed, volume)
    path = write_label(label, volume, folder / "rtstruct", Segments(NAMES))
    read = rt_utils.RTStructBuilder.create_from(str(folder / "scan"), str(path))
    assert read.get_roi_names() == list(NAMES.values())
    for index, name in NAMES.items():
        assert np.array_equal(read.get_roi_mask_by_name(name).astype(bool).transpose(1, 0, 2), label == index)


def test_a_hole_is_no_contour_of_its_own(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    label = np.zeros(volume.array.shape, np.uint8)
    label[2:10, 2:10, 2] = 1
    label[5:7, 5:7, 2] = 0
    written = pydicom.dcmread(write_label(label, volume, tmp_path / "rtstruct", Segments({1: "liver"})))
    (region,) = written.ROIContourSequence
    assert len(region.ContourSequence) == 1 and np.array_equal(voxels(region, volume), label == 1)


@needs_dciodvfy
def test_the_validator_finds_no_error_in_a_structure_set(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    path = write_label(labels(0, volume), volume, tmp_path / "rtstruct", Segments(NAMES))
    assert volume.source is not None
    assert errors_in(path) <= errors_in(volume.source.files[0].path)
    shutil.rmtree(path.parent)
