"""Programs that hospitals use read a DICOM segmentation voxel by voxel, and see it where it lies in the patient."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from monai_semgan.io.dicom.provenance import Provenance, ReplacedResult
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import output_notes, write_label
from tests.dicom_phantoms import datasets, drawn, lps, write_series
from tests.io.test_segments import NAMES, SEGMENTS, find_program, scan
from tests.phantoms import grid, labels_at, patient, points_of, values_at

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
    volume, label, path = segmented
    for index, mask in read_by_dcmqi(path, volume).items():
        assert np.array_equal(mask, label == index)


def read_by_dcmqi(path: Path, volume: Volume) -> dict[int, np.ndarray]:
    """Mask (I, J, K) on the scan by label id."""
    import SimpleITK

    command = [find_program("segimage2itkimage"), "--inputDICOM", str(path), "--outputDirectory", str(path.parent)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result
    found = {}
    for number, index in enumerate(NAMES, start=1):
        image = SimpleITK.ReadImage(str(path.parent / f"{number}.nrrd"))
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        found[index] = placed(SimpleITK.GetArrayFromImage(image).T > 0, affine, volume)
    return found


@pytest.mark.parametrize("thickness", ["2", "20", None])
def test_slices_that_are_missing_move_none_of_the_others(thickness: str | None, tmp_path: Path) -> None:
    import highdicom

    affine, shape = grid((12.0, 11.0, 7.0), codes="LPS", degrees=(4.0, 8.0, 12.0))
    slices = datasets(np.round(patient(affine, shape, seed=0).array / 2) * 2, affine)
    for one in slices:
        one.SliceThickness = thickness
    volume = read_volume(write_series(tmp_path / "s", [*slices[:10], *slices[12:]]), resample=True)
    label = labels_at(points_of(volume.affine, volume.array.shape))
    label[..., 10:12] = 0
    path = write_label(label, volume, tmp_path / "seg.dcm", SEGMENTS)
    measures = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(7.0)
    found = highdicom.seg.segread(path).get_volume(combine_segments=True)
    for number, index in enumerate(NAMES, start=1):
        assert np.array_equal(placed(found.array == number, found.affine, volume), label == index)
    if find_program("segimage2itkimage"):
        for index, mask in read_by_dcmqi(path, volume).items():
            assert np.array_equal(mask, label == index)
    assert output_notes(path, volume) == ()


def uneven(tilt: float) -> list[pydicom.Dataset]:
    """Slices that lie on no even planes, or are tilted against their stack by some degrees."""
    heights = np.arange(16) * 7.0 + (0 if tilt else np.arange(16) % 3)
    across = np.array([[1, 0, 0], [0, np.cos(np.radians(tilt)), np.sin(np.radians(tilt))]])
    return drawn(
        values_at, np.c_[np.full(16, -200.0), np.full(16, -180.0), heights - 60.0], across, (40, 36), (11.0, 12.0)
    )


@pytest.mark.parametrize("tilt", [0.0, 5.0, 15.0])
def test_of_slices_on_no_even_planes_no_distance_is_told_and_a_note_warns(tilt: float, tmp_path: Path) -> None:
    volume = read_volume(write_series(tmp_path / "s", uneven(tilt)), resample=True)
    label = labels_at(points_of(volume.affine, volume.array.shape))
    path = write_label(label, volume, tmp_path / "seg.dcm", SEGMENTS)
    measures = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert "SpacingBetweenSlices" not in measures
    (note,) = output_notes(path, volume)
    assert "unevenly spaced or tilted" in note and "3D Slicer" in note
    assert output_notes(tmp_path / "RTSTRUCT.dcm", volume) == ()
