"""What is taken for a scan below a folder, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_semgan.data.scan_folder import ScanSearch
from monai_semgan.io.formats import image2d_endings, volume_endings


def made(folder: Path, *names: str, content: bytes = b"x") -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def dicom(folder: Path, *names: str) -> Path:
    return made(folder, *names, content=bytes(128) + b"DICM")


def found(folder: Path, search: ScanSearch | None = None) -> list[str]:
    search = search or ScanSearch(volume_endings())
    return [path.relative_to(folder).as_posix() for path in search.scans(folder)]


@pytest.mark.parametrize(
    "label",
    [
        "ct_label.nii.gz",
        "ct-seg.nii.gz",
        "ct.mask.nii",
        "ct labels.mha",
        "CT_Segmentation.nrrd",
        "seg.nii.gz",
        "ct.seg.nrrd",
        "labelsTr/ct.nii.gz",
        "masks/ct.nii.gz",
        "p/Segmentations/ct.nii.gz",
        ".hidden.nii.gz",
        ".hidden/ct.nii.gz",
        "other/.cohort/x.json",
        "ct_uncertainty.nii.gz",
    ],
)
def test_labels_maps_and_hidden_files_beside_a_scan_are_no_scans(tmp_path: Path, label: str) -> None:
    made(tmp_path, "ct.nii.gz", "ct_seg.nii.gz", label)
    assert found(tmp_path) == ["ct.nii.gz"]


@pytest.mark.parametrize("name", ["segmented_later.nii.gz", "maskless.nrrd", "unlabelled.mha", "residual.nii.gz"])
def test_a_scan_whose_name_only_sounds_like_a_label_is_taken(tmp_path: Path, name: str) -> None:
    assert found(made(tmp_path, name)) == [name]


def test_a_map_without_its_label_is_taken_for_a_scan(tmp_path: Path) -> None:
    assert found(made(tmp_path, "dose_uncertainty.nii.gz")) == ["dose_uncertainty.nii.gz"]


def test_series_are_found_however_deep_and_with_all_below_them(tmp_path: Path) -> None:
    dicom(tmp_path, "a/b/c/IM1", "a/b/c/more/IM2", "a/d/IM1.dcm", "e/IM1.ima")
    made(tmp_path, "a/b/README.txt", "a/x.nii.gz", "DICOMDIR")
    assert found(tmp_path) == ["a/b/c", "a/d", "a/x.nii.gz", "e"]


def test_dicom_files_of_radiographs_are_scans_each_for_itself(tmp_path: Path) -> None:
    dicom(tmp_path, "a/IM1", "a/IM2.dcm")
    made(tmp_path, "a/x.png", "a/x_mask.png", "a/ct.nii.gz")
    assert found(tmp_path, ScanSearch(image2d_endings(), each_dicom_file=True)) == ["a/IM1", "a/IM2.dcm", "a/x.png"]


def test_links_are_followed_on_request_and_circles_end(tmp_path: Path) -> None:
    made(tmp_path / "store", "p/ct.nii.gz")
    dicom(tmp_path / "store", "series/IM1")
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "patients").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "p" / "up").symlink_to(tmp_path / "store")
    assert found(folder) == []
    followed = found(folder, ScanSearch(volume_endings(), follow_links=True))
    assert followed == ["patients/p/ct.nii.gz", "patients/series"]


def test_the_folder_of_results_is_not_entered(tmp_path: Path) -> None:
    made(tmp_path, "ct.nii.gz", "eval/ct_reconstruction.nii.gz")
    assert found(tmp_path, ScanSearch(volume_endings(), skip=(tmp_path / "eval").resolve())) == ["ct.nii.gz"]
