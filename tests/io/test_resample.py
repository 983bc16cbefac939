"""Tilted, unevenly spaced and incomplete stacks are read on request, and their labels lie on the slices as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import check_label_output, output_notes, write_label
from monai_semgan.organs import Segments
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.dicom_phantoms import drawn, write_series

SHAPE = (30, 26)
STRAIGHT = np.array([[1.0, 0, 0], [0, 1.0, 0]])
CORNER = np.array([-40.0, -30.0, 100.0])
SEGMENTS = Segments({1: "liver"}, "SemGAN", "1.0")


def inside(points: np.ndarray) -> np.ndarray:
    """An ellipsoid with a knob on one side only: no axis can be mistaken for another, or turned round."""
    x, y, z = np.moveaxis(points, -1, 0)
    body = (x / 26) ** 2 + (y / 18) ** 2 + ((z - 122) / 17) ** 2 < 1
    knob = (x - 22) ** 2 + (y + 8) ** 2 + (z - 130) ** 2 < 9**2
    return body | knob


def tissue(points: np.ndarray) -> np.ndarray:
    """HU that change with the height, within air."""
    return np.where(inside(points), 20.0 + points[..., 2], -300.0 + points[..., 2])


def tilted(degrees: float, axis: str = "x") -> np.ndarray:
    """Orientation of slices that are turned about an axis while the table moves along z."""
    turn = np.radians(degrees)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([[1, 0, 0], [0, cos, -sin]]) if axis == "x" else np.array([[cos, 0, -sin], [0, 1.0, 0]])


def along_z(heights: Any, lean: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Positions of slices at heights above the first, moved aside by so much per mm."""
    return CORNER + np.outer(np.asarray(heights, dtype=float), (*lean, 1.0))


EVEN = 3.0 * np.arange(16)
UNEVEN = np.cumsum([0, 3, 2.2, 4.1, 3, 2.6, 3.3, 4.4, 2.2, 3, 3.7, 3, 2.9, 4, 3.1])
GAP = np.delete(EVEN, [5, 6])

Stack = tuple[np.ndarray, np.ndarray]

STACKS: dict[str, Stack] = {
    "gantry tilted": (along_z(EVEN), tilted(15)),
    "gantry tilted the other way": (along_z(EVEN), tilted(-28)),
    "swivelled": (along_z(EVEN), tilted(12, "y")),
    "positions lean": (along_z(EVEN, (0, 0.3)), STRAIGHT),
    "positions lean to the side": (along_z(EVEN, (-0.25, 0.1)), STRAIGHT),
    "uneven": (along_z(UNEVEN), STRAIGHT),
    "uneven and tilted": (along_z(UNEVEN), tilted(20)),
    "two distances": (along_z([*np.arange(0, 20, 2.5), *np.arange(20, 50, 5)]), STRAIGHT),
    "every third is missing": (along_z([h for k, h in enumerate(EVEN) if k % 3 != 1]), STRAIGHT),
    "a gap": (along_z(GAP), STRAIGHT),
    "a gap, tilted": (along_z(GAP), tilted(10)),
}


def scan(folder: Path, stack: Stack, draw: Callable[[np.ndarray], np.ndarray] = tissue, **tags: Any) -> Path:
    """The slices as files."""
    positions, orientation = stack
    return write_series(folder, drawn(draw, positions, orientation, SHAPE, **tags))


