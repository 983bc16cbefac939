"""Scans behind links: left out, refused, or taken on request; links in a circle end."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.cli import main
from monai_semgan.cohort.cases import find_cases
from monai_semgan.cohort.cohort_settings import CohortSettings
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_files import following_links
from monai_semgan.io.reading import read_volume
from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import grid, patient, save_nifti

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder of links into an archive: a file, a folder, a series, a series of linked files, and a circle."""
    affine, shape = grid((12.0, 12.0, 16.0))
    array = np.round(patient(affine, shape, seed=0).array)
    store, data = tmp_path / "store", tmp_path / "data"
    for folder in (store / "sub", data / "linked"):
        folder.mkdir(parents=True)
    save_nifti(store / "f83a.nii.gz", array, affine)
    save_nifti(store / "sub" / "deep.nii.gz", array, affine)
    save_nifti(data / "plain.nii.gz", array, affine)
    write_series(store / "series", datasets(array, affine))
    (data / "file.nii.gz").symlink_to(store / "f83a.nii.gz")
    (data / "folder").symlink_to(store / "sub")
    (data / "series").symlink_to(store / "series")
    for file in (store / "series").iterdir():
        (data / "linked" / file.name).symlink_to(file)
    (data / "circle").symlink_to(data)
    (store / "sub" / "back").symlink_to(data)
    return data


def test_without_the_option_links_are_told_and_not_taken(archive: Path, tmp_path: Path) -> None:
    found = find_cases(archive, tmp_path / "out")
    assert {case.name: bool(case.problem) for case in found.cases} == {"file": True, "plain": False}
    assert "--follow-links" in next(case.problem for case in found.cases if case.problem)
    assert {path.parent.name + "/" + path.name for path in found.unfollowed} >= {
        "data/circle", "data/folder", "data/series",
    }  # fmt: skip
    assert any(path.parent.name == "linked" for path in found.unfollowed)


def test_with_it_all_are_taken_under_the_names_of_their_links(archive: Path, tmp_path: Path) -> None:
    found = find_cases(archive, tmp_path / "out", follow_links=True)
    assert {case.name: case.path.relative_to(archive).as_posix() for case in found.cases} == {
        "deep": "folder/deep.nii.gz", "file": "file.nii.gz", "linked": "linked", "plain": "plain.nii.gz",
        "series": "series",
    }  # fmt: skip
    assert not any(case.problem for case in found.cases) and not found.unfollowed


def test_a_series_of_linked_files_is_read_on_request_only(archive: Path) -> None:
    with pytest.raises(SemganError, match="link that leaves the folder"):
        read_volume(archive / "linked")
    with following_links():
        linked = read_volume(archive / "linked")
    assert np.array_equal(linked.array, read_volume(archive / "series").array)
    with pytest.raises(SemganError, match="link that leaves the folder"):
        read_volume(archive / "linked")


def test_the_command_takes_them_and_keeps_what_is_finished(
    archive: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["segment", str(archive), "-o", str(tmp_path / "out"), "--bundle", str(tiny_bundle), "--device", "cpu"]
    assert main(command) == 3
    assert "--follow-links takes them" in capsys.readouterr().err
    assert main([*command, "--follow-links"]) == 0
    assert "5 scans, 1 finished before" in capsys.readouterr().out
    with open(tmp_path / "out" / "cohort.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == ["done"] * 5
    assert len({row["liver ml"] for row in rows}) == 1, "they are one scan"
    one = ["segment", str(archive / "linked"), "-o", str(tmp_path / "one.nii.gz"), "--bundle", str(tiny_bundle)]
    assert main([*one, "--device", "cpu"]) == 2
    assert main([*one, "--device", "cpu", "--follow-links"]) == 0


def test_following_links_changes_no_result() -> None:
    assert CohortSettings(follow_links=True).key() == CohortSettings().key()


LINKS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


@settings(max_examples=30, deadline=None)
@given(links=LINKS)
def test_any_circle_of_links_ends_and_every_scan_is_found_once(
    links: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("circle")
    folders = [home / name for name in ("data", "data/a", "data/a/b", "data/c", "store", "store/e", "store/e/f")]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / f"scan{number}.nii").touch()
    without = {case.name: case.path for case in find_cases(home / "data", home / "out").cases}
    for number, (start, end) in enumerate(links):
        (folders[start] / f"0link{number}").symlink_to(folders[end])
    (home / "data" / "0").symlink_to(home / "store")
    found = {case.name: case.path for case in find_cases(home / "data", home / "out", follow_links=True).cases}
    assert sorted(Path(path).stem for path in found.values()) == [f"scan{n}" for n in range(7)]
    assert without.items() <= found.items(), "names stay"


def test_folders_that_all_link_to_each_other_are_searched_in_no_time(tmp_path: Path) -> None:
    for start in range(30):
        for end in range(30):
            (tmp_path / str(start)).mkdir(exist_ok=True)
            (tmp_path / str(start) / f"to{end}").symlink_to(tmp_path / str(end))
        (tmp_path / str(start) / f"scan{start}.nii").touch()
    (tmp_path / "view").mkdir()
    for end in range(30):
        (tmp_path / "view" / str(end)).symlink_to(tmp_path / str(end))
    assert len(find_cases(tmp_path, tmp_path / "out", follow_links=True).cases) == 30
    found = find_cases(tmp_path / "view", tmp_path / "out", follow_links=True).cases
    assert sorted(case.path.parent.name for case in found) == sorted(["0", *(f"to{n}" for n in range(1, 30))])
