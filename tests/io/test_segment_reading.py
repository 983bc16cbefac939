"""Labels of named segments come back by name or code, on the grid of their image, whoever wrote them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label
from monai_semgan.organs import Segments
from tests.dicom_phantoms import datasets, enhanced, save, write_series
from tests.phantoms import grid, labels_at, patient, points_of

NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
SHUFFLED = {3: "spleen", 7: "left_kidney", 20: "Liver", 21: "kidney right"}
"""The same organs under other ids and spellings, as another list or model may have them."""

TO_SHUFFLED = np.zeros(256, np.uint8)
TO_SHUFFLED[[1, 2, 3, 4]] = [20, 21, 7, 3]


def scan(folder: Path, **options: Any) -> tuple[Volume, np.ndarray]:
    """The patient as an oblique series, and labels."""
    affine, shape = grid((12.0, 11.0, 14.0), codes="LPS", degrees=(4.0, 8.0, 12.0))
    write_series(folder / "series", datasets(np.round(patient(affine, shape, seed=0).array), affine, **options))
    volume = read_volume(folder / "series")
    return volume, labels_at(points_of(volume.affine, volume.array.shape))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    codes=st.sampled_from(["LAS", "RPI", "PSR", "SLA", "AIL", "LPS", "IRP"]),
    degrees=st.tuples(*[st.floats(-44, 44)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 9)] * 3),
    seed=st.integers(0, 99),
    multi_frame=st.booleans(),
)
def test_a_label_of_any_series_comes_back_voxel_by_voxel(
    tmp_path: Path, codes: str, degrees: Any, spacing: Any, seed: int, multi_frame: bool
) -> None:
    pytest.importorskip("highdicom")
    field = tuple(s * n for s, n in zip(spacing, (4, 5, 6), strict=True))
    affine, shape = grid(spacing, codes=codes, degrees=degrees, field=field)  # type: ignore[arg-type]
    random = np.random.default_rng(seed)
    array = 2 * random.integers(-200, 200, shape).astype(np.float32)
    folder = tmp_path / f"{seed}{multi_frame}"
    shutil.rmtree(folder, ignore_errors=True)
    if multi_frame:
        save(enhanced(array, affine, random.permutation(shape[2])), folder / "multi")
    else:
        write_series(folder, datasets(array, affine), seed)
    volume = read_volume(folder)
    label = random.integers(0, 5, volume.array.shape).astype(np.uint8)
    label.flat[:4] = [1, 2, 3, 4]
    for name in ("l.dcm", "l.seg.nrrd"):
        path = write_label(label, volume, tmp_path / name, Segments(NAMES))
        again = read_label(path, volume, names=SHUFFLED)
        assert np.array_equal(again.array, TO_SHUFFLED[label]), name
        assert np.allclose(again.affine, volume.affine)
    for name in ("l.nii.gz", "l.nrrd", "l.mha"):
        again = read_label(write_label(label, volume, tmp_path / name), volume)
        assert np.array_equal(again.array, label) and np.allclose(again.affine, volume.affine, atol=2e-3), name


@pytest.mark.parametrize("turn", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_the_image_may_be_stored_in_another_order_of_axes_than_its_segmentation(turn: tuple, tmp_path: Path) -> None:
    """The DICOM series was converted to NIfTI, with other axes; the segmentation was made on DICOM."""
    pytest.importorskip("highdicom")
    volume, label = scan(tmp_path)
    path = write_label(label, volume, tmp_path / "l.dcm", Segments(NAMES))
    array = volume.array.transpose(turn)[::-1, :, ::-1]
    affine = volume.affine[:, [*turn, 3]].copy()
    for axis in (0, 2):
        affine[:, 3] += affine[:, axis] * (array.shape[axis] - 1)
        affine[:, axis] *= -1
    again = read_label(path, Volume(array, affine), names=NAMES)
    assert np.array_equal(again.array, label.transpose(turn)[::-1, :, ::-1])


def of_others(
    volume: Volume, label: np.ndarray, path: Path, kind: str, describe: Callable[[Any], None] | None = None
) -> Path:
    """A segmentation by another program: segments in another order, named in another language, but coded."""
    import highdicom
    from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    assert volume.source is not None
    images = [pydicom.dcmread(frame.file.path) for frame in volume.source.frames]
    described = []
    for number, (name, organ) in enumerate((("Milz", "Spleen"), ("Leber", "Liver"), ("Niere", "Kidney")), start=1):
        described.append(
            SegmentDescription(
                segment_number=number,
                segment_label=name,
                segmented_property_category=codes.SCT.AnatomicalStructure,
                segmented_property_type=getattr(codes.SCT, organ),
                algorithm_type="MANUAL",
            )
        )
    stack = np.stack([label == 4, label == 1, label == 2], -1).transpose(2, 1, 0, 3)
    pixels: Any = stack.astype(np.uint8)
    options: dict[str, Any] = {}
    if kind == "FRACTIONAL":
        pixels, options = np.where(stack, 0.8, 0.3), {"max_fractional_value": 200}
    if kind == "LABELMAP":
        pixels = (stack * [1, 2, 3]).sum(-1).astype(np.uint8)
    made = Segmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type=SegmentationTypeValues(kind),
        segment_descriptions=described,
        series_instance_uid=highdicom.UID(),
        series_number=9,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="Others",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        **options,
    )
    side = pydicom.Dataset()  # SNOMED's older code for the right side
    side.CodeValue, side.CodingSchemeDesignator, side.CodeMeaning = "G-A100", "SRT", "Right"
    made.SegmentSequence[-1].SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    if describe is not None:
        describe(made)
    made.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_segmentation_by_another_program_is_read_by_its_codes(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    volume, label = scan(tmp_path)
    path = of_others(volume, label, tmp_path / "l.dcm", kind)
    again = read_label(path, volume, names=NAMES)
    assert np.array_equal(again.array, np.where(label == 3, 0, label))
    if kind == "BINARY":
        import highdicom

        there = highdicom.seg.segread(path).get_volume(combine_segments=True, allow_missing_positions=True)
        assert {1, 2, 3} == set(np.unique(there.array)) - {0}  # Milz, Leber, Niere: positions, and not our ids
        path.rename(tmp_path / "IM1")
        assert np.array_equal(read_label(tmp_path / "IM1", volume, names=NAMES).array, again.array)


def slicer(path: Path, layers: np.ndarray, origin: np.ndarray, volume: Volume, segments: list[dict[str, str]]) -> Path:
    """A file as 3D Slicer writes it: layers (L, i, j, k) that start at a voxel of the image."""
    import SimpleITK

    corner = volume.affine @ [*origin, 1]
    spacing = volume.spacing
    stack = [SimpleITK.GetImageFromArray(layer.transpose()) for layer in layers]
    image = stack[0] if len(stack) == 1 else SimpleITK.Compose(*stack)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin((corner[:3] * [-1, -1, 1]).tolist())
    image.SetDirection((np.diag([-1, -1, 1]) @ (volume.affine[:3, :3] / spacing)).reshape(-1).tolist())
    for number, fields in enumerate(segments):
        for key, value in fields.items():
            image.SetMetaData(f"Segment{number}_{key}", value)
    SimpleITK.WriteImage(image, str(path), useCompression=True)
    return path


def test_a_cropped_file_of_slicer_with_layers_is_read_by_names_and_codes(tmp_path: Path) -> None:
    volume, label = scan(tmp_path)
    low, high = np.argwhere(label > 0).min(0), np.argwhere(label > 0).max(0) + 1
    part = label[tuple(map(slice, low, high))]
    layers = np.stack([(part == 4) * 1 + (part == 1) * 9, (part > 0) * 3 + (part == 2) * 2]).astype(np.uint8)
    kidney = "Segmentation.Status:done|TerminologyEntry:list~SCT^1^x~SCT^64033007^Kidney~SCT^24028007^Right~a~^^~^^|"
    segments = [
        {"Name": "Spleen", "LabelValue": "1", "Layer": "0", "Tags": ""},
        {"Name": "Niere", "LabelValue": "5", "Layer": "1", "Tags": kidney},
        {"Name": "LIVER", "LabelValue": "9", "Layer": "0"},
        {"Name": "everything", "LabelValue": "3", "Layer": "1"},
    ]
    path = slicer(tmp_path / "l.seg.nrrd", layers, low, volume, segments)
    assert np.array_equal(read_label(path, volume, names=NAMES).array, np.where(label == 3, 0, label))


def test_without_names_the_values_of_a_slicer_file_are_its_ids(tmp_path: Path) -> None:
    volume, label = scan(tmp_path)
    path = write_label(label, volume, tmp_path / "l.seg.nrrd", Segments(NAMES))
    assert np.array_equal(read_label(path, volume).array, label)
    assert np.array_equal(read_label(path, names=NAMES).array, label)


def bad(kind: str, folder: Path) -> tuple[Path, Volume]:
    volume, label = scan(folder)
    path = folder / "l.dcm"
    if kind == "another scan":
        write_label(label, volume, path, Segments(NAMES))
        other, _ = scan(folder / "other", FrameOfReferenceUID="1.2.3.4")
        return path, other
    if kind == "other organs":
        return write_label(label, volume, path, Segments({1: "brain", 2: "heart"})), volume
    if kind == "beyond":
        write_label(label, volume, path, Segments(NAMES))
        return path, Volume(volume.array[:, :, :7], volume.affine)
    if kind == "another grid":
        write_label(label, volume, path, Segments(NAMES))
        affine = volume.affine.copy()
        affine[:3, :3] *= 1.5
        return path, Volume(volume.array, affine)
    if kind == "shared voxels":
        segments = [{"Name": name, "LabelValue": "1", "Layer": str(n)} for n, name in enumerate(("liver", "spleen"))]
        both = np.stack([label == 1, label > 0]).astype(np.uint8)
        return slicer(folder / "l.seg.nrrd", both, np.zeros(3), volume, segments), volume
    if kind == "a scan":
        shutil.copy(folder / "series" / "IM0000", path)
        return path, volume
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("another scan", "belongs to another scan: its frame of reference is not that of the image; check which"),
        ("other organs", "holds none of the organs liver, .*; its segments are named brain, heart; rename"),
        ("beyond", "reaches beyond its image; check"),
        ("another grid", "lie on another grid than the image; resample"),
        ("shared voxels", "spleen and liver share .* voxels; separate"),
        ("a scan", "is DICOM, but no segmentation; give"),
    ],
)
def test_segments_that_cannot_be_used_are_explained_in_one_line(kind: str, message: str, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    path, volume = bad(kind, tmp_path)
    with pytest.raises(SemganError, match=message) as caught:
        read_label(path, volume, names=NAMES)
    said = str(caught.value)
    assert said.startswith(str(path)) and "\n" not in said and "ecret" not in said


def test_a_dicom_segmentation_needs_names_and_its_image_and_is_no_scan(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    volume, label = scan(tmp_path)
    path = write_label(label, volume, tmp_path / "l.dcm", Segments(NAMES))
    with pytest.raises(SemganError, match='nothing tells which organs are meant; add "labels"'):
        read_label(path, volume)
    with pytest.raises(SemganError, match="needs its image"):
        read_label(path, names=NAMES)
    with pytest.raises(SemganError, match="no scan and no radiograph; there are 401 .SEG, 1 image"):
        read_volume(path)