def centres(volume: Volume) -> np.ndarray:
    """RAS mm (I, J, K, 3) of the voxels."""
    return np.moveaxis(np.indices(volume.array.shape), 0, -1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def truth(stack: Stack) -> dict[float, np.ndarray]:
    """The structure on every stored slice (rows, columns), by z of its position."""
    slices = drawn(lambda points: inside(points) * 1000.0 - 1024, *stack, SHAPE)
    found = {}
    for dataset in slices:
        values = np.frombuffer(dataset.PixelData, np.uint16).reshape(SHAPE)
        found[round(float(dataset.ImagePositionPatient[2]), 3)] = values > 500
    return found


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2.0 * float((one & other).sum()) / float(one.sum() + other.sum())


def segmented(path: Path) -> dict[float, np.ndarray]:
    """Masks of the frames of a DICOM segmentation, by z of their position, as pydicom reads them."""
    seg = pydicom.dcmread(path)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    places = [group.PlanePositionSequence[0].ImagePositionPatient for group in seg.PerFrameFunctionalGroupsSequence]
    return {round(float(place[2]), 3): frame > 0 for place, frame in zip(places, frames, strict=True)}


def assert_on_slices(found: dict[float, np.ndarray], wanted: dict[float, np.ndarray], least: float) -> None:
    """Frames lie at stored slices, and hold the structure there."""
    assert set(found) <= set(wanted)
    blank = np.zeros(SHAPE, dtype=bool)
    told = np.stack([found.get(height, blank) for height in wanted])
    found_dice = dice(told, np.stack(list(wanted.values())))
    assert found_dice >= least


@pytest.mark.parametrize("name", STACKS)
def test_without_resample_it_is_refused_and_the_remedy_names_it(name: str, tmp_path: Path) -> None:
    path = scan(tmp_path, STACKS[name])
    with pytest.raises(SemganError, match=r"(tilted by|unevenly spaced|slices are missing).*semgan segment --resample"):
        read_volume(path)


@pytest.mark.parametrize("name", STACKS)
def test_a_label_comes_back_on_the_slices_as_they_are(name: str, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    path = scan(tmp_path / "s", STACKS[name])
    volume = read_volume(path, resample=True)
    label = inside(centres(volume)).astype(np.uint8)
    check_label_output(tmp_path / "l.dcm", volume)
    write_label(label, volume, tmp_path / "l.dcm", SEGMENTS)
    exact = "uneven" not in name
    assert_on_slices(segmented(tmp_path / "l.dcm"), truth(STACKS[name]), 1.0 if exact else 0.93)


@pytest.mark.parametrize("name", STACKS)
def test_what_the_networks_see_comes_back_too(name: str, tmp_path: Path) -> None:
    """From the volume to slices and back, as segmenting does it."""
    pytest.importorskip("highdicom")
    volume = read_volume(scan(tmp_path / "s", STACKS[name]), resample=True)
    preprocessing = Preprocessing(size=64, pixel_mm=1.5, num_classes=2)
    prepared = preprocessing(volume)
    inner = (prepared.image[:, 0] > 0).numpy()  # 20 to 170 HU in a window of -125 to 275, air is below
    scores = np.stack([~inner, inner], axis=1).astype(np.float32)
    label = prepared.geometry.restore_label(scores)
    write_label(label, volume, tmp_path / "l.dcm", SEGMENTS)
    assert_on_slices(segmented(tmp_path / "l.dcm"), truth(STACKS[name]), 0.93)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    degrees=st.floats(-29.5, 29.5),
    axis=st.sampled_from("xy"),
    steps=st.lists(st.floats(2, 5), min_size=10, max_size=18),
    digits=st.integers(2, 6),
)
def test_any_tilt_and_any_heights(
    tmp_path_factory: pytest.TempPathFactory, degrees: float, axis: str, steps: list[float], digits: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    stack = np.round(along_z(np.cumsum([0, *steps])), digits), tilted(degrees, axis)
    volume = read_volume(scan(folder, stack), resample=True)
    assert volume.source is not None
    heights = [frame.position[2] for frame in volume.source.frames if frame.position is not None]
    assert np.allclose(sorted(heights), stack[0][:, 2])
    label = inside(centres(volume))
    told = volume.source.on_slices(label)
    wanted = np.stack([truth(stack)[round(float(height), 3)] for height in heights], axis=-1)
    assert told.shape[2] == len(steps) + 1
    assert dice(told.transpose(1, 0, 2), wanted) > 0.9  # half a plane away at the most
    distance = abs(float(volume.affine[:3, 2] @ np.cross(*stack[1]) * 1.0))
    assert volume.source.planes is None or distance <= min(np.diff(sorted(heights))) * 1.3


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(missing=st.sets(st.integers(1, 18), min_size=1, max_size=6), digits=st.integers(1, 4), step=st.floats(0.6, 4))
def test_wherever_slices_are_missing_the_others_are_kept_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, missing: set[int], digits: int, step: float
) -> None:
    kept = [k for k in range(20) if k not in missing]
    heights = np.round(step * np.array(kept) + 100, digits) - 100
    if np.diff(kept).max() > 4:
        return
    path = scan(tmp_path_factory.mktemp("s"), (along_z(heights), STRAIGHT))
    volume = read_volume(path, resample=True)
    assert volume.array.shape[2] == 20 and volume.spacing[2] == pytest.approx(step, abs=2 * 10**-digits / 10)
    assert volume.source is not None and volume.source.planes is not None
    assert volume.source.planes.tolist() == kept
    stored = [pydicom.dcmread(frame.file.path).pixel_array.T - 1024.0 for frame in volume.source.frames]
    assert np.array_equal(volume.array[:, :, kept], np.stack(stored, axis=2))
    widest = int(np.diff(kept).argmax()) + 1
    gaps = int((np.diff(kept) > 1).sum())
    told = f"{len(missing)} slice{'s are' if len(missing) > 1 else ' is'} missing in {gaps} gap{'s'[: gaps > 1]}"
    assert told in volume.notes[0] and f"slices {widest} and {widest + 1} of {len(kept)}" in volume.notes[0]


def test_slices_are_kept_and_values_between_them_are_linear(tmp_path: Path) -> None:
    heights = [0, 3, 6.5, 16, 20, 23.7]
    draw = lambda points: 10.0 * points[..., 2] - 900  # noqa: E731
    volume = read_volume(scan(tmp_path, (along_z(heights), STRAIGHT), draw), resample=True)
    assert volume.source is not None and volume.source.planes is not None
    on_slices = volume.source.on_slices(volume.array)[0, 0]
    assert np.abs(on_slices - (10.0 * (100 + np.array(heights)) - 900)).max() <= 0.5
    between = np.setdiff1d(np.arange(volume.array.shape[2]), volume.source.planes)
    assert len(between) >= 2
    assert np.abs(volume.array[0, 0] - (10.0 * centres(volume)[0, 0, :, 2] - 900))[between].max() <= 0.5
    assert "unevenly spaced, from 3 to 9.5 mm" in volume.notes[0] or "missing" in volume.notes[0]


@pytest.mark.parametrize("digits", [0, 1, 3])
def test_an_ordinary_stack_is_the_same_with_and_without(digits: int, tmp_path: Path) -> None:
    heights = np.round(3.1 * np.arange(12), digits) if digits else EVEN
    path = scan(tmp_path, (along_z(heights), STRAIGHT))
    one, other = read_volume(path), read_volume(path, resample=True)
    assert np.array_equal(one.array, other.array) and np.array_equal(one.affine, other.affine)
    assert one.notes == other.notes and other.source is not None and other.source.planes is None


def mixed_orientations(folder: Path) -> Path:
    stacks = (along_z(EVEN), STRAIGHT), (along_z(EVEN), tilted(20))
    return write_series(folder, [dataset for stack in stacks for dataset in drawn(tissue, *stack, SHAPE)])


def overlapping(folder: Path) -> Path:
    one = drawn(tissue, along_z(np.arange(0, 50, 5)), STRAIGHT, SHAPE, AcquisitionNumber=1)
    other = drawn(tissue, along_z(np.arange(32, 80, 5)), STRAIGHT, SHAPE, AcquisitionNumber=2)
    return write_series(folder, one + other)


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "too much tilt": (lambda d: scan(d, (along_z(EVEN), tilted(33))), "tilted by 33.0 degrees.*check the positions"),
    "a hole": (lambda d: scan(d, (along_z([*EVEN, 90, 93]), STRAIGHT)), "a gap of 45 mm .*45 mm without a slice"),
    "nearly one place": (lambda d: scan(d, (along_z(sorted([*EVEN, 9.4])), STRAIGHT)), "0.4 mm apart where 3 mm"),
    "twice": (lambda d: scan(d, (along_z(np.repeat(EVEN, 2)), STRAIGHT), tissue), "16 places hold more than one slice"),
    "overlap": (overlapping, "unevenly spaced.*several acquisitions lie among each other"),
    "other orientation": (mixed_orientations, "2 different orientations"),
    "crooked": (
        lambda d: scan(d, (along_z(EVEN) + np.outer(EVEN % 2 * 9, (1, 0, 0)), STRAIGHT)),
        "not stacked along a straight line",
    ),
}


