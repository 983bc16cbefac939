"""DICOM results tell where they come from: the weights, the person, and the result that they take the place of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.valuerep import validate_value

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.provenance import Provenance, ReplacedResult, ResultUids
from monai_semgan.io.formats import forget_format, register_label_writer
from monai_semgan.io.reading import read_label
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import check_label_output, write_label
from monai_semgan.organs import Segments
from tests.dicom_phantoms import enhanced, save
from tests.io import test_segments
from tests.io.test_result_header import AFFINE, ARRAY, NAMES_IN_BYTES, label, read_volume, scan
from tests.io.test_segments import errors_in, needs_dciodvfy

pytest.importorskip("highdicom")

FORMATS = ("out.dcm", "out_rtstruct")
SEGMENTS = Segments({1: "liver"}, "SemGAN abdomen", "1.2.3")
DIGEST = "0123456789abcdef" * 4
STUDY = "1.2.826.0.1.3680043.8.498.1"
SEG, RTSTRUCT, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.88.22"
EARLIER = {
    "segmentation": ReplacedResult(STUDY, "1.2.9.1", SEG, "1.2.9.1.1"),
    "structure set": ReplacedResult(STUDY, "1.2.9.2", RTSTRUCT, "1.2.9.2.1"),
    "report of another study": ReplacedResult("1.2.8", "1.2.8.3", SR, "1.2.8.3.1"),
}
MADE = {
    "AUTOMATIC": Provenance(DIGEST),
    "SEMIAUTOMATIC": Provenance(DIGEST, "Ada Lovelace", edited=True),
    "MANUAL": Provenance(DIGEST, "Ada Lovelace", by_model=False),
}


def written(folder: Path, name: str, volume: Volume | None = None, **told: Any) -> Dataset:
    """What is in a result."""
    volume = scan(folder / "s") if volume is None else volume
    target = check_label_output(folder / name, volume)
    return pydicom.dcmread(write_label(label(), volume, target, SEGMENTS, **told))


@pytest.mark.parametrize("kind", MADE)
def test_a_segmentation_tells_whether_a_model_or_a_person_made_it(kind: str, tmp_path: Path) -> None:
    result = written(tmp_path, "out.dcm", provenance=MADE[kind])
    (segment,) = result.SegmentSequence
    assert segment.SegmentAlgorithmType == kind
    word = {"AUTOMATIC": "", "SEMIAUTOMATIC": "edited, ", "MANUAL": "manual, "}[kind]
    assert result.SeriesDescription == f"Segmentation, {word}research use only, not for clinical use"
    if kind == "MANUAL":
        assert "SegmentAlgorithmName" not in segment and "SegmentationAlgorithmIdentificationSequence" not in segment
        assert "SemGAN abdomen" not in str(result) and DIGEST not in result.to_json()
        return
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("SemGAN abdomen", "1.2.3")
    assert algorithm.AlgorithmParameters == f"weights_sha256={DIGEST}"


@pytest.mark.parametrize("kind", MADE)
def test_contours_tell_whether_a_model_or_a_person_made_them(kind: str, tmp_path: Path) -> None:
    result = written(tmp_path, "out_rtstruct", provenance=MADE[kind])
    (region,), (observed,) = result.StructureSetROISequence, result.RTROIObservationsSequence
    assert region.ROIGenerationAlgorithm == kind
    assert observed.ROIInterpreter == ("" if kind == "AUTOMATIC" else "Ada Lovelace^") == result.OperatorsName
    if kind == "MANUAL":
        assert "SemGAN abdomen" not in str(result) and DIGEST not in result.to_json()
        return
    (algorithm,) = region.ROIDerivationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("SemGAN abdomen", "1.2.3")
    assert algorithm.AlgorithmParameters == f"weights_sha256={DIGEST}"
    assert result.ApprovalStatus == "UNAPPROVED"


@pytest.mark.parametrize("name", FORMATS)
def test_without_provenance_a_result_says_no_more_than_the_model(name: str, tmp_path: Path) -> None:
    result = written(tmp_path, name)
    assert not result.get("OperatorsName") and not result.get("ContentCreatorName")
    for keyword in (
        "AlgorithmParameters", "RelatedSeriesSequence", "ReferencedImageSequence", "ReferencedInstanceSequence",
        "PredecessorStructureSetSequence", "StudiesContainingOtherReferencedInstancesSequence",
        "CodingSchemeIdentificationSequence", "ROIDerivationAlgorithmIdentificationSequence",
    ):  # fmt: skip
        top_level = [keyword] if keyword in result else []
        assert not [*top_level, *(item for item in result.get("StructureSetROISequence", ()) if keyword in item)]
    assert "AUTOMATIC" in str(result) and "SEMIAUTOMATIC" not in str(result)


NAMES = {
    "Ada Lovelace": "Ada Lovelace^",
    "Lovelace^Ada^^Lady": "Lovelace^Ada^^Lady",
    "山田 太郎": "山田 太郎^",
    "Yamada^Tarou=山田^太郎": "Yamada^Tarou=山田^太郎",
    "Müller": "Müller^",
    "back\\slash\n\x00": "back slash^",
    "x" * 200: "x" * 63 + "^",
    "login\udcff": "login?^",
    "🩻": "🩻^",
    "a^b^c^d^e^f": "a^b^c^d^e f",
    "=": "",
    "^^": "",
    "  ": "",
}


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_whoever_answers_for_a_result_is_named_whatever_the_name_is(name: str, output: str, tmp_path: Path) -> None:
    result = written(tmp_path, output, provenance=Provenance(annotator=name, edited=True))
    assert str(result.get("OperatorsName", "")) == NAMES[name]
    if output == "out.dcm":
        assert str(result.get("ContentCreatorName", "")) == NAMES[name]


@given(name=st.text(max_size=90))
def test_every_name_becomes_a_valid_one(name: str) -> None:
    person = Provenance(annotator=name).person
    validate_value("PN", person, pydicom.config.RAISE)
    assert not person or "^" in person
    assert Provenance(annotator=person).person == person


@pytest.mark.parametrize("earlier", EARLIER)
def test_a_segmentation_names_the_result_that_it_replaces(earlier: str, tmp_path: Path) -> None:
    one = EARLIER[earlier]
    result = written(tmp_path, "out.dcm", provenance=Provenance(replaces=(one,)))
    (related,) = result.RelatedSeriesSequence
    assert (related.StudyInstanceUID, related.SeriesInstanceUID) == (one.study_uid, one.series_uid)
    images = earlier == "segmentation"
    (reference,) = result["ReferencedImageSequence" if images else "ReferencedInstanceSequence"].value
    assert (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID) == one.uids[2:]
    for item in (related, reference):
        (purpose,) = item.PurposeOfReferenceCodeSequence
        assert purpose.CodeMeaning == "Result replaced by this one"
        (scheme,) = result.CodingSchemeIdentificationSequence
        assert purpose.CodingSchemeDesignator == scheme.CodingSchemeDesignator == "99SEMGANREF"
        assert scheme.CodingSchemeResponsibleOrganization == "monai_semgan"
    assert result.ContentDescription == "Replaces earlier result. Research use only, not for clinical use"
    assert len(result.ContentDescription) <= 64


def test_the_scan_stays_the_first_series_that_a_segmentation_refers_to(tmp_path: Path) -> None:
    volume = scan(tmp_path / "s")
    replaces = (*EARLIER.values(), ReplacedResult(STUDY, "1.2.9.1", SEG, "1.2.9.1.7"))
    result = written(tmp_path, "out.dcm", volume, provenance=Provenance(replaces=replaces))
    source, first, second = result.ReferencedSeriesSequence
    assert source.SeriesInstanceUID == "1.2.826.0.1.3680043.8.498.2" and len(source.ReferencedInstanceSequence) == 3
    assert len(result.SourceImageSequence) == 3
    assert [one.ReferencedSOPInstanceUID for one in first.ReferencedInstanceSequence] == ["1.2.9.1.1", "1.2.9.1.7"]
    assert second.SeriesInstanceUID == "1.2.9.2" and len(result.RelatedSeriesSequence) == 3
    (study,) = result.StudiesContainingOtherReferencedInstancesSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedInstanceSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("1.2.8", "1.2.8.3")
    assert instance.ReferencedSOPInstanceUID == "1.2.8.3.1"


def test_contours_name_the_structure_set_that_they_replace(tmp_path: Path) -> None:
    result = written(tmp_path, "out_rtstruct", provenance=Provenance(replaces=tuple(EARLIER.values())))
    (predecessor,) = result.PredecessorStructureSetSequence
    assert (predecessor.ReferencedSOPClassUID, predecessor.ReferencedSOPInstanceUID) == (RTSTRUCT, "1.2.9.2.1")
    assert [one.ReferencedSOPInstanceUID for one in result.ReferencedImageSequence] == ["1.2.9.1.1"]
    assert [one.ReferencedSOPInstanceUID for one in result.ReferencedInstanceSequence] == ["1.2.9.2.1", "1.2.8.3.1"]
    series = [one.SeriesInstanceUID for one in result.ReferencedSeriesSequence]
    assert series == ["1.2.826.0.1.3680043.8.498.2", "1.2.9.1", "1.2.9.2"]
    assert result.StructureSetDescription.startswith("Replaces earlier result.")


@pytest.mark.parametrize("name", FORMATS)
def test_an_earlier_result_is_named_by_uids_as_they_are(name: str, tmp_path: Path) -> None:
    odd = ReplacedResult("1.2.003", "a-b_c", SEG, "1.2." + "3" * 80)
    result = written(tmp_path, name, provenance=Provenance(replaces=(odd,)))
    assert result.ReferencedImageSequence[0].ReferencedSOPInstanceUID == odd.sop_instance_uid


@pytest.mark.parametrize("name", FORMATS)
def test_a_result_can_be_made_again_as_the_same_object(name: str, tmp_path: Path) -> None:
    volume, uids = scan(tmp_path / "s"), ResultUids("1.2.3.4", "1.2.3.4.5")
    once, again = (written(tmp_path / n, name, volume, uids=uids) for n in "ab")
    new = written(tmp_path, name, volume)
    assert (once.SeriesInstanceUID, once.SOPInstanceUID) == ("1.2.3.4", "1.2.3.4.5")
    assert once.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4.5"
    assert new.SOPInstanceUID != once.SOPInstanceUID and new.SeriesInstanceUID != once.SeriesInstanceUID
    if name == "out.dcm":
        tracked = [one.SegmentSequence[0].TrackingUID for one in (once, again, new)]
        assert tracked[0] == tracked[1] != tracked[2]


@pytest.mark.parametrize("uid", ["", "1.02", "1.2.x", "1." * 40 + "1", "1.2\\3"])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    with pytest.raises(SemganError, match="no UID of DICOM; give digits and dots"):
        ResultUids("1.2.3", uid)


def test_a_digest_that_is_none_is_refused() -> None:
    with pytest.raises(SemganError, match="no SHA-256 of a model's weights; give 64 hexadecimal digits"):
        Provenance("abc")


@pytest.mark.parametrize("uid", ["", "1 2", "1\\2", "1.2\n"])
def test_a_replaced_result_without_a_name_is_refused(uid: str) -> None:
    with pytest.raises(SemganError, match="lacks a UID of its study, series, class or instance; take all four"):
        ReplacedResult("1.2", uid, SEG, "1.2.3")


def test_an_edit_that_is_not_known_of_is_no_edit() -> None:
    assert Provenance(annotator="Ada Lovelace").algorithm_type == "AUTOMATIC"
    assert Provenance(edited=False).algorithm_type == "AUTOMATIC"


@needs_dciodvfy
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("annotator", [None, "Ada Lovelace", "山田 太郎"], ids=["nobody", "Latin", "Japanese"])
@pytest.mark.parametrize("replaces", [(), *((one,) for one in EARLIER.values()), tuple(EARLIER.values())])
def test_the_validator_finds_no_error_whatever_a_result_tells(
    replaces: tuple[ReplacedResult, ...], annotator: str | None, name: str, tmp_path: Path
) -> None:
    volume = scan(tmp_path / "s")
    assert volume.source is not None
    for number, (edited, by_model) in enumerate([(None, True), (False, True), (True, True), (None, False)]):
        provenance = Provenance(DIGEST, annotator, edited, by_model, replaces)
        target = check_label_output(tmp_path / str(number) / name, volume)
        path = write_label(label(), volume, target, SEGMENTS, provenance=provenance)
        assert errors_in(path) == set()


@pytest.mark.parametrize("terms", [r"\ISO 2022 IR 87", "ISO_IR 144", "GB18030", ""])
def test_names_of_patient_and_person_are_both_kept(terms: str, tmp_path: Path) -> None:
    raw, patient = NAMES_IN_BYTES[terms]
    volume = scan(tmp_path / "s", {"SpecificCharacterSet": terms.encode(), "PatientName": raw})
    for name in FORMATS:
        result = written(tmp_path, name, volume, provenance=Provenance(annotator="Løve^Ådne 鈴木"))
        assert str(result.PatientName).rstrip("=") == patient.rstrip("=") and result.OperatorsName == "Løve^Ådne 鈴木"


def test_a_result_of_a_multi_frame_file_tells_where_it_comes_from(tmp_path: Path) -> None:
    volume = read_volume(save(enhanced(ARRAY, AFFINE, np.array([2, 0, 1])), tmp_path / "scan.dcm").parent)
    told = Provenance(DIGEST, "Ada Lovelace", True, replaces=tuple(EARLIER.values()))
    result = written(tmp_path / "out", "out.dcm", volume, provenance=told)
    assert result.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC" and len(result.RelatedSeriesSequence) == 3


def test_voxels_are_read_back_whatever_is_told(tmp_path: Path) -> None:
    volume, drawn = test_segments.scan(tmp_path)
    told = Provenance(DIGEST, "Ada Lovelace", True, replaces=tuple(EARLIER.values()))
    path = write_label(drawn, volume, tmp_path / "out.dcm", test_segments.SEGMENTS, provenance=told)
    assert np.array_equal(read_label(path, volume, names=test_segments.NAMES).array, drawn)


def test_a_format_that_cannot_tell_is_written_all_the_same(tmp_path: Path) -> None:
    volume = scan(tmp_path / "s")
    for name in ("out.nii.gz", "out.seg.nrrd"):
        path = write_label(label(), volume, tmp_path / name, SEGMENTS, provenance=MADE["SEMIAUTOMATIC"])
        assert np.array_equal(read_label(path, volume).array, label())


def test_a_format_of_another_package_is_told_if_it_wants_to_be(tmp_path: Path) -> None:
    heard: list[Any] = []

    def write(array: np.ndarray, like: Volume, path: Path, segments: Segments, **told: Any) -> None:
        path.write_text("label")
        heard.append(told)

    volume, uids = scan(tmp_path / "s"), ResultUids("1.2.3", "1.2.3.4")
    register_label_writer(".told", provenance=True)(write)
    register_label_writer(".untold")(write)
    try:
        for name in ("a.told", "a.untold"):
            write_label(label(), volume, tmp_path / name, SEGMENTS, provenance=MADE["MANUAL"], uids=uids)
    finally:
        forget_format(".told", ".untold")
    assert heard == [{"provenance": MADE["MANUAL"], "uids": uids}, {}]
