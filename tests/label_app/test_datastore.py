"""The folder of studies as a datastore: what happens to its files when something goes wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.label_app.datastore import StudiesDatastore
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.label

FULL_DISK = """
import resource, signal, sys
from monai_semgan.label_app import pydicom_compat
pydicom_compat.install()
from monailabel.datastore.local import LocalDatastore
from monai_semgan.label_app.datastore import StudiesDatastore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
kind, folder, limit, ending = sys.argv[1:5]
make = {"stock": LocalDatastore, "ours": StudiesDatastore}[kind]
store = make(folder, **({"extensions": ["*.nii.gz", "*.nii"]} if kind == "stock" else {}), auto_reload=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    store.save_label("scan", folder + "/../new" + ending, "final", {"long": "x" * 4000})
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(7)
"""
"""Files over the limit cannot be written, as on a full disk; the limit is the process's own."""

SAVING = """
import itertools, sys
from monai_semgan.label_app import pydicom_compat
pydicom_compat.install()
from monai_semgan.label_app.datastore import StudiesDatastore
store = StudiesDatastore(sys.argv[1], auto_reload=False)
for number in itertools.count():
    store.save_label("scan", sys.argv[2 + number % 2], "final", {"number": number})
    if not number:
        print("ready", flush=True)
"""


def _folder(tmp_path: Path) -> Path:
    """A datastore with an image and a label, which have been saved."""
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "scan.nii.gz").write_bytes(b"image")
    (tmp_path / "old.nii.gz").write_bytes(b"old label" * 10)
    (tmp_path / "new.nii.gz").write_bytes(b"new label" * 1000)
    StudiesDatastore(str(folder), auto_reload=False).save_label("scan", str(tmp_path / "old.nii.gz"), "final", {})
    return folder


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the datastore."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _save_on_full_disk(kind: str, folder: Path, limit: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FULL_DISK, kind, str(folder), str(limit), ".nii.gz"]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)


