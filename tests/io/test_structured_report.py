"""Volumes go out as a structured report that names segments, scan, model and person, and that others read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from monai_semgan._version import __version__
from monai_semgan.bundle.own_structures import SECTION, describe, make_known
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.provenance import Provenance, ReplacedResult, ResultUids
from monai_semgan.io.dicom.structured_report import write_volume_report
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label
from monai_semgan.organs import Segments, forget_structure
from tests.dicom_phantoms import datasets, enhanced, save, write_series
from tests.io.test_result_header import NAMES_IN_BYTES, put, stand_in
from tests.io.test_segments import errors_in, find_program, needs_dciodvfy

pytest.importorskip("highdicom")

AFFINE, SHAPE = np.diag([-0.8, -0.8, 2.5, 1.0]), (14, 12, 5)
ARRAY = np.random.default_rng(0).integers(-900, 900, SHAPE).astype(float)
NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "lump"}
SEGMENTS = Segments(NAMES, "SemGAN abdomen", "1.2.3")
VOLUMES = {"liver": 1354.886121012345, "right kidney": 150.25, "left kidney": 1 / 3, "lump": 2.0}
DIGEST = "0123456789abcdef" * 4
SR = "1.2.840.10008.5.1.4.1.1.88.22"
EDITED = Provenance(DIGEST, "Ada Lovelace", edited=True)

needs_dsrdump = pytest.mark.skipif(not shutil.which("dsrdump"), reason="dsrdump is not installed (apt install dcmtk)")
needs_dcmqi = pytest.mark.skipif(
    not find_program("tid1500reader"), reason="tid1500reader is not installed (pip install dcmqi)"
)


def scan(folder: Path, raw: dict[str, bytes] | None = None, modality: str = "CT", **tags: Any) -> Volume:
    """A small series whose headers hold these bytes."""
    slices = datasets(ARRAY, AFFINE, modality, (1.0, -1024.0), **tags)
    for dataset in slices:
        for keyword, value in (raw or {}).items():
            dataset.add(stand_in(keyword, value))
    for file in write_series(folder, slices).iterdir():
        for keyword, value in (raw or {}).items():
            put(file, keyword, value)
    return read_volume(folder)


def label() -> np.ndarray:
    """Four structures."""
    found = np.zeros(SHAPE, np.uint8)
    found[1:6, 1:6, 1:3], found[7:12, 1:6, 1:4], found[2:9, 7:11, 2:5], found[0, 0, 0] = 1, 2, 3, 4
    return found


def report(
    folder: Path,
    volume: Volume | None = None,
    provenance: Provenance | None = EDITED,
    volumes: dict[str, float] | None = None,
    **told: Any,
) -> Path:
    """Write a segmentation, `seg.dcm`, and a report on it."""
    volume = scan(folder / "scan") if volume is None else volume
    segmentation = write_label(label(), volume, folder / "seg.dcm", SEGMENTS, provenance=provenance)
    return write_volume_report(segmentation, volume, folder / "sr.dcm", volumes or VOLUMES, provenance, **told)


def content(path: Path) -> Any:
    """The report as highdicom reads it."""
    from highdicom.sr import srread

    return srread(path).content


def test_volumes_are_read_back_equal_with_codes_and_sides(tmp_path: Path) -> None:
    groups = content(report(tmp_path)).get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == list(VOLUMES)
    segments = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    for group, segment, (name, volume) in zip(groups, segments, VOLUMES.items(), strict=True):
        (measurement,) = group.get_measurements()
        assert measurement.value == volume
        assert (measurement.name.value, measurement.name.scheme_designator) == ("118565006", "SCT")
        assert (measurement.unit.value, measurement.unit.scheme_designator) == ("cm3", "UCUM")
        assert group.tracking_uid == segment.TrackingUID
        assert group.finding_type.value == segment.SegmentedPropertyTypeCodeSequence[0].CodeValue
        sites = group.finding_sites
        if name == "lump":
            assert sites == [] and group.finding_type.meaning == "Tissue"
            continue
        (site,) = sites
        assert site.value.value == group.finding_type.value
        assert (site.laterality.meaning if site.laterality else "") == {"r": "Right", "l": "Left"}.get(
            name[0] if "kidney" in name else "", ""
        )


def test_every_group_refers_to_its_segment_and_to_the_scan(tmp_path: Path) -> None:
    path, segmentation = report(tmp_path), pydicom.dcmread(tmp_path / "seg.dcm")
    for number, group in enumerate(content(path).get_volumetric_roi_measurement_groups(), start=1):
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert segment.referenced_segment_numbers == [number]
        assert not segment.source_images_for_segmentation
        assert segment.source_series_for_segmentation.value == "1.2.826.0.1.3680043.8.498.2"
    written = pydicom.dcmread(path)
    assert written.StudyInstanceUID == segmentation.StudyInstanceUID
    assert written.SeriesInstanceUID not in (segmentation.SeriesInstanceUID, "1.2.826.0.1.3680043.8.498.2")
    (study,) = written.CurrentRequestedProcedureEvidenceSequence
    named = {series.SeriesInstanceUID: len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence}
    assert named == {segmentation.SeriesInstanceUID: 1, "1.2.826.0.1.3680043.8.498.2": SHAPE[2]}


def test_a_report_says_who_observed_and_that_nobody_has_verified(tmp_path: Path) -> None:
    from pydicom.sr.codedict import codes

    path = report(tmp_path)
    written, read = pydicom.dcmread(path), content(path)
    assert (written.VerificationFlag, written.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    assert written.PreliminaryFlag == "PRELIMINARY" and "VerifyingObserverSequence" not in written
    assert written.SeriesDescription == "Volumes, edited, research use only, not for clinical use"
    (person,) = read.get_observer_contexts(codes.DCM.Person)
    assert person.observer_identifying_attributes.name == "Ada Lovelace^"
    (device,) = read.get_observer_contexts(codes.DCM.Device)
    attributes = device.observer_identifying_attributes
    assert (attributes.name, attributes.model_name) == ("monai_semgan", "SemGAN abdomen")
    assert attributes.serial_number == "1.2.3" and written.SoftwareVersions == __version__
    assert "Research use only, not for clinical use" in str(written.ContentSequence[-1].TextValue)
    assert f"weights_sha256={DIGEST}" in written.to_json()
    assert "CT unspecified body region" in str(written)


def test_without_an_annotator_the_program_alone_observes(tmp_path: Path) -> None:
    read = content(report(tmp_path, provenance=None))
    (device,) = read.get_observer_contexts()
    assert device.observer_type.meaning == "Device"


def test_of_what_a_person_drew_no_model_is_named(tmp_path: Path) -> None:
    told = Provenance(DIGEST, "Ada Lovelace", by_model=False)
    written = pydicom.dcmread(report(tmp_path, provenance=told))
    assert "SemGAN abdomen" not in str(written) and DIGEST not in written.to_json()
    assert written.ManufacturerModelName == "monai_semgan"
    assert written.SeriesDescription.startswith("Volumes, manual")


def test_a_report_names_the_report_that_it_replaces(tmp_path: Path) -> None:
    earlier = ReplacedResult("1.2.8", "1.2.8.3", SR, "1.2.8.3.1")
    segmentation = ReplacedResult("1.2.8", "1.2.8.4", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.8.4.1")
    written = pydicom.dcmread(report(tmp_path, provenance=Provenance(replaces=(segmentation, earlier))))
    (study,) = written.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("1.2.8", "1.2.8.3")
    assert (instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID) == (SR, "1.2.8.3.1")
    assert "Replaces earlier result" in written.ContentSequence[-1].TextValue
    other = pydicom.dcmread(report(tmp_path, provenance=Provenance(replaces=(segmentation,))))
    assert "PredecessorDocumentsSequence" not in other
    assert "Replaces earlier result" not in other.ContentSequence[-1].TextValue


def test_a_report_can_be_made_again_as_the_same_object(tmp_path: Path) -> None:
    written = pydicom.dcmread(report(tmp_path, uids=ResultUids("1.2.3.4", "1.2.3.4.5")))
    assert (written.SeriesInstanceUID, written.SOPInstanceUID) == ("1.2.3.4", "1.2.3.4.5")
    device = "1.2.826.0.1.3680043.8.498."
    first, second = (str(pydicom.dcmread(report(tmp_path / name)).ContentSequence) for name in "ab")
    names = [line for line in first.splitlines() if device in line and " UI: " in line]
    assert names and names[0] in second  # of the program: it is one observer in all reports


def test_names_are_understood_in_their_usual_spellings(tmp_path: Path) -> None:
    volumes = {"Liver": 1.0, "kidney_right": 2.0, "spleen": 0.0}
    groups = content(report(tmp_path, volumes=volumes)).get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["liver", "right kidney"]
    assert [group.referenced_segment.referenced_segment_numbers for group in groups] == [[1], [2]]


@pytest.mark.parametrize(
    ("volumes", "message"),
    [
        ({"spleen": 5.0}, "no segment for the volume of spleen; its segments are liver, right kidney"),
        ({"liver": float("nan")}, "the volume of liver is nan ml; give a number, 0 or more"),
        ({"liver": float("inf")}, "the volume of liver is inf ml"),
        ({"liver": -1.0}, "the volume of liver is -1.0 ml"),
        ({"liver": 0.0}, "there is no volume to report"),
    ],
)
def test_volumes_that_cannot_be_told_are_refused(volumes: dict[str, float], message: str, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match=message):
        report(tmp_path, volumes=volumes)
    assert not (tmp_path / "sr.dcm").exists()


def test_what_is_no_segmentation_of_the_scan_is_refused(tmp_path: Path) -> None:
    volume, other = scan(tmp_path / "scan"), scan(tmp_path / "other", StudyInstanceUID="1.2.3")
    segmentation = write_label(label(), other, tmp_path / "seg.dcm", SEGMENTS)
    assert volume.source is not None
    image = volume.source.files[0].path
    for wrong, message in (
        (segmentation, "belongs to another study than the scan; check which"),
        (image, "no DICOM segmentation that a report can refer to; give the DICOM segmentation"),
        (tmp_path / "missing.dcm", "missing.dcm"),
        (Dataset(), "no DICOM segmentation"),
    ):
        with pytest.raises(SemganError, match=message):
            write_volume_report(wrong, volume, tmp_path / "sr.dcm", VOLUMES)
    with pytest.raises(SemganError, match="input is none"):
        write_volume_report(segmentation, Volume(volume.array, volume.affine), tmp_path / "sr.dcm", VOLUMES)
    with pytest.raises(SemganError, match="unknown file ending"):
        write_volume_report(segmentation, volume, tmp_path / "sr.txt", VOLUMES)
    assert not (tmp_path / "sr.dcm").exists()


def test_a_segmentation_in_memory_is_reported_like_its_file(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    dataset = pydicom.dcmread(write_label(label(), volume, tmp_path / "seg.dcm", SEGMENTS))
    path = write_volume_report(dataset, volume, tmp_path / "sr.dcm", VOLUMES)
    assert len(content(path).get_volumetric_roi_measurement_groups()) == len(VOLUMES)


def test_without_highdicom_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = scan(tmp_path / "scan")
    segmentation = write_label(label(), volume, tmp_path / "seg.dcm", SEGMENTS)
    monkeypatch.setitem(sys.modules, "highdicom", None)  # as if it were not installed
    with pytest.raises(SemganError, match=r"needs highdicom; run pip install 'monai-semgan\[dicom\]'"):
        write_volume_report(segmentation, volume, tmp_path / "sr.dcm", VOLUMES)


def test_what_highdicom_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import highdicom

    volume = scan(tmp_path / "scan")
    segmentation = write_label(label(), volume, tmp_path / "seg.dcm", SEGMENTS)
    monkeypatch.setattr(highdicom.sr, "EnhancedSR", lambda **_: 1 / 0)
    with pytest.raises(SemganError, match=r"highdicom cannot make a report .* \(ZeroDivisionError\)"):
        write_volume_report(segmentation, volume, tmp_path / "sr.dcm", VOLUMES)
    assert not (tmp_path / "sr.dcm").exists()


@pytest.mark.parametrize("terms", [r"\ISO 2022 IR 87", "ISO_IR 144", "GB18030", "ISO_IR 100"])
def test_a_patient_keeps_the_name_in_every_character_set(terms: str, tmp_path: Path) -> None:
    raw, name = NAMES_IN_BYTES[terms]
    volume = scan(tmp_path / "scan", {"SpecificCharacterSet": terms.encode(), "PatientName": raw})
    path = report(tmp_path, volume, Provenance(annotator="鈴木 花子"))
    assert str(pydicom.dcmread(path).PatientName).rstrip("=") == name.rstrip("=")
    person, _ = content(path).get_observer_contexts()
    assert person.observer_identifying_attributes.name == "鈴木 花子^"
    if shutil.which("dciodvfy"):
        assert errors_in(path) == set()


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "XX"])
def test_a_scan_stripped_of_its_patient_can_be_reported_on(modality: str, tmp_path: Path) -> None:
    scan(tmp_path / "scan", modality=modality)
    for file in (tmp_path / "scan").iterdir():
        dataset = pydicom.dcmread(file)
        for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
            delattr(dataset, name)
        del dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.Manufacturer
        dataset.save_as(file)
    path = report(tmp_path, read_volume(tmp_path / "scan"))
    assert [one.get_measurements()[0].value for one in content(path).get_volumetric_roi_measurement_groups()] == list(
        VOLUMES.values()
    )


@pytest.mark.parametrize("uid", ["1.2.003.4", "1.2." + "3" * 80, "a-b_c"])
def test_a_report_refers_to_its_scan_by_uids_as_they_are(uid: str, tmp_path: Path) -> None:
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    path = report(tmp_path, scan(tmp_path / "scan", dict.fromkeys(keywords, uid.encode())))
    written = pydicom.dcmread(path)
    assert written.StudyInstanceUID == uid
    group = content(path).get_volumetric_roi_measurement_groups()[0]
    assert group.referenced_segment.source_series_for_segmentation.value == uid


def test_a_scan_of_several_series_is_referred_to_image_by_image(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    for file in (tmp_path / "scan").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.SeriesInstanceUID = generate_uid()
        dataset.save_as(file)
    path = report(tmp_path, volume)
    for group in content(path).get_volumetric_roi_measurement_groups():
        sources = group.referenced_segment.source_images_for_segmentation
        assert volume.source is not None
        assert {one.referenced_sop_instance_uid for one in sources} == {frame.uid for frame in volume.source.frames}


def test_a_multi_frame_scan_can_be_reported_on(tmp_path: Path) -> None:
    path = save(enhanced(ARRAY, AFFINE, np.array([2, 0, 1, 4, 3])), tmp_path / "scan" / "scan.dcm")
    read = content(report(tmp_path, read_volume(path)))
    assert len(read.get_volumetric_roi_measurement_groups()) == len(VOLUMES)


def test_private_codes_of_structures_are_explained(tmp_path: Path) -> None:
    make_known({SECTION: [describe("left odd duct", (9, 200, 90))]})
    try:
        volume, names = scan(tmp_path / "scan"), Segments({1: "left odd duct"}, "SemGAN")
        segmentation = write_label(label(), volume, tmp_path / "seg.dcm", names)
    finally:
        forget_structure("odd duct")
    path = write_volume_report(segmentation, volume, tmp_path / "sr.dcm", {"left odd duct": 3.0})
    (scheme,) = pydicom.dcmread(path).CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99SEMGAN"
    (group,) = content(path).get_volumetric_roi_measurement_groups()
    assert group.finding_type.scheme_designator == "99SEMGAN"
    assert group.finding_sites[0].laterality.meaning == "Left"


@needs_dciodvfy
@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("annotator", [None, "Ada Lovelace", "山田 太郎"], ids=["nobody", "Latin", "Japanese"])
def test_the_validator_finds_no_error_in_a_report(annotator: str | None, modality: str, tmp_path: Path) -> None:
    volume, earlier = scan(tmp_path / "scan", modality=modality), ReplacedResult("1.2.8", "1.2.8.3", SR, "1.2.8.3.1")
    for edited, by_model, replaces in ((None, True, ()), (True, True, (earlier,)), (None, False, (earlier,))):
        path = report(tmp_path, volume, Provenance(DIGEST, annotator, edited, by_model, replaces))
        assert errors_in(path) == set()


@needs_dsrdump
def test_dcmtk_reads_a_report(tmp_path: Path) -> None:
    path = report(tmp_path, provenance=Provenance(DIGEST, "山田 太郎", True))
    result = subprocess.run(["dsrdump", "-Ee", "+U8", str(path)], capture_output=True, text=True)
    assert result.returncode == 0 and "E: " not in result.stderr, result
    assert '"Volume")="150.25" (cm3,UCUM,"cubic centimeter")' in result.stdout
    assert '"Person Observer Name")="山田 太郎^"' in result.stdout
    assert "UNVERIFIED" in result.stdout and result.stdout.count('"Measurement Group"') == len(VOLUMES)


@needs_dcmqi
def test_dcmqi_reads_volumes_sides_and_segments(tmp_path: Path) -> None:
    path, target = report(tmp_path), tmp_path / "read.json"
    command = [find_program("tid1500reader"), "--inputDICOM", str(path), "--outputMetadata", str(target)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result
    read = json.loads(target.read_text())
    segmentation = pydicom.dcmread(tmp_path / "seg.dcm").SOPInstanceUID
    assert read["VerificationFlag"] == "UNVERIFIED" and len(read["Measurements"]) == len(VOLUMES)
    for number, (found, (name, volume)) in enumerate(zip(read["Measurements"], VOLUMES.items(), strict=True), start=1):
        (item,) = found["measurementItems"]
        assert float(item["value"]) == pytest.approx(volume, rel=1e-12)
        assert (found["TrackingIdentifier"], found["ReferencedSegment"]) == (name, number)
        assert found["segmentationSOPInstanceUID"] == segmentation
        assert found.get("Laterality", {}).get("CodeMeaning") == {"right kidney": "Right", "left kidney": "Left"}.get(
            name
        )


def test_nothing_of_the_patient_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    volume = scan(tmp_path / "scan")
    caplog.clear()
    capfd.readouterr()
    with caplog.at_level("DEBUG"):
        report(tmp_path, volume, Provenance(annotator="Secret"))
    assert "ecret" not in caplog.text and capfd.readouterr() == ("", "")
