"""DICOM results say of the patient what the scan says, in whatever character set and however badly it is written."""

from __future__ import annotations

import logging
import shutil
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.character_sets import decode
from monai_semgan.io.dicom.header_values import mend
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import check_label_output, output_notes, write_label
from monai_semgan.organs import Segments
from tests.dicom_phantoms import datasets, enhanced, nuclear, save, write_series
from tests.io.test_segments import errors_in

pytest.importorskip("highdicom")

AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])
SHAPE = (6, 5, 3)
ARRAY = np.arange(90.0).reshape(SHAPE)
SEGMENTS = Segments({1: "liver"}, "SemGAN", "1.0")
FORMATS = ("out.dcm", "out_rtstruct")


def even(value: bytes) -> bytes:
    """A value as it stands in a file."""
    return value + b"\0" if len(value) % 2 else value


def stand_in(keyword: str, value: bytes) -> pydicom.DataElement:
    """An element that the bytes of a value can take the place of in the file."""
    tag = tag_for_keyword(keyword)
    return pydicom.DataElement(tag, "LO", "#" * len(even(value)), validation_mode=pydicom.config.IGNORE)  # type: ignore[arg-type]


def put(file: Path, keyword: str, value: bytes) -> None:
    """Put bytes into a file as no sane program would write them."""
    value, tag = even(value), Tag(tag_for_keyword(keyword))  # type: ignore[arg-type]
    place, size = struct.pack("<HH", tag.group, tag.element), struct.pack("<H", len(value))
    before, after = place + b"LO" + size + b"#" * len(value), place + dictionary_VR(tag).encode() + size + value
    content = file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, after, 1))