@pytest.mark.parametrize("resample", [False, True])
@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_volume_is_refused_with_its_cause(case: str, resample: bool, tmp_path: Path) -> None:
    make, cause = REFUSED[case]
    path = make(tmp_path)
    if case == "twice":  # copies are left out: the values have to differ
        for number, file in enumerate(sorted(path.iterdir())):
            dataset = pydicom.dcmread(file)
            dataset.PixelData = bytes([number]) + dataset.PixelData[1:]
            dataset.save_as(file)
    with pytest.raises(SemganError, match=cause) as refused:
        read_volume(path, resample=resample)
    assert "--resample" not in str(refused.value)


def test_contours_lie_in_the_planes_of_their_slices(tmp_path: Path) -> None:
    for name in ("gantry tilted", "uneven and tilted", "a gap, tilted"):
        path = scan(tmp_path / name, STACKS[name])
        volume = read_volume(path, resample=True)
        output = check_label_output(tmp_path / f"{name}_rtstruct", volume)
        write_label(inside(centres(volume)), volume, output.parent, SEGMENTS)
        images = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, path.iterdir())}
        contours = pydicom.dcmread(output).ROIContourSequence[0].ContourSequence
        assert len(contours) >= sum(mask.any() for mask in truth(STACKS[name]).values()) - 1
        for contour in contours:
            image = images[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            normal = np.cross(*np.array(image.ImageOrientationPatient, dtype=float).reshape(2, 3))
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            assert np.abs((points - np.array(image.ImagePositionPatient, dtype=float)) @ normal).max() < 1e-3


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha", ".seg.nrrd"])
@pytest.mark.parametrize("name", ["gantry tilted", "uneven"])
def test_other_formats_lie_on_the_grid_of_the_volume_and_say_so(name: str, ending: str, tmp_path: Path) -> None:
    volume = read_volume(scan(tmp_path / "s", STACKS[name]), resample=True)
    output = tmp_path / f"l{ending}"
    label = inside(centres(volume)).astype(np.uint8)
    write_label(label, volume, output, SEGMENTS)
    again = read_volume(output, integer=True)
    assert np.array_equal(again.array, label) and np.allclose(again.affine, volume.affine, atol=1e-4)
    (note,) = output_notes(output, volume)
    assert ("sheared grid" if name == "gantry tilted" else "evenly spaced planes") in note and ".dcm" in note


def test_nifti_of_a_tilted_stack_has_no_qform_which_would_lie_elsewhere(tmp_path: Path) -> None:
    import nibabel

    volume = read_volume(scan(tmp_path / "s", STACKS["gantry tilted"]), resample=True)
    write_label(np.ones(volume.array.shape, np.uint8), volume, tmp_path / "l.nii.gz")
    header = nibabel.load(tmp_path / "l.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (0, 1)


def test_itk_reads_a_sheared_nrrd_where_it_lies(tmp_path: Path) -> None:
    import SimpleITK

    from monai_semgan.io.itk import affine_of

    volume = read_volume(scan(tmp_path / "s", STACKS["gantry tilted"]), resample=True)
    write_label(np.ones(volume.array.shape, np.uint8), volume, tmp_path / "l.nrrd")
    assert np.allclose(affine_of(SimpleITK.ReadImage(str(tmp_path / "l.nrrd"))), volume.affine)


def test_info_says_that_resample_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = scan(tmp_path, STACKS["gantry tilted"])
    assert main(["info", str(path)]) == 2
    told = capsys.readouterr()
    assert "26x30x16 voxels of 3.00x2.00x3.00 mm; the slices are tilted by 15.0 degrees" in told.out
    assert "needs --resample" in told.out and "semgan segment --resample" in told.err


def test_a_scan_and_a_cohort_are_segmented_with_resample_only(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom")
    scan(tmp_path / "in" / "tilted", STACKS["gantry tilted"])
    scan(tmp_path / "in" / "gap", STACKS["a gap"])
    options = ["--bundle", str(tiny_bundle), "--quiet"]
    one = ["segment", str(tmp_path / "in" / "gap"), "-o", str(tmp_path / "l.nii.gz"), *options]
    assert main(one) == 2 and "--resample" in capsys.readouterr().err
    assert main([*one, "--resample", "--report", str(tmp_path / "report")]) == 0
    told = capsys.readouterr().err
    assert "between IM00" in told and "evenly spaced planes" in told
    report = (tmp_path / "report" / "report.json").read_text()
    assert "2 slices are missing in 1 gap" in report and "IM00" not in report
    many = ["segment", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *options]
    assert main(many) == 3
    assert main([*many, "--resample"]) == 0
    assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == {"tilted.nii.gz", "gap.nii.gz"}


def test_segment_of_a_file_takes_it_in_python(tmp_path: Path, tiny_bundle: Path) -> None:
    from monai_semgan.inference.segmentation import segment

    path = scan(tmp_path, STACKS["every third is missing"])
    found = segment(path, tiny_bundle, resample=True)
    assert found.label.shape == (26, 30, 16) and "missing" in found.notes[0]
    with pytest.raises(SemganError, match="resample is for files"):
        segment(read_volume(path, resample=True), tiny_bundle, resample=True)
