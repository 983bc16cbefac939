"""DICOM in the studies: every series an image, on its grid, under an id that stays and names nobody."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.label_app.datastore import StudiesDatastore
from tests.dicom_phantoms import PATIENT, datasets, enhanced, radiograph, save, several_volumes, write_series
from tests.phantoms import grid, patient

pytestmark = pytest.mark.label

AFFINE, SHAPE = grid((12.0, 12.0, 14.0), codes="LPS", degrees=(5.0, -8.0, 3.0))
ARRAY = np.rint(patient(AFFINE, SHAPE).array)


def _open(studies: Path, auto_reload: bool = False) -> StudiesDatastore:
    return StudiesDatastore(str(studies), auto_reload=auto_reload, labels=str(studies.with_name("home")))


def _series(folder: Path, uid: str = "1.2.3", number: int = 4, **tags: Any) -> Path:
    return write_series(folder, datasets(ARRAY, AFFINE, SeriesInstanceUID=uid, SeriesNumber=number, **tags))


def _id(studies: Path) -> str:
    [image] = _open(studies).list_images()
    return image


def _reasons(store: StudiesDatastore) -> str:
    return "\n".join(f"{one.name}: {one.reason}" for one in store.left_out())


@pytest.mark.parametrize("place", ["", "Secret Name", "Secret^Name/CT abdomen", "a/b/c/d"])
def test_a_series_is_one_image_on_exactly_its_grid(place: str, tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    folder = _series(studies / place)
    store = _open(studies)
    [image] = store.list_images()
    assert store.left_out() == []
    assert image.startswith("ct_4_") and not any(word in image for word in ("Secret", "Name", "abdomen"))
    file = store.get_image_uri(image)
    given, made = read_volume(folder), read_volume(file)
    np.testing.assert_array_equal(made.array, given.array)
    np.testing.assert_array_equal(made.array, ARRAY)
    np.testing.assert_allclose(made.affine, AFFINE, atol=1e-6)
    assert made.modality == "CT"
    assert Path(file).name == store.get_image_info(image)["name"] == f"{image}.nrrd"
    assert store.get_image_info(image)["path"] == file and file.startswith(str(tmp_path / "home"))
    for word in (PATIENT, "Secret", "secret-id", "19700101"):
        assert word.encode() not in Path(file).read_bytes() and word not in str(store.json())


def test_the_id_of_a_series_stays_when_its_folder_is_renamed_and_labels_stay_with_it(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    _series(studies / "one")
    image = _id(studies)
    store = _open(studies)
    shutil.copyfile(store.get_image_uri(image), tmp_path / "label.nrrd")
    store.save_label(image, str(tmp_path / "label.nrrd"), "final", {"annotator": "Ann"})
    (studies / "one").rename(studies / "two")
    shutil.rmtree(tmp_path / "home" / ".semgan")
    store = _open(studies)
    assert store.list_images() == [image] and store.get_label_info(image, "final")["annotator"] == "Ann"
    assert read_volume(store.get_image_uri(image)).array.shape == SHAPE
    assert [pair["image"] for pair in store.datalist()] == [store.get_image_uri(image)]


def test_series_in_one_folder_are_images_of_their_own_and_what_is_none_has_a_reason(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    folder = _series(studies / "study", "1.2.3", 4)
    for name, one in enumerate(datasets(ARRAY + 1, AFFINE, SeriesInstanceUID="1.2.4", SeriesNumber=5)):
        save(one, folder / f"B{name:03d}.dcm")
    save(radiograph(np.arange(900, dtype=np.uint16).reshape(30, 30), SeriesInstanceUID="1.2.5"), folder / "C.dcm")
    uneven = datasets(ARRAY, AFFINE, SeriesInstanceUID="1.2.6", SeriesNumber=7)
    for name, one in enumerate(uneven[:3] + uneven[5:]):
        save(one, folder / f"D{name:03d}.dcm")
    (folder / "notes.txt").write_text("seen")
    (folder / "DICOMDIR").write_bytes(b"index")
    (folder / "beside.nii.gz").write_bytes(b"image")
    store = _open(studies)
    assert sorted(image.rpartition("_")[0] for image in store.list_images()) == ["ct_4", "ct_5", "study_"]
    values = {
        image[:4]: read_volume(store.get_image_uri(image)).array for image in store.list_images() if "ct" in image
    }
    np.testing.assert_array_equal(values["ct_4"] + 1, values["ct_5"])
    reasons = _reasons(store)
    assert "study, series 7: " in reasons and "single images, no volume" in reasons and "no DICOM" in reasons
    assert "--resample" not in reasons


def test_a_series_that_holds_several_volumes_is_several_images(tmp_path: Path) -> None:
    echoes = {(10.0,): ARRAY, (20.0,): ARRAY + 100}
    write_series(tmp_path / "studies" / "mr", several_volumes(echoes, AFFINE, ("EchoTime",)))
    store = _open(tmp_path / "studies")
    assert len(store.list_images()) == 2
    arrays = [read_volume(store.get_image_uri(image)).array for image in store.list_images()]
    assert sorted(float(array.min()) for array in arrays) == [float(ARRAY.min()), float(ARRAY.min()) + 100]
    assert set(_open(tmp_path / "studies").list_images()) == set(store.list_images())


def test_series_that_share_a_uid_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    folder = _series(tmp_path / "studies" / "s", "1.2.3", 4)
    for name, one in enumerate(datasets(ARRAY + 7, AFFINE, SeriesInstanceUID="1.2.3", SeriesNumber=5)):
        save(one, folder / f"B{name:03d}.dcm")
    store = _open(tmp_path / "studies")
    assert len(store.list_images()) == 2, _reasons(store)
    low = sorted(float(read_volume(store.get_image_uri(image)).array.min()) for image in store.list_images())
    assert low == [float(ARRAY.min()), float(ARRAY.min()) + 7]


def test_zips_and_multi_frame_files_are_images(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    folder = _series(tmp_path / "packed")
    studies.mkdir()
    with zipfile.ZipFile(studies / "Name, Secret.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    save(enhanced(ARRAY, AFFINE, SeriesInstanceUID="1.2.9", SeriesNumber=9), studies / "single.dcm")
    store = _open(studies)
    assert sorted(image.rpartition("_")[0] for image in store.list_images()) == ["ct_4", "ct_9"], _reasons(store)
    for image in store.list_images():
        assert read_volume(store.get_image_uri(image)).array.shape == SHAPE


def test_a_zip_or_folder_without_scans_has_a_reason(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    (studies / "damaged").mkdir(parents=True)
    (studies / "damaged" / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 400)
    (studies / "text.dcm").write_bytes(b"no DICOM at all")
    (studies / "other.zip").write_bytes(b"PK\x03\x04 cut")
    with zipfile.ZipFile(studies / "notes.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    store = _open(studies)
    assert store.list_images() == []
    assert {one.name.split(",")[0] for one in store.left_out()} >= {"other.zip", "notes.zip"}
    assert "no images" in store.told_at_start()[0]


def test_copies_of_a_series_are_served_once_and_spread_slices_not_at_all(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    write_series(studies / "one", datasets(ARRAY, AFFINE), shuffle=None)
    shutil.copytree(studies / "one", studies / "two")
    store = _open(studies)
    assert len(store.list_images()) == 1 and "it is a copy of the series in one" in _reasons(store)
    for number, path in enumerate(sorted((studies / "two").iterdir())):
        if number < 3:
            (studies / "one" / path.name).unlink()
        else:
            path.unlink()
    store = _open(studies)
    assert store.list_images() == [] and _reasons(store).count("slices of one series lie in several folders") >= 1


def test_a_series_that_changes_is_read_again_and_labels_of_a_model_are_no_longer_its(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    folder = _series(studies / "s")
    store = _open(studies)
    [image] = store.list_images()
    before, state = store.get_image_uri(image), store.image_state(image)
    (tmp_path / "label.nrrd").write_bytes(b"label")
    store.save_label(image, str(tmp_path / "label.nrrd"), "original", {"image_state": state})
    assert store.get_label_uri(image, "original")
    shutil.rmtree(folder)
    write_series(folder, datasets(ARRAY + 5, AFFINE, SeriesInstanceUID="1.2.3", SeriesNumber=4))
    store = _open(studies)
    assert store.image_state(image) != state and not store.get_label_uri(image, "original")
    np.testing.assert_array_equal(read_volume(store.get_image_uri(image)).array, ARRAY + 5)
    assert not Path(before).exists(), "the old file is not kept for ever"


def test_headers_are_read_once_and_a_lost_or_damaged_memory_of_them_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monai_semgan.label_app.studies import study_series

    studies = tmp_path / "studies"
    _series(studies / "s")
    image = _id(studies)
    index = tmp_path / "home" / ".semgan" / "series.json"
    for damage in ("", "[1]", '{"s": {"state": 1}}', index.read_text()[:-30]):
        index.write_text(damage)
        assert _id(studies) == image
    monkeypatch.setattr(study_series, "read_folder", lambda *_: pytest.fail("headers are read again"))
    assert _id(studies) == image


def test_an_original_series_can_be_removed_from_the_list_and_no_client_can_replace_it(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    folder = _series(studies / "s")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    store = _open(studies)
    [image] = store.list_images()
    (tmp_path / "new.nrrd").write_bytes(b"new")
    with pytest.raises(SemganError, match="original"):
        store.add_image(image, str(tmp_path / "new.nrrd"), {})
    store.remove_image(image)
    assert _open(studies).list_images() == [] and "administrator" in _reasons(_open(studies))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_the_next_start_tidies_up_what_was_made_and_is_no_longer_needed(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    _series(studies / "one")
    _series(studies / "two", "1.2.4", 5)
    store = _open(studies)
    files = {image: Path(store.get_image_uri(image)) for image in store.list_images()}
    gone, kept = sorted(files)
    (files[kept].parent / ".0a1b2c3d.part.x.nrrd").write_bytes(b"half")
    (tmp_path / "home" / "datastore_v2.json").unlink()
    shutil.rmtree(studies / "one")
    _open(studies).remove_leftovers()
    assert not files[gone].exists() and [path.name for path in files[kept].parent.iterdir()] == [files[kept].name]


def test_a_running_server_goes_on_to_serve_a_series_while_slices_are_added(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    slices = datasets(ARRAY, AFFINE)
    write_series(studies / "s", slices[:-3])
    store = _open(studies, auto_reload=True)
    try:
        _wait_for(store, 1)
        [image] = store.list_images()
        for number, one in enumerate(slices[-3:]):
            save(one, studies / "s" / f"late{number}")
            for _ in range(5):
                assert store.list_images() == [image] and store.image_state(image)
                time.sleep(0.1)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and read_volume(store.get_image_uri(image)).array.shape != SHAPE:
            time.sleep(0.2)
        np.testing.assert_array_equal(read_volume(store.get_image_uri(image)).array, ARRAY)
    finally:
        store.close()


def test_a_running_server_reads_new_series_in_the_background(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    _series(studies / "first")
    store = _open(studies, auto_reload=True)
    try:
        _wait_for(store, 1)
        write_series(studies / "second", datasets(ARRAY, AFFINE, SeriesInstanceUID="1.2.4", SeriesNumber=5))
        _wait_for(store, 2)
        assert {image[:5] for image in store.list_images()} == {"ct_4_", "ct_5_"} and store.pending() == 0
        for path in (studies / "first").iterdir():
            os.unlink(path)
        _wait_for(store, 1)
    finally:
        store.close()


def _wait_for(store: StudiesDatastore, count: int) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and (len(store.list_images()) != count or store.pending()):
        time.sleep(0.1)
    assert len(store.list_images()) == count
