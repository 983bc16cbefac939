"""A label file is found for the one scan that it is of, and never taken for another."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.data.datalist import Entry, with_names
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.predictions import find_predictions
from tests.data.test_identity import PATHS

LABELS = {1: "liver", 2: "right kidney"}
KITS = ("case_0/imaging.nii.gz", "case_1/imaging.nii.gz")


def entries(*paths: str, patient: str = "") -> list[Entry]:
    root = Path("/data")
    bare = [Entry(root / path, root / f"{path}_label", patient or Path(path).name.split(".")[0]) for path in paths]
    return with_names(bare, root)


def found(folder: Path, listed: list[Entry], *files: str) -> dict[str, str]:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return {name: item.path.name for name, item in find_predictions(folder, listed, LABELS).items()}


@pytest.mark.parametrize(
    ("paths", "patient", "files", "expected"),
    [
        (("ann.nii.gz", "bea.nii.gz"), "", ["ann.nrrd", "bea.seg.nrrd"], {"ann": "ann.nrrd", "bea": "bea.seg.nrrd"}),
        (("a.nii.gz", "b.nii.gz"), "p", ["a.nii.gz", "b.nii.gz"], {"a": "a.nii.gz", "b": "b.nii.gz"}),
        (("a.nii.gz", "b.nii.gz"), "p", ["a.nii.gz"], {"a": "a.nii.gz"}),
        (("a.nii.gz", "b.nii.gz"), "p", ["a.nii.gz", "b.nii.gz", "p.nii.gz"], {"a": "a.nii.gz", "b": "b.nii.gz"}),
        (KITS, "", ["case_0__imaging.nii.gz"], {"case_0__imaging": "case_0__imaging.nii.gz"}),
        (
            ("kits/case_0/imaging.nii.gz", "kits/case_1/imaging.nii.gz", "own/ct.nii.gz"),
            "",
            ["case_0__imaging.nii.gz", "data__kits__case_1__imaging.nii.gz", "own__ct.nii.gz"],
            {
                "kits__case_0__imaging": "case_0__imaging.nii.gz",
                "kits__case_1__imaging": "data__kits__case_1__imaging.nii.gz",
                "ct": "own__ct.nii.gz",
            },
        ),
        (("x/ct.nii.gz",), "", ["x__ct.nii.gz", "ct.nii.gz", "y__ct.nii.gz"], {"ct": "ct.nii.gz"}),
        (("a.nii.gz",), "p", ["p.mhd"], {"a": "p.mhd"}),
        (("scan.1", "b.nii"), "", ["scan.1.nii.gz", "b.dcm"], {"scan.1": "scan.1.nii.gz", "b": "b.dcm"}),
        (("liver_1_0000.nii.gz",), "", ["liver_1.nii.gz"], {"liver_1_0000": "liver_1.nii.gz"}),
        (("a.nii.gz", "p.nii.gz"), "p", ["p.nii.gz"], {"p": "p.nii.gz"}),
        (("a.nii.gz",), "", ["a.nii.gz", "a/liver.nii.gz", "dataset.json"], {"a": "a.nii.gz"}),
        (("a.nii.gz",), "", ["a/liver.nii.gz", "a/kidney_right.nii.gz", "a/overlay.png"], {"a": "a"}),
        (("a/ct.nii.gz",), "a", ["a/segmentations/liver.nii.gz"], {"ct": "a"}),
        (("a.nii.gz", "b.nii.gz"), "", ["b.nii.gz", "a/maps/liver.nii.gz"], {"b": "b.nii.gz"}),
    ],
)
def test_predictions_are_found_by_name_and_otherwise_only_where_that_means_one_scan(
    tmp_path: Path, paths: tuple[str, ...], patient: str, files: list[str], expected: dict[str, str]
) -> None:
    assert found(tmp_path, entries(*paths, patient=patient), *files) == expected


@pytest.mark.parametrize(
    ("paths", "patient", "files", "message"),
    [
        (
            KITS,
            "",
            ["imaging.nii.gz"],
            "imaging.nii.gz: may be of case_0__imaging or of case_1__imaging; call it case_0",
        ),
        (KITS, "", ["imaging.nii.gz", "case_0__imaging.nii.gz"], "may be of case_0__imaging or of case_1__imaging"),
        (("a.nii.gz", "b.nii.gz"), "p", ["p.nii.gz"], "p.nii.gz: may be of a or of b; call it a.nii.gz"),
        (
            ("s/p/ct.nii.gz", "t/p/ct.nii.gz"),
            "q",
            ["p__ct.nii.gz"],
            "may be of s__p__ct or of t__p__ct; call it s__p__ct",
        ),
        (("a.nii.gz",), "", ["a.nii.gz", "a.nrrd"], "a.nii.gz and a.nrrd are both of a"),
        (("a.nii.gz",), "p", ["a.nii.gz", "p.nii.gz"], "a.nii.gz and p.nii.gz are both of a"),
        (("a.nii.gz",), "", ["a/right_kidney.nii", "a/kidney_right.nii"], "are both the right kidney"),
        (("a.nii.gz",), "", ["a.txt", ".a.nii.gz"], "holds no label files"),
    ],
)
def test_what_could_be_of_two_scans_is_refused_with_both_names(
    tmp_path: Path, paths: tuple[str, ...], patient: str, files: list[str], message: str
) -> None:
    with pytest.raises(SemganError, match=message):
        found(tmp_path, entries(*paths, patient=patient), *files)


@given(PATHS, st.sampled_from([".nii.gz", ".nrrd", ".seg.nrrd", ".dcm", ".mha"]), st.integers(0, 3))
def test_a_prediction_under_the_name_of_an_entry_is_found_for_that_entry(
    paths: list[str], ending: str, patients: int
) -> None:
    listed = entries(*paths)
    listed = [
        Entry(e.image, e.label, f"p{number % patients}" if patients else e.patient, name=e.name)
        for number, e in enumerate(listed)
    ]
    with tempfile.TemporaryDirectory() as folder:
        assert found(Path(folder), listed, *(e.name + ending for e in listed)) == {
            e.name: e.name + ending for e in listed
        }
