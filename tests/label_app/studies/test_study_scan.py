"""The folder a radiologist has: what is served, under which id, and why the rest is not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.label_app.datastore import StudiesDatastore
from monai_semgan.label_app.grids import read_grid
from tests.phantoms import grid, patient, save_nifti

pytestmark = pytest.mark.label


def _open(folder: Path, labels: Path | None = None) -> StudiesDatastore:
    return StudiesDatastore(str(folder), auto_reload=False, labels=str(labels) if labels else None)


def _fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    return folder


def _state(folder: Path) -> dict[str, tuple[str, int]]:
    """Content and time of change of everything in a folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize(
    ("name", "image", "told"),
    [
        ("ct.nii.gz", "ct", "ct.nii.gz"),
        ("SCAN.NII.GZ", "SCAN", "SCAN.nii.gz"),
        ("Scan.Nrrd", "Scan", "Scan.nrrd"),
        ("ABC.MHA", "ABC", "ABC.mha"),
        ("with blanks and (brackets) .nii", "with blanks and (brackets) ", "with blanks and (brackets) .nii"),
        ("Müller 患者.nii.gz", "Müller 患者", "Müller 患者.nii.gz"),
        ("2024.11.28.nii.gz", "2024.11.28", "2024.11.28.nii.gz"),
        ("a/b/ct.nii.gz", "a__b__ct", "a__b__ct.nii.gz"),
        ("A b/CT 1.NII", "A b__CT 1", "A b__CT 1.nii"),
        ('it\'s "quoted" & 100%.mha', 'it\'s "quoted" & 100%', 'it\'s "quoted" & 100%.mha'),
    ],
)
def test_every_scan_has_an_id_and_a_name_that_any_client_can_save(
    name: str, image: str, told: str, tmp_path: Path
) -> None:
    _fill(tmp_path, name)
    for _ in range(2):
        store = _open(tmp_path)
        assert store.list_images() == [image] and store.left_out() == []
        assert Path(store.get_image_uri(image)).read_bytes() == name.encode()
        assert store.get_image_info(image)["name"] == told
        assert store.get_image_info(image)["path"] == store.get_image_uri(image)


def test_labels_of_scans_in_sub_folders_are_kept_apart(tmp_path: Path) -> None:
    studies = _fill(tmp_path / "studies", "p1/ct.nii.gz", "p2/ct.nii.gz", "ct.nii.gz")
    store = _open(studies)
    for image in ("p1__ct", "p2__ct", "ct"):
        (tmp_path / "label.nii.gz").write_bytes(image.encode())
        store.save_label(image, str(tmp_path / "label.nii.gz"), "final", {})
    store = _open(studies)
    pairs = {Path(one["image"]).read_bytes(): Path(one["label"]).read_bytes() for one in store.datalist()}
    assert pairs == {b"p1/ct.nii.gz": b"p1__ct", b"p2/ct.nii.gz": b"p2__ct", b"ct.nii.gz": b"ct"}


def test_ids_of_long_paths_fit_into_file_names_and_differ(tmp_path: Path) -> None:
    folders = "/".join(["folder of a long name " + "x" * 60] * 4)
    studies = _fill(tmp_path / "studies", f"{folders}/one.nii.gz", f"{folders}/two.nii.gz", "é" * 110 + ".nii.gz")
    (tmp_path / "label.seg.nrrd").write_bytes(b"label")
    store = _open(studies)
    assert len(store.list_images()) == 3
    for image in store.list_images():
        store.save_label(image, str(tmp_path / "label.seg.nrrd"), "final", {})
        assert store.get_label_uri(image, "final")
    assert set(_open(studies).list_images()) == set(store.list_images())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("two\nlines.nii.gz", "line break"),
        ("bell\a.nrrd", "control character"),
        (os.fsdecode(b"bytes \xff.nii.gz"), "UTF-8"),
        ("back\\slash.nii.gz", "backslash"),
        ("x" * 201 + ".nii.gz", "longer than 200"),
        (os.fsdecode(b"folder \xff/ct.nii.gz"), "UTF-8"),
        ("new\nfolder/ct.nii.gz", "line break"),
        ("labels of it/x.txt", "the ending .txt is none of a scan"),
        ("notes.docx", "the ending .docx is none of a scan"),
        ("README", "no ending"),
        ("picture.PNG", "single picture"),
        ("scan.seg.nrrd", "holds labels"),
        ("labelsTr/ct.nii.gz", "holds labels"),
        ("Segmentations/ct.nii.gz", "holds labels"),
    ],
)
def test_what_cannot_be_served_is_listed_with_the_reason(name: str, reason: str, tmp_path: Path) -> None:
    _fill(tmp_path, "fine.nii.gz", name)
    store = _open(tmp_path, tmp_path.with_name("home"))
    assert store.list_images() == ["fine"]
    [left] = store.left_out()
    assert re.search(reason, left.reason) and left.name.isprintable()
    json.dumps(left.told(), ensure_ascii=False).encode()


