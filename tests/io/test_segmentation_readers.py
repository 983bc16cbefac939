"""Programs that hospitals use read a DICOM segmentation voxel by voxel, and see it where it lies in the patient."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from monai_semgan.io.dicom.provenance import Provenance, ReplacedResult
from monai_semgan.io.reading import read_label
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label
from tests.dicom_phantoms import lps
from tests.io.test_segments import NAMES, SEGMENTS, find_program, scan

pytest.importorskip("highdicom")

needs_dcmqi = pytest.mark.skipif(
    not find_program("segimage2itkimage"), reason="segimage2itkimage is not installed (pip install dcmqi)"
)

STUDY = "1.2.826.0.1.3680043.8.498.1"
SEG, RTSTRUCT = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
EARLIER = (
    ReplacedResult(STUDY, "1.2.9.1", SEG, "1.2.9.1.1"),
    ReplacedResult("1.2.8", "1.2.8.3", RTSTRUCT, "1.2.8.3.1"),
)
TOLD = {
    "nothing": None,
    "edited": Provenance("0" * 64, "山田 太郎", edited=True, replaces=EARLIER),
    "manual": Provenance(annotator="Ada Lovelace", by_model=False, replaces=EARLIER[:1]),
}
SCANS = {"slices": {}, "multi-frame": {"multi_frame": True}}


@pytest.fixture(scope="module", params=[(s, t) for s in SCANS for t in TOLD], ids="-".join)
def segmented(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Volume, np.ndarray, Path]:
    """An oblique scan, its labels, and these as a segmentation."""
    (kind, told), folder = request.param, tmp_path_factory.mktemp("scan")
    volume, label = scan(folder, **SCANS[kind])
    path = write_label(label, volume, folder / "seg.dcm", SEGMENTS, provenance=TOLD[told])
    return volume, label, path


def placed(mask: np.ndarray, affine: np.ndarray, volume: Volume) -> np.ndarray:
    """A mask (i, j, k) of another grid, whose affine leads to LPS mm, on the voxels of a scan that it lies on."""
    found = np.zeros(volume.array.shape, bool)
    places = np.argwhere(mask)
    index = np.linalg.solve(lps(volume.affine), affine @ np.c_[places, np.ones(len(places))].T)[:3].T
    assert np.abs(index - np.rint(index)).max() < 0.01
    found[tuple(np.rint(index).astype(int).T)] = True
    assert np.count_nonzero(found) == len(places)
    return found


def test_the_phantom_would_show_an_axis_that_is_turned_round(tmp_path: Path) -> None:
    _, label = scan(tmp_path)
    for axis in range(3):
        assert not np.array_equal(label, np.flip(label, axis))


def test_highdicom_sees_every_voxel_at_its_place(segmented: tuple[Volume, np.ndarray, Path]) -> None:
    import highdicom

    volume, label, path = segmented
    read = highdicom.seg.segread(path)
    for number, index in enumerate(NAMES, start=1):
        found = read.get_volume(segment_numbers=[number], combine_segments=True, relabel=True)
        assert np.array_equal(placed(found.array > 0, found.affine, volume), label == index)


def test_highdicom_finds_every_voxel_by_the_image_it_lies_on(segmented: tuple[Volume, np.ndarray, Path]) -> None:
    import highdicom

    volume, label, path = segmented
    assert volume.source is not None
    read, frames = highdicom.seg.segread(path), volume.source.frames
    told = {"assert_missing_frames_are_empty": True, "combine_segments": True}
    if len(volume.source.files) == 1:
        numbers = [frame.index + 1 for frame in frames]
        pixels = read.get_pixels_by_source_frame(pydicom.dcmread(frames[0].file.path).SOPInstanceUID, numbers, **told)
    else:
        pixels = read.get_pixels_by_source_instance([frame.uid for frame in frames], **told)
    assert np.array_equal(pixels.transpose(2, 1, 0), label)


def test_this_package_reads_what_it_wrote(segmented: tuple[Volume, np.ndarray, Path]) -> None:
    volume, label, path = segmented
    assert np.array_equal(read_label(path, volume, names=NAMES).array, label)


@needs_dcmqi
def test_dcmqi_sees_every_voxel_at_its_place(segmented: tuple[Volume, np.ndarray, Path]) -> None:
    import SimpleITK

    volume, label, path = segmented
    command = [find_program("segimage2itkimage"), "--inputDICOM", str(path), "--outputDirectory", str(path.parent)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result
    for number, index in enumerate(NAMES, start=1):
        image = SimpleITK.ReadImage(str(path.parent / f"{number}.nrrd"))
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        mask = SimpleITK.GetArrayFromImage(image).T > 0
        assert np.array_equal(placed(mask, affine, volume), label == index)
