"""Labels go out as named segments, in 3D Slicer's format and as DICOM segmentations that refer to their scan."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import check_label_output, write_label
from monai_semgan.organs import SIDES, TISSUE, Segments, Structure, find_organ, structures
from tests.dicom_phantoms import PATIENT, datasets, enhanced, save, write_series
from tests.phantoms import grid, labels_at, patient, points_of

NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
SEGMENTS = Segments(NAMES, "SemGAN abdomen", "1.2.3")


def find_program(name: str) -> str | None:
    """A program of the machine, or of a package beside Python."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


needs_dciodvfy = pytest.mark.skipif(
    not shutil.which("dciodvfy"), reason="dciodvfy is not installed (apt install dicom3tools)"
)


def scan(folder: Path, zip_it: bool = False, multi_frame: bool = False, **tags: Any) -> tuple[Volume, np.ndarray]:
    """The patient as an oblique DICOM series, and labels."""
    affine, shape = grid((12.0, 11.0, 14.0), codes="LPS", degrees=(4.0, 8.0, 12.0))
    array = np.round(patient(affine, shape, seed=0).array / 2) * 2
    path = folder / "series"
    if multi_frame:
        order = np.random.default_rng(0).permutation(shape[2])
        save(enhanced(array, affine, order, **tags), path / "multi.dcm")
    else:
        write_series(path, datasets(array, affine, **tags))
    if zip_it:
        path = Path(shutil.make_archive(str(folder / "scan"), "zip", path))
        shutil.rmtree(folder / "series")
    volume = read_volume(path)
    return volume, labels_at(points_of(volume.affine, volume.array.shape))


def voxels(segmentation: pydicom.Dataset, volume: Volume, number: int) -> np.ndarray:
    """One segment on the scan's grid, by nothing but what the segmentation says of its frames."""
    mask = np.zeros(volume.array.shape, dtype=bool)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    frames = segmentation.pixel_array
    for group, frame in zip(segmentation.PerFrameFunctionalGroupsSequence, frames, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number:
            continue
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float) * [-1, -1, 1]
        directions = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
        spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, dtype=float)
        rows, columns = np.nonzero(frame)
        places = (
            position
            + columns[:, None] * spacing[1] * (directions[0] * [-1, -1, 1])
            + rows[:, None] * spacing[0] * (directions[1] * [-1, -1, 1])
        )
        index = np.linalg.solve(volume.affine, np.c_[places, np.ones(len(places))].T)[:3]
        assert np.abs(index - np.rint(index)).max() < 0.01
        mask[tuple(np.rint(index).astype(int))] = True
    return mask