def test_links_empty_files_and_files_without_permission_are_listed_with_the_reason(tmp_path: Path) -> None:
    studies = _fill(tmp_path / "studies", "fine.nii.gz", "sub/other.nii.gz")
    (tmp_path / "secret.nii.gz").write_bytes(b"secret")
    (studies / "out.nii.gz").symlink_to(tmp_path / "secret.nii.gz")
    (studies / "away").symlink_to(tmp_path)
    (studies / "broken.nii.gz").symlink_to(studies / "none.nii.gz")
    (studies / "empty.nii.gz").touch()
    (studies / "inside").symlink_to(studies / "sub")
    os.mkfifo(studies / "pipe.nii.gz")
    store = _open(studies)
    assert sorted(store.list_images()) == ["fine", "sub__other"]
    assert {one.name: one.reason.split(";")[0] for one in store.left_out()} == {
        "out.nii.gz": "it is a link that leads out of the folder",
        "away": "it is a link that leads out of the folder",
        "broken.nii.gz": "it is a link that leads nowhere",
        "empty.nii.gz": "the file is empty",
        "pipe.nii.gz": "it is no regular file",
    }


def test_results_beside_a_scan_are_no_scans_and_a_scan_of_such_a_name_alone_is(tmp_path: Path) -> None:
    _fill(tmp_path, "ct.nii.gz", "ct_seg.nii.gz", "ct_residual.nii.gz", "mr_label.nrrd", "brain_mask.nii.gz")
    store = _open(tmp_path)
    assert sorted(store.list_images()) == ["brain_mask", "ct", "mr_label"]
    assert sorted(one.name for one in store.left_out()) == ["ct_residual.nii.gz", "ct_seg.nii.gz"]


def test_what_the_server_keeps_in_the_folder_is_neither_scan_nor_left_out(tmp_path: Path) -> None:
    studies = _fill(tmp_path / "studies", "a.nii.gz")
    (tmp_path / "label.nii.gz").write_bytes(b"label")
    store = _open(studies)
    store.save_label("a", str(tmp_path / "label.nii.gz"), "final", {})
    store.add_image("sent", str(tmp_path / "label.nii.gz"), {})
    again = _open(studies)
    assert sorted(again.list_images()) == ["a", "sent"] and again.left_out() == []


@pytest.mark.parametrize("home", ["beside", "studies/results"])
def test_studies_that_are_only_read_are_left_as_they_are(home: str, tmp_path: Path) -> None:
    studies = _fill(tmp_path / "studies", "a.nii.gz", "sub/b.nrrd")
    labels = tmp_path / home
    labels.mkdir(parents=True)
    (tmp_path / "label.nii.gz").write_bytes(b"label")
    for path in studies.rglob("*"):
        if path != labels:
            path.chmod(0o444 if path.is_file() else 0o555)
    studies.chmod(0o555)
    before = {name: state for name, state in _state(studies).items() if not name.startswith("results")}
    try:
        for _ in range(2):
            store = _open(studies, labels)
            store.save_label("a", str(tmp_path / "label.nii.gz"), "final", {})
            store.update_image_info("sub__b", {"x": 1})
            store.add_image("sent", str(tmp_path / "label.nii.gz"), {})
            store.remove_leftovers()
            assert sorted(store.list_images()) == ["a", "sent", "sub__b"]
        store.remove_image("a")
        assert {name: state for name, state in _state(studies).items() if not name.startswith("results")} == before
        assert (labels / "datastore_v2.json").is_file() and store.left_out()[0].name == "a.nii.gz"
    finally:
        studies.chmod(0o755)


