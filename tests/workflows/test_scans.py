"""Which scans `monai.bundle run` segments, and what their files are called."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.data.scan_folder import is_label_name
from monai_semgan.errors import SemganError
from monai_semgan.workflows.inference import find_scans
from tests.dicom_phantoms import datasets, write_series
from tests.fixtures_0_1.using import copy_bundle, run_with_monai
from tests.phantoms import grid, patient, save_nifti
from tests.workflows.test_inference import overlaid, workflow


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def touch_dicom(folder: Path, *names: str) -> Path:
    for name in names:
        touch(folder, name).joinpath(name).write_bytes(bytes(128) + b"DICM")
    return folder


def images(folder: Path, found: list[dict[str, str]]) -> list[str]:
    return [Path(entry["image"]).relative_to(folder).as_posix() for entry in found]


def save_scan(path: Path, shift: int = 0) -> Path:
    affine, shape = grid((8.0, 8.0, 12.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_nifti(path, np.roll(patient(affine, shape, seed=0).array, shift, 0), affine)


@pytest.mark.parametrize("pattern", ["", "*", "*/ct.nii.gz", "**/*.nii.gz", "p?", "**"])
def test_scans_of_one_file_name_get_names_of_their_own(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "p1/ct.nii.gz", "p2/ct.nii.gz", "p2/ct_seg.nii.gz")
    found = find_scans(tmp_path / pattern)
    assert images(tmp_path, found) == ["p1/ct.nii.gz", "p2/ct.nii.gz"]
    assert [entry["name"] for entry in found] == ["p1__ct", "p2__ct"]


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "A", "b", "1.2.840", "1.2", "ct"]), min_size=1, max_size=3).map("/".join),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    st.sampled_from(["ct.nii.gz", "CT.nii", "ct.nrrd"]),
)
@settings(max_examples=60, deadline=None)
def test_no_two_scans_share_a_name_whatever_the_folders(
    tmp_path_factory: pytest.TempPathFactory, folders: list[str], file: str
) -> None:
    place = tmp_path_factory.mktemp("scans")
    for folder in folders:
        touch(place, f"{folder}/{file}", f"{folder}/ct_label.nii.gz")
    found = find_scans(place)
    assert len(found) == len({Path(entry["image"]).resolve() for entry in found}) >= 1
    assert len({entry["name"].lower() for entry in found}) == len(found)
    assert not any(is_label_name(Path(entry["image"])) for entry in found)
    assert find_scans(f"{place}/**/{file}") == found


@pytest.mark.parametrize("pattern", ["*.nii.gz", "**/*.nii.gz", "*"])
def test_labels_and_maps_beside_scans_are_no_scans(
    tmp_path: Path, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "a.nii.gz", "a_seg.nii.gz", "a_label.nii.gz", "a_uncertainty.nii.gz", "labelsTr/a.nii.gz")
    assert images(tmp_path, find_scans(tmp_path / pattern)) == ["a.nii.gz"]
    assert "labels and maps are no scans" in caplog.text


def test_a_file_that_is_named_itself_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "ct_seg.nii.gz")
    assert find_scans(tmp_path / "ct_seg.nii.gz")[0]["name"] == "ct_seg"


def test_a_folder_of_labels_alone_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "ct_seg.nii.gz")
    with pytest.raises(SemganError, match=r"no images in it, only what is named like labels \(ct_seg.nii.gz\)"):
        find_scans(tmp_path)


def test_series_are_found_however_deep_and_once(tmp_path: Path) -> None:
    touch_dicom(tmp_path, "study/day/series/IM1", "study/day/series/IM2", "other/IM1.dcm")
    touch(tmp_path, "DICOMDIR")
    for place in (tmp_path, f"{tmp_path}/**", f"{tmp_path}/*"):
        assert images(tmp_path, find_scans(place)) == ["other", "study/day/series"]


def test_radiographs_are_scans_each_for_itself(tmp_path: Path) -> None:
    touch_dicom(tmp_path, "dx/IM1.dcm", "dx/IM2.dcm")
    touch(tmp_path, "dx/a.png", "dx/b.nii.gz")
    assert len(find_scans(tmp_path, pictures=True)) == 4
    assert images(tmp_path, find_scans(tmp_path, pictures=False)) == ["dx"]


def test_screenshots_beside_volumes_are_no_scans(tmp_path: Path) -> None:
    touch(tmp_path, "ct.nii.gz", "screenshot.png")
    assert images(tmp_path, find_scans(tmp_path, pictures=False)) == ["ct.nii.gz"]


def test_every_scan_of_a_folder_gets_an_output_of_its_own(tiny_bundle: Path, tmp_path: Path) -> None:
    save_scan(tmp_path / "in" / "p1" / "ct.nii.gz")
    save_scan(tmp_path / "in" / "p2" / "ct.nii.gz", shift=5)
    affine, shape = grid((8.0, 8.0, 12.0))
    for uid in ("1.2.840.1", "1.2.840.2"):
        (tmp_path / "in" / "study" / uid).mkdir(parents=True)
        write_series(tmp_path / "in" / "study" / uid, datasets(patient(affine, shape, seed=0).array, affine))
    flow = overlaid(
        tiny_bundle,
        "inference_maps.json",
        "inference_preview.json",
        dataset_dir=str(tmp_path / "in"),
        output_dir=str(tmp_path / "in" / "results"),
    )
    flow.initialize()
    flow.run()
    names = {path.name.removesuffix("_seg.nii.gz") for path in (tmp_path / "in" / "results").glob("*_seg.nii.gz")}
    assert names == {"p1__ct", "p2__ct", "1.2.840.1", "1.2.840.2"}
    first, second = (
        np.asarray(nibabel.load(tmp_path / "in" / "results" / f"p{n}__ct_seg.nii.gz").dataobj) for n in (1, 2)
    )
    assert (first != second).any()
    assert len(find_scans(tmp_path / "in")) == 4  # results among scans are not segmented the next time


def test_entries_of_ones_own_without_names_do_not_overwrite_each_other(tiny_bundle: Path, tmp_path: Path) -> None:
    files = [save_scan(tmp_path / folder / "ct.nii.gz") for folder in "ab"]
    entries = [{"image": str(file)} for file in files]
    flow = workflow(tiny_bundle, **{"dataset#data": entries, "output_dir": str(tmp_path / "out")})
    flow.initialize()
    flow.run()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a__ct_seg.nii.gz", "b__ct_seg.nii.gz"]


def test_two_scans_that_would_get_one_output_are_both_named(tiny_bundle: Path, tmp_path: Path) -> None:
    files = [save_scan(tmp_path / folder / "ct.nii.gz") for folder in "ab"]
    options = {"dataset#_target_": "Dataset", "dataset#data": [{"image": str(file)} for file in files]}
    flow = workflow(tiny_bundle, **options, output_dir=str(tmp_path / "out"))
    flow.initialize()
    with pytest.raises(RuntimeError) as failure:
        flow.run()
    told = str(failure.value.__cause__)
    assert all(str(file) in told for file in files) and "would both be written to" in told


@pytest.mark.slow
def test_a_bundle_of_0_1_gives_every_scan_its_output_too(tmp_path: Path) -> None:
    for folder in ("p1", "p2"):
        save_scan(tmp_path / "in" / folder / "ct.nii.gz")
    done: subprocess.CompletedProcess[str] = run_with_monai(
        copy_bundle(tmp_path / "kidneys"), tmp_path / "in", tmp_path / "out"
    )
    assert done.returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p1__ct_seg.nii.gz", "p2__ct_seg.nii.gz"]