@pytest.mark.parametrize("options", [{}, {"zip_it": True}, {"multi_frame": True}], ids=["folder", "zip", "multi-frame"])
def test_a_dicom_segmentation_refers_to_its_scan_and_lies_on_it(options: dict, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    volume, label = scan(tmp_path, **options)
    check_label_output(tmp_path / "out.dcm", volume)
    written = pydicom.dcmread(write_label(label, volume, tmp_path / "out.dcm", SEGMENTS))
    assert written.Modality == "SEG" and written.SegmentationType == "BINARY"
    assert written.StudyInstanceUID == "1.2.826.0.1.3680043.8.498.1" and written.PatientName == PATIENT
    assert written.FrameOfReferenceUID == "1.2.826.0.1.3680043.8.498.3"
    (series,) = written.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "1.2.826.0.1.3680043.8.498.2" != written.SeriesInstanceUID
    assert volume.source is not None
    referenced = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
    assert referenced and referenced <= {frame.uid for frame in volume.source.frames}
    assert "Research use only" in written.ContentDescription and "research use only" in written.SeriesDescription
    for number, (index, name) in enumerate(NAMES.items(), start=1):
        segment = written.SegmentSequence[number - 1]
        assert (segment.SegmentNumber, segment.SegmentLabel) == (number, name)
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert kind.CodingSchemeDesignator == "SCT" and kind.CodeValue == find_organ(name).kind.value
        if "kidney" in name:
            side = kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning
            assert side.lower() == name.split()[0]
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("SemGAN abdomen", "1.2.3")
        assert np.array_equal(voxels(written, volume, number), label == index)


@needs_dciodvfy
@pytest.mark.parametrize("options", [{}, {"modality": "MR", "scale": (2, -1024)}], ids=["CT", "MR"])
def test_the_validator_finds_no_error_in_a_dicom_segmentation(options: dict, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    volume, label = scan(tmp_path, **options)
    path = write_label(label, volume, tmp_path / "out.dcm", SEGMENTS)
    assert errors_in(path) <= errors_in(volume.source.files[0].path) if volume.source else False


@needs_dciodvfy
@pytest.mark.real_data
def test_the_validator_finds_no_error_in_a_segmentation_of_the_real_series(data_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    folder = data_folder / "dicom_ct" / "series"
    volume = read_volume(folder)
    label = np.zeros(volume.array.shape, np.uint8)
    label[100:150, 100:200, 30:40], label[300:340, 280:320, 20:30] = 1, 3
    path = write_label(label, volume, tmp_path / "out.dcm", SEGMENTS)
    assert errors_in(path) <= errors_in(next(folder.glob("*.dcm")))
    assert [segment.SegmentLabel for segment in pydicom.dcmread(path).SegmentSequence] == ["liver", "left kidney"]


def errors_in(path: Path) -> set[str]:
    """What dciodvfy calls an error."""
    result = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace")
    return {line for line in (result.stdout + result.stderr).splitlines() if line.startswith("Error")}


def test_only_the_organs_asked_for_are_in_the_segmentation(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    volume, label = scan(tmp_path)
    chosen = Segments({1: "liver", 4: "spleen", 7: "nothing there"})
    written = pydicom.dcmread(write_label(label, volume, tmp_path / "out.dcm", chosen))
    assert [segment.SegmentLabel for segment in written.SegmentSequence] == ["liver", "spleen"]
    assert np.array_equal(voxels(written, volume, 2), label == 4)


def test_a_scan_stripped_of_its_patient_can_be_segmented(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    volume, label = scan(tmp_path)
    for file in (tmp_path / "series").iterdir():
        dataset = pydicom.dcmread(file)
        for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
            delattr(dataset, name)
        del dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.PositionReferenceIndicator
        dataset.save_as(file)
    assert write_label(label, read_volume(tmp_path / "series"), tmp_path / "out.dcm", SEGMENTS).stat().st_size


def test_a_dicom_segmentation_that_cannot_be_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("highdicom")
    volume, label = scan(tmp_path)
    plain = Volume(volume.array, volume.affine)
    with pytest.raises(SemganError, match="refers to a DICOM scan, and the input is none; use .seg.nrrd"):
        check_label_output(tmp_path / "out.dcm", plain)
    with pytest.raises(SemganError, match="no organ was found"):
        write_label(0 * label, volume, tmp_path / "out.dcm", SEGMENTS)
    monkeypatch.setitem(sys.modules, "highdicom", None)  # as if it were not installed
    with pytest.raises(SemganError, match=r"needs highdicom; run pip install 'monai-semgan\[dicom\]'"):
        check_label_output(tmp_path / "out.dcm", volume)
    assert not (tmp_path / "out.dcm").exists()


def test_a_slice_of_the_scan_is_not_overwritten(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    affine, shape = grid((20.0, 20.0, 30.0), codes="LPS")
    for k, dataset in enumerate(datasets(np.round(patient(affine, shape).array), affine)):
        save(dataset, tmp_path / f"{k}.dcm")
    with pytest.raises(SemganError, match="would overwrite the input"):
        check_label_output(tmp_path / "3.dcm", read_volume(tmp_path))


def test_a_scan_without_frame_of_reference_is_explained(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    volume, _ = scan(tmp_path, FrameOfReferenceUID="")
    with pytest.raises(SemganError, match="no FrameOfReferenceUID"):
        check_label_output(tmp_path / "out.dcm", volume)


def test_nothing_of_the_patient_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    pytest.importorskip("highdicom")
    with pytest.warns(UserWarning, match="Secret"):  # what pydicom would say
        volume, label = scan(tmp_path, PatientAge="Secret")
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        volume = read_volume(tmp_path / "series")
        write_label(label, volume, tmp_path / "out.dcm", SEGMENTS)
    assert "ecret" not in caplog.text and capfd.readouterr() == ("", "")


def test_contours_go_into_a_folder_for_structure_sets(tmp_path: Path) -> None:
    rt_utils = pytest.importorskip("rt_utils")
    affine, shape = grid((8.0, 8.0, 14.0), codes="LPS", degrees=(4.0, 8.0, 12.0))
    write_series(tmp_path / "series", datasets(np.round(patient(affine, shape, seed=0).array), affine))
    volume = read_volume(tmp_path / "series")
    label = labels_at(points_of(volume.affine, volume.array.shape))
    target = check_label_output(tmp_path / "scan_rtstruct", volume)
    assert target == write_label(label, volume, tmp_path / "scan_rtstruct", SEGMENTS)
    written = rt_utils.RTStructBuilder.create_from(str(tmp_path / "series"), str(target))
    assert written.get_roi_names() == list(NAMES.values())
    assert "Research use only" in written.ds.StructureSetDescription
    assert list(written.ds.ROIContourSequence[0].ROIDisplayColor) == [221, 130, 101]
    if shutil.which("dciodvfy"):
        assert errors_in(target) <= errors_in(volume.source.files[0].path)  # type: ignore[union-attr]


def test_contours_that_cannot_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    volume, _ = scan(tmp_path, multi_frame=True)
    with pytest.raises(SemganError, match="multi-frame"):
        check_label_output(tmp_path / "rtstruct", volume)
    with pytest.raises(SemganError, match="input is none"):
        check_label_output(tmp_path / "rtstruct", Volume(volume.array, volume.affine))


def test_a_segmentation_for_slicer_names_and_colours_its_segments(tmp_path: Path) -> None:
    import SimpleITK

    volume, label = scan(tmp_path)
    path = write_label(label, volume, tmp_path / "out.seg.nrrd", SEGMENTS)
    assert np.array_equal(read_label(path, volume).array, label)
    image = SimpleITK.ReadImage(str(path))
    field = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert [field[f"Segment{n}_Name"] for n in range(4)] == list(NAMES.values())
    assert [field[f"Segment{n}_LabelValue"] for n in range(4)] == ["1", "2", "3", "4"]
    assert len({field[f"Segment{n}_ID"] for n in range(4)}) == 4
    assert field["Segment0_Color"] == "0.866667 0.509804 0.396078" and field["Segment0_Layer"] == "0"
    assert field["Segment1_Extent"] == " ".join(f"0 {n - 1}" for n in label.shape)
    assert "~SCT^64033007^Kidney~SCT^24028007^Right~" in field["Segment1_Tags"]
    assert field["Segmentation_SourceRepresentation"] == "Binary labelmap"
    assert "Research use only" in field["SemGAN_Note"] and "ecret" not in str(field)


NOT_IN_DICOM = {"portal vein and splenic vein"}
"""DICOM's tables have the two veins; SNOMED CT has one concept for both, as TotalSegmentator codes them."""


@pytest.mark.parametrize("structure", structures(), ids=lambda structure: structure.name)
def test_codes_agree_with_the_standard_dictionary(structure: Structure) -> None:
    from pydicom.sr.codedict import codes

    code = structure.code
    if structure.name in NOT_IN_DICOM:
        assert not hasattr(codes.SCT, code.meaning.title().replace(" ", "")), "take it from there"
        return
    keyword = code.meaning.title().replace(" ", "")
    entry = getattr(codes.SCT, keyword)
    assert (entry.value, entry.meaning) == (code.value, code.meaning)


def test_names_are_understood_in_their_usual_spellings() -> None:
    assert find_organ("Right_Kidney") == find_organ("kidney right") == find_organ("right kidney")
    assert find_organ("left kidney").side == SIDES["left"] and find_organ("Esophagus") == find_organ("oesophagus")
    assert find_organ("tumour").kind == TISSUE and find_organ("tumour", 1).colour != find_organ("tumour", 2).colour


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".seg.nrrd", ".dcm"])
def test_a_full_disk_is_named_and_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    scan(tmp_path)
    code = f"""
        import resource, signal, sys
        import numpy as np
        from monai_semgan.io.reading import read_volume
        from monai_semgan.io.writing import write_label
        from monai_semgan.errors import SemganError
        volume = read_volume(sys.argv[1])
        label = np.random.default_rng(0).integers(0, 2, volume.array.shape)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
        try:
            write_label(label, volume, sys.argv[2] + "/out{suffix}")
        except SemganError as error:
            print(error)
    """
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "series"), str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert "the disk is full" in result.stdout and result.stdout.count("\n") == 1, result
    assert result.stderr == "" and not list((tmp_path / "out").iterdir())