@pytest.mark.parametrize("ending", [".mhd", ".MHD", ".nhdr", ".hdr"])
def test_scans_in_two_files_are_served_as_one_on_exactly_their_grid(ending: str, tmp_path: Path) -> None:
    studies, home = tmp_path / "studies", tmp_path / "home"
    studies.mkdir()
    affine, shape = grid((12.0, 10.0, 9.0), codes="LPI", degrees=(4.0, -7.0, 3.0))
    scan = save_nifti(tmp_path / "scan.nii.gz", patient(affine, shape).array, affine)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(scan)), str(studies / f"x{ending.lower()}"))
    os.rename(studies / f"x{ending.lower()}", studies / f"x{ending}")
    store = _open(studies, home)
    assert store.list_images() == ["x"] and store.left_out() == []
    name = store.get_image_info("x")["name"]
    assert name.endswith((".nrrd", ".nii.gz"))
    file = store.get_image_uri("x")
    given, made = read_volume(studies / f"x{ending}"), read_volume(file)
    np.testing.assert_array_equal(given.array, made.array)
    np.testing.assert_allclose(read_grid(file).affine, given.affine, atol=1e-4)
    assert file.startswith(str(home)) and Path(file).name == name
    assert store.get_image_uri("x") == file and store.get_image_info("x")["path"] == file


def test_a_scan_that_no_file_can_be_made_of_tells_why_and_leaves_nothing(tmp_path: Path) -> None:
    _fill(tmp_path / "studies", "x.mhd", "y.nii.gz")
    store = _open(tmp_path / "studies", tmp_path / "home")
    with pytest.raises(SemganError):
        store.get_image_uri("x")
    assert not list((tmp_path / "home").rglob("x.*"))
    assert store.get_image_info("x")["name"] == "x.nrrd" and store.get_image_uri("y")


def test_files_that_come_go_and_change_are_noticed_in_sub_folders_too(tmp_path: Path) -> None:
    studies = _fill(tmp_path / "studies", "a.nii.gz")
    store = StudiesDatastore(str(studies), labels=str(tmp_path / "home"))
    try:
        _fill(tmp_path / "new", "one/b.nii.gz", "two/c.nrrd")
        shutil.copytree(tmp_path / "new", studies / "new")
        (studies / "empty.nii.gz").touch()
        _wait_for(store, {"a", "new__one__b", "new__two__c"})
        (studies / "empty.nii.gz").write_bytes(b"filled")
        (studies / "a.nii.gz").unlink()
        (studies / "new").rename(studies / "renamed")
        _wait_for(store, {"empty", "renamed__one__b", "renamed__two__c"})
    finally:
        store.close()


def _wait_for(store: StudiesDatastore, images: set[str]) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and set(store.list_images()) != images:
        time.sleep(0.1)
    assert set(store.list_images()) == images


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), "no images: the folder is empty"),
        (("SMITH.jpg", "x.txt", "y.txt"), r"no images: what lies there is left out \(2 .txt, 1 .jpg\); .*studies"),
        (("a.nii.gz", "b.txt"), "1 file or series is left out"),
        (("a.nii.gz",), None),
    ],
)
def test_the_start_tells_what_is_not_served_without_names(
    names: tuple[str, ...], told: str | None, tmp_path: Path
) -> None:
    tmp_path.joinpath("studies").mkdir()
    lines = _open(_fill(tmp_path / "studies", *names)).told_at_start()
    assert (re.match(told, lines[0]) and len(lines) == 1) if told else lines == []
    assert "SMITH" not in "".join(lines)


def test_a_labelled_image_whose_folder_has_another_name_is_told_until_it_is_back(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    (studies / "before").mkdir(parents=True)
    for name in ("scan", "unlabelled"):
        (studies / "before" / f"{name}.nii.gz").write_bytes(b"image")
    (tmp_path / "label.nii.gz").write_bytes(b"label")
    store = StudiesDatastore(str(studies), auto_reload=False)
    store.save_label("before__scan", str(tmp_path / "label.nii.gz"), "final", {})
    assert store.away() == []
    (studies / "before").rename(studies / "after")
    again = StudiesDatastore(str(studies), auto_reload=False)
    [told] = again.away()
    assert told.name == "before/scan.nii.gz" and "before__scan" in told.reason
    assert any("not there any more: 1" in line for line in again.told_at_start())
    (studies / "after").rename(studies / "before")
    back = StudiesDatastore(str(studies), auto_reload=False)
    assert back.away() == [] and back.get_label_uri("before__scan", "final")