def test_a_full_disk_spoils_a_label_of_the_stock_datastore(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    before = _hashes(folder)
    assert _save_on_full_disk("stock", folder, 2000).returncode == 7
    assert _hashes(folder) != before


@pytest.mark.parametrize(("label", "limit"), [(100, 2000), (9000, 6000)], ids=["list", "label"])
def test_a_disk_without_room_leaves_every_file_as_it_was(label: int, limit: int, tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (tmp_path / "new.nii.gz").write_bytes(bytes(label))
    before = _hashes(folder)
    run = _save_on_full_disk("ours", folder, limit)
    assert run.returncode == 7 and "the disk is full" in run.stdout, run.stdout + run.stderr
    assert _hashes(folder) == before


def test_a_killed_process_leaves_whole_files_and_the_next_start_tidies_up(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    contents = []
    for name in ("one", "two"):
        contents.append(name.encode() * 2_000_000)
        (tmp_path / f"{name}.nii.gz").write_bytes(contents[-1])
    for wait in (0.05, 0.17):
        command = [sys.executable, "-c", SAVING, folder, tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"]
        with subprocess.Popen(
            [str(word) for word in command], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
        assert (folder / "labels" / "final" / "scan.nii.gz").read_bytes() in contents
        assert "scan" in json.loads((folder / "datastore_v2.json").read_text())["objects"]
        store = StudiesDatastore(str(folder), auto_reload=False)
        assert store.get_labels_by_image_id("scan") == {"final": "scan"}
        store.remove_leftovers()
        assert not list(folder.rglob(".*.part.*"))
        assert (folder / "scan.nii.gz").read_bytes() == b"image"


def test_a_label_in_another_format_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (tmp_path / "new.seg.nrrd").write_bytes(b"nrrd")
    store = StudiesDatastore(str(folder), auto_reload=False)
    store.save_label("scan", str(tmp_path / "new.seg.nrrd"), "final", {})
    assert [path.name for path in (folder / "labels" / "final").iterdir()] == ["scan.seg.nrrd"]
    again = StudiesDatastore(str(folder), auto_reload=False)
    assert again.get_label_uri("scan", "final").endswith("scan.seg.nrrd")


@pytest.mark.parametrize("tag", ["../../x", "/etc", ".hidden", "", "a/b", "x\n"])
def test_tags_that_lead_elsewhere_are_refused(tag: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    before = _hashes(tmp_path)
    with pytest.raises(SemganError, match="tag"):
        StudiesDatastore(str(folder), auto_reload=False).save_label("scan", str(tmp_path / "new.nii.gz"), tag, {})
    assert _hashes(tmp_path) == before


@pytest.mark.parametrize("image", ["../x", "/etc/x", ".x", "a\\b", "x\ny", "x" * 201])
def test_ids_that_lead_elsewhere_are_refused(image: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    before = _hashes(tmp_path)
    with pytest.raises(SemganError, match="id"):
        StudiesDatastore(str(folder), auto_reload=False).add_image(image, str(tmp_path / "new.nii.gz"), {})
    assert _hashes(tmp_path) == before


def test_a_folder_of_labels_that_leads_elsewhere_is_not_written(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (folder / "labels" / "linked").symlink_to(tmp_path / "elsewhere")
    store = StudiesDatastore(str(folder), auto_reload=False)
    with pytest.raises(SemganError, match="link"):
        store.save_label("scan", str(tmp_path / "new.nii.gz"), "linked", {})
    assert not list((tmp_path / "elsewhere").iterdir())
    assert store.get_labels_by_image_id("scan") == {"final": "scan"}


def test_images_that_differ_in_their_endings_alone_are_all_served(tmp_path: Path) -> None:
    for name in ("a.nrrd", "a.mha", "a.nii.gz", "b.nrrd"):
        (tmp_path / name).write_bytes(name.encode())
    for _ in range(2):  # and so they stay
        store = StudiesDatastore(str(tmp_path), auto_reload=False)
        served = {image: Path(store.get_image_uri(image)).name for image in store.list_images()}
        assert served == {"a": "a.nii.gz", "a.nrrd": "a.nrrd", "a.mha": "a.mha", "b": "b.nrrd"}
    (tmp_path / "label.nii.gz").write_bytes(b"label")
    (tmp_path / "other.nrrd").write_bytes(b"other")
    store.save_label("a.nrrd", str(tmp_path / "label.nii.gz"), "final", {})
    store.save_label("a", str(tmp_path / "other.nrrd"), "final", {})
    again = StudiesDatastore(str(tmp_path), auto_reload=False)
    for image, content in (("a.nrrd", b"label"), ("a", b"other")):
        assert Path(again.get_label_uri(image, "final")).read_bytes() == content
    assert not again.get_labels_by_image_id("a.mha")


def test_an_image_keeps_its_id_when_the_one_beside_it_comes_or_goes(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(b"first")
    assert StudiesDatastore(str(tmp_path), auto_reload=False).list_images() == ["a"]
    (tmp_path / "a.nii.gz").write_bytes(b"second")
    store = StudiesDatastore(str(tmp_path), auto_reload=False)
    assert Path(store.get_image_uri("a")).name == "a.nrrd" and Path(store.get_image_uri("a.nii.gz")).name == "a.nii.gz"
    (tmp_path / "a.nrrd").unlink()
    store.refresh()
    assert store.list_images() == ["a.nii.gz"]


@pytest.mark.parametrize("image", ["a", "a.nrrd", "sub__b"])
def test_an_image_that_is_sent_never_touches_an_original(image: str, tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    for name in ("a.nrrd", "a.nii.gz", "sub/b.nii.gz"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(name.encode())
    (tmp_path / "new.nrrd").write_bytes(b"new")
    store = StudiesDatastore(str(folder), auto_reload=False)
    before = _hashes(folder)
    with pytest.raises(SemganError, match="original"):
        store.add_image(image, str(tmp_path / "new.nrrd"), {})
    assert _hashes(folder) == before


def test_images_that_are_sent_lie_apart_and_replace_each_other_until_they_have_labels(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    store = StudiesDatastore(str(folder), auto_reload=False)
    for ending in (".nii.gz", ".nrrd"):
        (tmp_path / f"sent{ending}").write_bytes(ending.encode())
        assert store.add_image("mine", str(tmp_path / f"sent{ending}"), {"by": "me"}) == "mine"
    assert [path.name for path in (folder / "uploaded_images").iterdir()] == ["mine.nrrd"]
    assert not (folder / "mine.nrrd").exists()
    store = StudiesDatastore(str(folder), auto_reload=False)  # and so it is after a restart
    assert sorted(store.list_images()) == ["mine", "scan"] and store.get_image_info("mine")["by"] == "me"
    assert Path(store.get_image_uri("mine")).read_bytes() == b".nrrd"
    store.save_label("mine", str(tmp_path / "new.nii.gz"), "final", {})
    with pytest.raises(SemganError, match="labels belong"):
        store.add_image("mine", str(tmp_path / "sent.nii.gz"), {})
    store.remove_image("mine")
    assert not list((folder / "uploaded_images").iterdir()) and store.list_images() == ["scan"]


def test_an_original_that_is_removed_leaves_the_list_for_good_and_stays_on_the_disk(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (folder / "other.nii.gz").write_bytes(b"other")
    store = StudiesDatastore(str(folder), auto_reload=False)
    store.remove_image("scan")
    for _ in range(2):
        assert store.list_images() == ["other"] and (folder / "scan.nii.gz").read_bytes() == b"image"
        assert [(one.name, "removed" in one.reason) for one in store.left_out()] == [("scan.nii.gz", True)]
        store = StudiesDatastore(str(folder), auto_reload=False)


def test_labels_of_a_model_do_not_outlive_the_image_they_were_made_from(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    store = StudiesDatastore(str(folder), auto_reload=False)
    state = store.image_state("scan")
    for tag in ("original", "semgan_uncertainty"):
        store.save_label("scan", str(tmp_path / "new.nii.gz"), tag, {"image_state": state})
    everything = {"final", "original", "semgan_uncertainty"}
    assert set(store.get_labels_by_image_id("scan")) == everything
    (folder / "scan.nii.gz").write_bytes(b"imagf")
    assert set(store.get_labels_by_image_id("scan")) == {"final"}, "what a reader has drawn stays"
    assert store.get_label_uri("scan", "final") and not store.get_label_uri("scan", "original")
    store.save_label("scan", str(tmp_path / "old.nii.gz"), "original", {"image_state": store.image_state("scan")})
    assert Path(store.get_label_uri("scan", "original")).read_bytes() == b"old label" * 10
    store.remove_image("scan")
    assert store.list_images() == [] and not list((folder / "labels").glob("*/scan*"))


def test_numbers_that_are_none_are_null_in_the_list(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    store = StudiesDatastore(str(folder), auto_reload=False)
    store.update_image_info("scan", {"scores": {"x": float("nan"), "y": [float("inf")]}})
    assert "NaN" not in (text := (folder / "datastore_v2.json").read_text()) and "Infinity" not in text
    assert json.loads(text)["objects"]["scan"]["image"]["info"]["scores"] == {"x": None, "y": [None]}


def test_what_a_caller_does_with_an_info_and_what_clients_call_an_image_changes_nothing(tmp_path: Path) -> None:
    store = StudiesDatastore(str(_folder(tmp_path)), auto_reload=False)
    store.update_image_info("scan", {"strategy": {"a": {"ts": 1}}, "name": "../../x.sh", "path": "/etc/passwd"})
    store.get_image_info("scan")["strategy"]["b"] = "not noted"
    info = store.get_image_info("scan")
    assert info["strategy"] == {"a": {"ts": 1}} and info["name"] == "scan.nii.gz"
    assert info["path"] == store.get_image_uri("scan")


def test_files_that_others_put_there_are_noticed(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    store: Any = StudiesDatastore(str(folder))
    try:
        (folder / "unfinished.tmp").write_bytes(b"image")
        (folder / "unfinished.tmp").rename(folder / "renamed.nii.gz")
        (folder / "written.nrrd").write_bytes(b"image")
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and not {"renamed", "written"} <= set(store.list_images()):
            time.sleep(0.1)
        assert set(store.list_images()) == {"scan", "renamed", "written"}
    finally:
        store.close()


def test_images_of_clients_leave_room_for_labels_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from monai_semgan.jobs.job_errors import NoSpace
    from monai_semgan.label_app import images_datastore

    folder = _folder(tmp_path)
    store, before = StudiesDatastore(str(folder), auto_reload=False), _hashes(folder)
    whole = shutil.disk_usage(folder).total  # others may make room meanwhile
    monkeypatch.setattr(images_datastore, "ROOM_FOR_LABELS_BYTES", whole)
    with pytest.raises(NoSpace, match="no room"):
        store.add_image("mine", str(tmp_path / "new.nii.gz"), {})
    assert _hashes(folder) == before and store.list_images() == ["scan"]
