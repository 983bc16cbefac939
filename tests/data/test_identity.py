"""Every scan of a list has a name of its own, which is safe as a file name and always the same."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.data.datalist import Entry, with_names
from monai_semgan.data.identity import LONGEST, name_key, patient_names, scan_names
from monai_semgan.errors import SemganError

WORDS = st.one_of(
    st.sampled_from(
        [
            "ct",
            "CT",
            ".ct",
            "ct.seg",
            "a",
            "a__ct",
            "b",
            "imaging",
            "stra\u00dfe",
            "STRASSE",
            "caf\u00e9",
            "cafe\u0301",
            "x" * 250,
        ]
    ),
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=8).filter(
        lambda word: word not in (".", "..")
    ),
)
ENDINGS = st.sampled_from(["", ".nii", ".nii.gz", ".nrrd", ".mha", ".NII.GZ", ".zip"])
FILES = st.tuples(st.lists(WORDS, max_size=3), WORDS, ENDINGS)
PATHS = st.lists(FILES.map(lambda f: "/".join([*f[0], f[1] + f[2]])), min_size=1, max_size=12, unique=True)


def named(root: Path, *names: str) -> list[str]:
    return list(scan_names([root / name for name in names], root))


def test_a_scan_is_called_as_its_file_where_that_is_enough(tmp_path: Path) -> None:
    assert named(tmp_path, "a/ct1.nii.gz", "ct2.nrrd", "b.c/MR.seg.mha") == ["ct1", "ct2", "MR_seg"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["case_0/imaging.nii.gz", "case_1/imaging.nii.gz"], ["case_0__imaging", "case_1__imaging"]),
        (["a/CT.nii.gz", "b/ct.nii.gz", "b/mr.nii.gz"], ["a__CT", "b__ct", "mr"]),
        (["ct.nii", "ct.nii.gz", "ct.nrrd"], ["ct_nii", "ct_nii_gz", "ct_nrrd"]),
        (["x/ct.nii", "y/ct.nii", "x__ct.nii"], ["x__ct_nii", "y__ct", "x__ct"]),
        (["caf\u00e9.nii", "t/cafe\u0301.nii"], ["caf\u00e9", "t__cafe\u0301"]),
    ],
)
def test_names_that_are_alike_are_told_apart_by_folders_and_endings(
    paths: list[str], names: list[str], tmp_path: Path
) -> None:
    assert named(tmp_path, *paths) == names


def test_the_name_does_not_tell_how_the_folder_was_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    expected = ["a__ct", "b__ct"]
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / "real", tmp_path / "link", Path("real"), Path("link"), tmp_path / "x" / ".." / "real"):
        assert named(root, "a/ct.nii", "b/ct.nii") == expected
    assert list(scan_names([tmp_path / "real/a/ct.nii", tmp_path / "real/b/ct.nii"], tmp_path / "link")) == expected


def test_one_path_twice_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="a/ct.nii: is given twice"):
        named(tmp_path, "a/ct.nii", "b/ct.nii", "b/../a/ct.nii")


def test_entries_made_by_hand_get_names_and_those_of_a_list_keep_theirs(tmp_path: Path) -> None:
    bare = [Entry(tmp_path / name / "ct.nii", patient="p") for name in "ab"]
    assert [entry.name for entry in with_names(bare)] == ["a__ct", "b__ct"]
    of_list = [Entry(tmp_path / "a/ct.nii", name="one"), Entry(tmp_path / "b/ct.nii", name="two")]
    assert with_names(of_list) == of_list
    of_two_lists = [replace(entry, name="ct") for entry in bare]
    assert [entry.name for entry in with_names(of_two_lists)] == ["a__ct", "b__ct"]
    assert with_names([]) == []


@given(PATHS)
def test_any_scans_get_names_that_are_unique_safe_and_stable(paths: list[str]) -> None:
    root = Path("/nowhere")
    names = named(root, *paths)
    assert len({name_key(name) for name in names}) == len(paths)
    for name in names:
        assert not any(ord(c) < 32 for c in name)
        assert 0 < len(name.encode()) <= LONGEST and os.sep not in name and not name.startswith(".")
    assert named(root, *paths[::-1]) == names[::-1]
    assert named(Path("/else/where"), *paths) == names


@pytest.mark.parametrize(
    ("scans", "patients"),
    [
        (["a.nii.gz", "b.nii.gz"], ["a", "b"]),
        (["x/imaging.nii.gz"], ["imaging"]),
        (["case_0/imaging.nii.gz", "case_1/imaging.nii.gz"], ["case_0", "case_1"]),
        (["s0/ct.nii.gz", "s1/CT.nii.gz", "own/a.nrrd", "own/b.nrrd"], ["s0", "s1", "a", "b"]),
        (["MR/1/T1/DICOM/InPhase", "MR/1/T2/DICOM", "MR/2/T1/DICOM/InPhase", "MR/2/T2/DICOM"], ["1", "1", "2", "2"]),
        (["a/p1/ct.nii", "b/p1/ct.nii", "b/p2/ct.nii"], ["p1", "p1", "p2"]),
        (["train/p1.nii", "val/p1.nii"], ["p1", "p1"]),
        (["imagesTr/p1.nii", "imagesTr/p2.nii", "imagesTs/p1.nii"], ["p1", "p2", "p1"]),
        (["T1/p1.nii", "T1/p2.nii", "T2/p1.nii", "T2/p2.nii"], ["p1", "p2", "p1", "p2"]),
    ],
)
def test_scans_of_one_name_alone_in_their_folders_are_of_the_patients_that_the_folders_name(
    tmp_path: Path, scans: list[str], patients: list[str]
) -> None:
    assert list(patient_names([tmp_path / scan for scan in scans])) == patients


@given(PATHS)
def test_every_scan_has_a_patient_who_is_in_its_path(paths: list[str]) -> None:
    root = Path("/data")
    for path, patient in zip(paths, patient_names([root / path for path in paths]), strict=True):
        assert any(part == patient or part.startswith(patient) for part in (root / path).parts)