def scan(folder: Path, raw: dict[str, bytes] | None = None, **tags: Any) -> Volume:
    """A small series whose headers hold these bytes."""
    slices = datasets(ARRAY, AFFINE, **tags)
    for dataset in slices:
        for keyword, value in (raw or {}).items():
            dataset.add(stand_in(keyword, value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_series(folder, slices)
    for file in folder.iterdir():
        for keyword, value in (raw or {}).items():
            put(file, keyword, value)
    return read_volume(folder)


def label() -> np.ndarray:
    """A few voxels."""
    array = np.zeros(SHAPE, np.uint8)
    array[1:4, 1:4, 1] = 1
    return array


def written(volume: Volume, path: Path) -> Dataset:
    """What is in the result, after the check that is made before a computation."""
    target = check_label_output(path, volume)
    return pydicom.dcmread(write_label(label(), volume, target, SEGMENTS))


JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
NAMES = {
    "": ("ascii", "Phantom^Ichi"),
    "ISO_IR 6": ("ascii", "Phantom^Ichi"),
    "ISO_IR 100": ("latin_1", "Müller^Jürgen"),
    "ISO_IR 101": ("iso8859_2", "Wałęsa^Lech"),
    "ISO_IR 109": ("iso8859_3", "Ĝoja^Ĥoro"),
    "ISO_IR 110": ("iso8859_4", "Bērziņš^Jānis"),
    "ISO_IR 126": ("iso8859_7", "Διονυσιος"),
    "ISO_IR 127": ("iso8859_6", "قباني^لنزار"),
    "ISO_IR 138": ("iso8859_8", "שרון^דבורה"),
    "ISO_IR 144": ("iso8859_5", "Люкceмбypг"),
    "ISO_IR 148": ("iso8859_9", "Çavuşoğlu^Ali"),
    "ISO_IR 166": ("iso8859_11", "นามสกุล^ชื่อ"),
    "ISO_IR 203": ("iso8859_15", "Œuvre^Šime"),
    "ISO_IR 13": ("shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "ISO_IR 192": ("utf_8", "Wang^XiaoDong=王^小东="),
    "GB18030": ("gb18030", "Wang^XiaoDong=王^小东="),
    "GBK": ("gb18030", "Zhang^Ping=張^乗誠="),
}

ESCAPED = {
    r"\ISO 2022 IR 6": (b"Phantom^Ichi", "Phantom^Ichi"),
    r"\ISO 2022 IR 87": (
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        JAPANESE,
    ),
    r"ISO 2022 IR 13\ISO 2022 IR 87": (
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    r"\ISO 2022 IR 159": (b"Uso^\x1b$(D0!\x1b(B", "Uso^丂"),
    r"\ISO 2022 IR 149": (
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    r"\ISO 2022 IR 58": (b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东="),
    r"ISO 2022 IR 100\ISO 2022 IR 144": (b"M\xfcller^\x1b-L\xbb\xee\xda", "Müller^Люк"),
    r"\ISO 2022 IR 100": (b"Phantom^\x1b-AJ\xfcrgen", "Phantom^Jürgen"),
    r"\ISO 2022 IR 101": (b"Wa\x1b-B\xb3\xeasa^Lech", "Wałęsa^Lech"),
    r"\ISO 2022 IR 109": (b"\x1b-C\xd8oja", "Ĝoja"),
    r"\ISO 2022 IR 110": (b"B\x1b-D\xbarzi\xf1\xb9", "Bērziņš"),
    r"\ISO 2022 IR 126": (b"Ph^\x1b-F\xc4\xe9\xef", "Ph^Διο"),
    r"\ISO 2022 IR 127": (b"Ph^\x1b-G\xe2\xc8\xc7", "Ph^قبا"),
    r"\ISO 2022 IR 138": (b"Ph^\x1b-H\xf9\xf8\xe5\xef", "Ph^שרון"),
    r"\ISO 2022 IR 148": (b"\x1b-M\xc7avu\xfeo\xf0lu", "Çavuşoğlu"),
    r"\ISO 2022 IR 166": (b"Ph^\x1b-T\xb9\xd2\xc1", "Ph^นาม"),
    r"\ISO 2022 IR 203": (b"\x1b-b\xbcuvre", "Œuvre"),
    r"\ISO 2022 IR 13": (b"\x1b)I\xd4\xcf\xc0\xde^Tarou", "ﾔﾏﾀﾞ^Tarou"),
}
"""Code extensions; the long ones are examples of the standard (PS3.5 annexes H, I, K)."""

NAMES_IN_BYTES = {term: (text.encode(codec), text) for term, (codec, text) in NAMES.items()} | ESCAPED


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("terms", NAMES_IN_BYTES)
def test_a_patient_keeps_the_name_in_every_character_set(terms: str, output: str, tmp_path: Path) -> None:
    raw, name = NAMES_IN_BYTES[terms]
    tags = {"SpecificCharacterSet": terms.encode(), "PatientName": raw, "StudyDescription": raw.split(b"^")[0]}
    volume = scan(tmp_path / "s", tags)
    result = written(volume, tmp_path / output)
    assert str(result.PatientName).rstrip("=") == name.rstrip("=")
    assert result.StudyDescription == name.split("^")[0]
    assert result.SpecificCharacterSet in ("ISO_IR 100", "ISO_IR 192")
    assert output_notes(Path("a.dcm"), volume) == ()


@pytest.mark.parametrize("name", ["春美^歯子", "十^出", "表^春"])
def test_halves_of_characters_are_no_separators(name: str, tmp_path: Path) -> None:
    family, given_name = name.split("^")
    raw = family.encode("iso2022_jp") + b"^" + given_name.encode("iso2022_jp")
    assert set(raw.replace(b"^\x1b", b"")) & set(b"=^\\")
    volume = scan(tmp_path / "s", {"SpecificCharacterSet": rb"\ISO 2022 IR 87", "PatientName": raw})
    assert str(written(volume, tmp_path / "o.dcm").PatientName) == name
    assert decode("乗\\誠".encode("gbk"), ["GBK"])[0] == "乗\\誠"


@pytest.mark.parametrize(
    "terms", ["ISO-IR 100", "ISO IR 100", "ISO_IR_100", "iso_ir 100", "ISO_IR100", "ISO 2022 IR 100", "ISO_IR 100 "]
)
def test_misspelt_character_sets_are_understood(terms: str) -> None:
    assert decode(b"J\xfcrgen", [terms]) == ("Jürgen", True)


@pytest.mark.parametrize("terms", ["ISO_IR 6", "ISO_IR 192", "GB18030", "nonsense", ""])
def test_text_in_another_character_set_than_declared_is_read_as_what_it_can_be(terms: str, tmp_path: Path) -> None:
    volume = scan(tmp_path / "s", {"SpecificCharacterSet": terms.encode(), "PatientName": b"J\xfcrgen^M\xe4x"})
    result = written(volume, tmp_path / "o.dcm")
    assert "�" not in str(result.PatientName) and "?" not in str(result.PatientName)
    if terms != "GB18030":  # where these bytes are characters
        assert str(result.PatientName) == "Jürgen^Mäx"
        assert "PatientName read in another character set" in " ".join(output_notes(Path("a.dcm"), volume))
    assert decode("Jürgen".encode(), [""]) == ("Jürgen", False)


MENDED = [
    ("PatientBirthDate", b"1981/03/02", "19810302"),
    ("PatientBirthDate", b"1981.03.02", "19810302"),
    ("PatientBirthDate", b"1981-3-2", "19810302"),
    ("PatientBirthDate", b"1981-03-02T10:11:12", "19810302"),
    ("PatientBirthDate", b"13.02.1981", "19810213"),
    ("PatientBirthDate", b"02/13/1981", "19810213"),
    ("PatientBirthDate", b"02/03/1981", ""),
    ("PatientBirthDate", b"19810230", ""),
    ("PatientBirthDate", b"00000000", ""),
    ("PatientBirthDate", b"1981", ""),
    ("StudyDate", b"2020.01.02", "20200102"),
    ("StudyTime", b"10:11:12", "101112"),
    ("StudyTime", b"10:11:12.1234567", "101112.123456"),
    ("StudyTime", b"10:11 PM", "2211"),
    ("StudyTime", b"25:00:00", ""),
    ("PatientSex", b"Female", "F"),
    ("PatientSex", b"male", "M"),
    ("PatientSex", b"W", "F"),
    ("PatientSex", b"unknown", ""),
    ("PatientAge", b"45Y", "045Y"),
    ("PatientAge", b"45", ""),
    ("PatientWeight", b"70,5", "70.5"),
    ("PatientWeight", b"70 kg", ""),
    ("PatientWeight", b"nan", ""),
    ("PatientID", b"x" * 65, ""),
    ("PatientID", rb"a\b", ""),
    ("AccessionNumber", b"1234567890.1234567890", ""),
    ("StudyID", b"a\nb", ""),
    ("StudyID", b"7\r\n", "7"),
    ("StudyDescription", b"d" * 80, "d" * 64),
    ("StudyDescription", rb"Abdomen\Pelvis", "Abdomen Pelvis"),
    ("PatientName", b"A^B^C^D^E^F", "A^B^C^D^E F"),
    ("PatientName", b"Bono", "Bono"),
    ("ReferringPhysicianName", b"x" * 70, "x" * 64),
    ("PatientComments", b"two\nlines\x07 \\ and", "two\nlines \\ and"),
]


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize(("keyword", "raw", "value"), MENDED, ids=[f"{k}-{r[:21]!r}" for k, r, _ in MENDED])
def test_values_that_are_not_valid_are_mended_or_left_blank(
    keyword: str, raw: bytes, value: str, output: str, tmp_path: Path
) -> None:
    volume = scan(tmp_path / "s", {keyword: raw})
    result = written(volume, tmp_path / output)
    if keyword in result:
        assert str(result[keyword].value if result[keyword].value is not None else "") == value
    notes = " ".join(output_notes(Path("o.dcm"), volume))
    assert (keyword in notes) == (value != raw.decode()) and ("left blank" in notes) == (value == "")
    assert raw.decode() not in notes


def test_identifiers_inside_sequences_are_mended_too(tmp_path: Path) -> None:
    item = Dataset()
    item.add(pydicom.DataElement(0x00100020, "LO", "y" * 65, validation_mode=pydicom.config.IGNORE))
    item.TypeOfPatientID = "TEXT"
    other, name = Dataset(), "№ 5".encode()
    other.add(stand_in("PatientID", name))
    slices = datasets(ARRAY, AFFINE, SpecificCharacterSet="ISO_IR 192", OtherPatientIDsSequence=[item, other])
    for file in write_series(tmp_path / "s", slices).iterdir():
        put(file, "PatientID", name)
    volume = read_volume(tmp_path / "s")
    result = written(volume, tmp_path / "o.dcm")
    assert [str(one.PatientID) for one in result.OtherPatientIDsSequence] == ["", "№ 5"]
    assert result.OtherPatientIDsSequence[0].TypeOfPatientID == "TEXT"


@pytest.mark.parametrize("output", FORMATS)
def test_odd_names_of_organs_and_models_are_written(output: str, tmp_path: Path) -> None:
    volume = scan(tmp_path / "s")
    names = Segments({1: "肝臓 " + "x" * 80}, "모델\\" + "y" * 80, "v\n" * 50)
    result = pydicom.dcmread(write_label(label(), volume, tmp_path / output, names))
    stored = result.SegmentSequence[0].SegmentLabel if "dcm" in output else result.StructureSetROISequence[0].ROIName
    assert stored.startswith("肝臓 xxx") and len(stored) == 64 and result.ManufacturerModelName.startswith("모델")


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("uid", ["1.2.003.4", "1.2." + "3" * 80, "a-b_c", "1.2.840.10008.1.2 "])
def test_a_result_refers_to_its_scan_by_uids_as_they_are(uid: str, output: str, tmp_path: Path) -> None:
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    volume = scan(tmp_path / "s", dict.fromkeys(keywords, uid.encode()))
    result = written(volume, tmp_path / output)
    assert result.StudyInstanceUID == uid.strip() == result.FrameOfReferenceUID
    series = (
        result.ReferencedSeriesSequence[0]
        if "dcm" in output
        else result.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    )
    assert series.SeriesInstanceUID == uid.strip()
    assert ("UIDs" in " ".join(output_notes(Path("o.dcm"), volume))) == (not pydicom.uid.UID(uid.strip()).is_valid)


@pytest.mark.parametrize(
    ("terms", "codec", "escape"),
    [(rb"\ISO 2022 IR 87", "iso2022_jp", b""), (rb"\ISO 2022 IR 58", "gb2312", b"\x1b$)A"), (b"GBK", "gbk", b"")],
)
def test_organs_are_found_by_names_in_every_character_set(
    terms: bytes, codec: str, escape: bytes, tmp_path: Path
) -> None:
    volume, name = scan(tmp_path / "s"), "春肝"
    path = write_label(label(), volume, tmp_path / "o.dcm", SEGMENTS)
    dataset, raw = pydicom.dcmread(path), escape + name.encode(codec)
    dataset.add(stand_in("SpecificCharacterSet", terms))
    dataset.SegmentSequence[0].add(stand_in("SegmentLabel", raw))
    del dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, implicit_vr=False)
    put(path, "SpecificCharacterSet", terms)
    put(path, "SegmentLabel", raw)
    assert np.array_equal(read_label(path, volume, names={1: name}).array, label())


def test_an_image_of_an_unknown_class_can_be_segmented(tmp_path: Path) -> None:
    private = "1.3.46.670589.11.0.0.12.1"
    volume = scan(tmp_path / "s", SOPClassUID=private)
    result = written(volume, tmp_path / "o.dcm")
    frame = result.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert frame.ReferencedSOPClassUID == private == result.SourceImageSequence[0].ReferencedSOPClassUID
    assert volume.source is not None and frame.ReferencedSOPInstanceUID == volume.source.frames[1].uid


def test_slices_of_one_uid_are_referred_to_once_and_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    volume = scan(tmp_path / "s")
    for file in (tmp_path / "s").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.SOPInstanceUID = "1.2.3"
        dataset.save_as(file)
    result = written(volume, tmp_path / "o.dcm")
    assert [item.ReferencedSOPInstanceUID for item in result.SourceImageSequence] == ["1.2.3"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("thickness", [None, b"0", b"", b"-3"])
def test_a_scan_without_thickness_of_slices_can_be_segmented(thickness: bytes | None, tmp_path: Path) -> None:
    slices = datasets(ARRAY, AFFINE)
    for dataset in slices:
        dataset.SliceThickness = thickness.decode() if thickness else None
        if thickness is None:
            del dataset.SliceThickness
    volume = read_volume(write_series(tmp_path / "s", slices))
    shared = written(volume, tmp_path / "o.dcm").SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(shared.SpacingBetweenSlices) == 3.0 == float(shared.SliceThickness)  # without one it is not valid
    if shutil.which("dciodvfy"):
        assert errors_in(tmp_path / "o.dcm") == set()


@pytest.mark.parametrize("kind", ["enhanced", "nuclear"])
def test_frames_of_one_file_are_referred_to_by_their_numbers(kind: str, tmp_path: Path) -> None:

    order = np.array([2, 0, 1])
    dataset = enhanced(ARRAY, AFFINE, order) if kind == "enhanced" else nuclear(ARRAY, AFFINE)
    volume = read_volume(save(dataset, tmp_path / "scan.dcm").parent)
    result = written(volume, tmp_path / "out" / "o.dcm")
    frame = result.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert volume.source is not None
    assert frame.ReferencedFrameNumber == volume.source.frames[1].index + 1
    assert frame.ReferencedSOPClassUID == dataset.SOPClassUID


@pytest.mark.parametrize("keyword", ["SeriesNumber", "SliceThickness", "AcquisitionDateTime", "SoftwareVersions"])
def test_numbers_of_the_scanner_may_be_nonsense(keyword: str, tmp_path: Path) -> None:
    raw = {"SliceThickness": b"3"}.get(keyword, b"4 or 5, who knows" * 5)
    result = written(scan(tmp_path / "s", {keyword: raw}), tmp_path / "o.dcm")
    assert result.SeriesNumber >= 1


WORDS = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=70).map(str.encode),
    st.sampled_from([raw for _, raw, _ in MENDED] + [raw for raw, _ in NAMES_IN_BYTES.values()]),
)
KEYWORDS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight", "PatientSize",
    "IssuerOfPatientID", "OtherPatientNames", "PatientBirthTime", "EthnicGroup", "PatientComments", "SmokingStatus",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription", "ReferringPhysicianName",
    "AdmissionID", "SeriesNumber", "Manufacturer", "SoftwareVersions", "InstitutionName", "DeviceSerialNumber",
    "AcquisitionDateTime", "SeriesDescription", "LossyImageCompression",
)  # fmt: skip
PADDED = st.binary(max_size=20).filter(lambda raw: b"\0" not in raw.rstrip(b"\0 "))  # NUL within: refused as damaged
TERMS = st.one_of(st.sampled_from([terms.encode() for terms in NAMES_IN_BYTES]), PADDED)


@settings(max_examples=60, deadline=None)
@given(values=st.dictionaries(st.sampled_from(KEYWORDS), WORDS, max_size=8), terms=TERMS)
def test_whatever_a_header_holds_the_result_is_written_and_read(
    values: dict[str, bytes], terms: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import highdicom

    folder = tmp_path_factory.mktemp("any")
    volume = scan(folder / "s", {**values, "SpecificCharacterSet": terms})
    for output in FORMATS:
        result = written(volume, folder / output)
        for keyword in KEYWORDS:
            assert "?" not in str(result.get(keyword, "")) or b"?" in values.get(keyword, b"?")
        with pytest.MonkeyPatch.context() as patch:  # the strictest reading there is
            patch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
            target = folder / output if output.endswith(".dcm") else folder / output / "RTSTRUCT.dcm"
            str(pydicom.dcmread(target))
    read = highdicom.seg.segread(folder / "out.dcm")
    assert read.get_volume().array.sum() == label().sum()


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=90),
    vr=st.sampled_from(
        ["PN", "LO", "SH", "CS", "DA", "TM", "DT", "AS", "DS", "IS", "UI", "ST", "LT", "UT", "UC", "UR"]
    ),
)
def test_what_is_mended_is_valid_and_stays_so(text: str, vr: str) -> None:
    from pydicom.valuerep import validate_value

    values = mend("SomeKeyword", vr, text)
    assert mend("SomeKeyword", vr, "\\".join(values)) == values
    for value in values:
        validate_value(vr, value, pydicom.config.RAISE)


def test_a_result_that_cannot_be_written_after_all_is_kept_as_nifti(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nibabel

    volume = scan(tmp_path / "s")
    for output in FORMATS:
        monkeypatch.setattr(Dataset, "save_as", lambda *_, **__: [][1])
        with pytest.raises(SemganError, match=r"could not be written \(IndexError\); the label was kept as .*nii.gz"):
            write_label(label(), volume, tmp_path / output, SEGMENTS)
    kept = tmp_path / "out.dcm.nii.gz", tmp_path / "out_rtstruct" / "RTSTRUCT.dcm.nii.gz"
    for path in kept:
        assert np.array_equal(np.asarray(nibabel.load(path).dataobj), label())  # type: ignore[attr-defined]
    with pytest.raises(SemganError, match="no organ was found.*the label was kept as"):
        write_label(0 * label(), volume, tmp_path / "none.dcm", SEGMENTS)


def test_what_highdicom_refuses_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import highdicom

    volume = scan(tmp_path / "s")
    monkeypatch.setattr(highdicom.seg, "Segmentation", lambda **_: 1 / 0)
    with pytest.raises(SemganError, match=r"highdicom cannot make .* \(ZeroDivisionError\); use .seg.nrrd"):
        check_label_output(tmp_path / "o.dcm", volume)


def test_no_name_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture) -> None:
    volume = scan(tmp_path / "s", {"PatientName": b"Secret"})
    with caplog.at_level(logging.DEBUG):
        written(volume, tmp_path / "o.dcm")
    assert "ecret" not in caplog.text and capfd.readouterr() == ("", "")


def test_series_of_one_scan_that_differ_in_their_uids_are_all_referred_to(tmp_path: Path) -> None:
    slices = datasets(ARRAY, AFFINE)
    volume = read_volume(write_series(tmp_path / "s", slices))
    for file in (tmp_path / "s").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.SeriesInstanceUID = generate_uid()
        dataset.save_as(file)
    result = written(volume, tmp_path / "o.dcm")
    assert len({item.SeriesInstanceUID for item in result.ReferencedSeriesSequence}) == len(slices)
