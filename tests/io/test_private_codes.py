"""Structures of a private coding scheme: results say whose codes they are, and round trips keep what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from monai_semgan.bundle.own_structures import SECTION, describe, make_known
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label
from monai_semgan.organs import Segments, find_organ, forget_structure
from tests.dicom_phantoms import datasets, write_series
from tests.io.test_segments import errors_in, needs_dciodvfy

COLOURS = {"left odd duct": (9, 200, 90), "odd lump": (90, 160, 220)}
SEGMENTS = Segments({1: "liver", 2: "left odd duct", 3: "odd lump"}, "SemGAN abdomen", "1.2.3")
SCHEME = "CodingSchemeIdentificationSequence"


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    """The structures, as a bundle makes them known."""
    pytest.importorskip("highdicom")
    make_known({SECTION: [describe(name, colour) for name, colour in COLOURS.items()]})
    yield
    for name in ("odd duct", "odd lump"):
        forget_structure(name)


def scan(folder: Path, **tags: object) -> Volume:
    array = np.random.default_rng(0).integers(-900, 900, (14, 12, 5)).astype(float)
    return read_volume(write_series(folder, datasets(array, np.diag([-0.8, -0.8, 2.5, 1.0]), **tags)))


def label(volume: Volume) -> np.ndarray:
    found = np.zeros(volume.array.shape, np.uint8)
    found[1:6, 1:6, 1:3], found[7:12, 1:6, 1:4], found[2:9, 7:11, 2:5] = 1, 2, 3
    return found


def item(designator: str, organisation: str) -> Dataset:
    found = Dataset()
    found.CodingSchemeDesignator, found.CodingSchemeResponsibleOrganization = designator, organisation
    return found


def code(scheme: str) -> Dataset:
    found = Dataset()
    found.CodeValue, found.CodingSchemeDesignator, found.CodeMeaning = "7", scheme, "Look"
    return found


@pytest.mark.parametrize("name", ["out.dcm", "out_rtstruct"])
def test_a_result_says_whose_the_private_codes_are(name: str, tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    written = pydicom.dcmread(write_label(label(volume), volume, tmp_path / name, SEGMENTS))
    (scheme,) = written[SCHEME].value
    assert scheme.CodingSchemeDesignator == "99SEMGAN" and scheme.CodingSchemeResponsibleOrganization == "monai_semgan"
    assert "monai_semgan" in scheme.CodingSchemeName and "CodingSchemeUID" not in scheme


@pytest.mark.parametrize("name", ["out.dcm", "out_rtstruct"])
def test_without_private_codes_there_is_nothing_to_say(name: str, tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    written = pydicom.dcmread(write_label(label(volume), volume, tmp_path / name, Segments({1: "liver"})))
    assert SCHEME not in written


def test_private_codes_of_the_hospital_go_on_with_what_the_scan_tells_of_them(tmp_path: Path) -> None:
    told = [item("99WARD", "St Odd"), item("99OTHER", "nobody here"), item("99SEMGAN", "somebody else")]
    volume = scan(tmp_path / "scan", ProcedureCodeSequence=[code("99WARD")], **{SCHEME: told})
    written = pydicom.dcmread(write_label(label(volume), volume, tmp_path / "out.dcm", SEGMENTS))
    assert written.ProcedureCodeSequence[0].CodingSchemeDesignator == "99WARD"
    schemes = {one.CodingSchemeDesignator: one.CodingSchemeResponsibleOrganization for one in written[SCHEME].value}
    assert schemes == {"99WARD": "St Odd", "99SEMGAN": "monai_semgan"}


def test_a_structure_set_names_its_structures_by_code(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    written = pydicom.dcmread(write_label(label(volume), volume, tmp_path / "out_rtstruct", SEGMENTS))
    for observed, name in zip(written.RTROIObservationsSequence, SEGMENTS.names.values(), strict=True):
        (kind,), organ = observed.RTROIIdentificationCodeSequence, find_organ(name)
        assert (kind.CodeValue, kind.CodingSchemeDesignator) == (organ.kind.value, organ.kind.scheme)
        assert observed.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning == "Anatomical Structure"
        sides = [side.CodeMeaning for side in kind.get("SegmentedPropertyTypeModifierCodeSequence", [])]
        assert sides == (["Left"] if name == "left odd duct" else [])


@needs_dciodvfy
@pytest.mark.parametrize("name", ["out.dcm", "out_rtstruct"])
def test_the_validator_finds_no_error_in_private_codes(name: str, tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    path = write_label(label(volume), volume, tmp_path / name, SEGMENTS)
    assert volume.source is not None
    assert errors_in(path) <= errors_in(volume.source.files[0].path)


def test_highdicom_reads_names_codes_sides_and_colours(tmp_path: Path) -> None:
    import highdicom

    volume = scan(tmp_path / "scan")
    read = highdicom.seg.segread(write_label(label(volume), volume, tmp_path / "out.dcm", SEGMENTS))
    for number, (index, name) in enumerate(SEGMENTS.names.items(), start=1):
        described, organ = read.get_segment_description(number), find_organ(name, index)
        kind = described.segmented_property_type
        assert described.segment_label == name
        assert (kind.value, kind.scheme_designator, kind.meaning) == (
            organ.kind.value,
            organ.kind.scheme,
            organ.kind.meaning,
        )
        colour = highdicom.color.CIELabColor.from_dicom_value(described.RecommendedDisplayCIELabValue).to_rgb(clip=True)
        assert np.abs(np.subtract(colour, organ.colour)).max() <= 1
        assert organ.colour == COLOURS.get(name, organ.colour)
    (side,) = read.get_segment_description(2).segmented_property_type.SegmentedPropertyTypeModifierCodeSequence
    assert side.CodeMeaning == "Left"


def test_segments_are_described_alike_after_the_way_through_nifti(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    first = write_label(label(volume), volume, tmp_path / "first.dcm", SEGMENTS)
    back = read_label(first, volume, names=SEGMENTS.names)
    plain = read_label(write_label(back.array, volume, tmp_path / "label.nii.gz", SEGMENTS), volume)
    assert np.array_equal(plain.array, label(volume))
    second = write_label(plain.array, volume, tmp_path / "second.dcm", SEGMENTS)
    assert described(first) == described(second)
    assert [one["SegmentLabel"] for one in described(second)] == list(SEGMENTS.names.values())


def test_a_renamed_segment_is_still_found_by_its_private_code(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan")
    path = write_label(label(volume), volume, tmp_path / "out.dcm", SEGMENTS)
    dataset = pydicom.dcmread(path)
    for number, segment in enumerate(dataset.SegmentSequence):
        segment.SegmentLabel = f"Segment_{number}"
    dataset.save_as(path)
    assert np.array_equal(read_label(path, volume, names=SEGMENTS.names).array, label(volume))


def described(path: Path) -> list[dict[str, object]]:
    """What a segmentation says of its segments, but for names that are new in every file."""
    segments = pydicom.dcmread(path).SegmentSequence
    return [{one.keyword: str(one.value) for one in segment if one.keyword != "TrackingUID"} for segment in segments]
