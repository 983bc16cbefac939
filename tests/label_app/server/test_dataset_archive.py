"""The zip of the data set: whole, in blocks, and of the files as they were."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monailabel.interfaces.exception import LabelNotFoundException

from monai_semgan.label_app.server import dataset_archive as module
from monai_semgan.label_app.server.dataset_archive import ArchiveResponse, members, zip_blocks

pytestmark = pytest.mark.label


def case(folder: Path, name: str, size: int = 1000) -> dict[str, str]:
    """An image and a label."""
    found = {}
    for kind in ("image", "label"):
        path = folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{kind} {name}".encode().ljust(size, b"."))
        found[kind] = str(path)
    return found


class Store:
    """As much of a datastore as is asked for."""

    def __init__(self, cases: list[dict[str, str]]) -> None:
        self.cases = cases

    def datalist(self) -> list[dict[str, str]]:
        return self.cases

    def json(self) -> dict[str, object]:
        return {"name": "studies", "base_path": "/secret"}


def opened(blocks: object) -> zipfile.ZipFile:
    """The archive."""
    archive = zipfile.ZipFile(io.BytesIO(b"".join(blocks)))  # type: ignore[call-overload]
    assert archive.testzip() is None
    return archive


def test_images_labels_and_what_is_known_of_them_are_in_it(tmp_path: Path) -> None:
    cases = [case(tmp_path, "a.nii.gz", 700_000), case(tmp_path, "b.nii.gz", 0)]
    archive = opened(zip_blocks(members(cases), '{"name": 1}'))
    names = {"image/a.nii.gz", "label/a.nii.gz", "image/b.nii.gz", "label/b.nii.gz", "metadata.json"}
    assert set(archive.namelist()) == names
    assert archive.read("image/a.nii.gz") == Path(cases[0]["image"]).read_bytes()
    assert json.loads(archive.read("metadata.json")) == {"name": 1}


def test_no_block_is_much_larger_than_another(tmp_path: Path) -> None:
    blocks = list(zip_blocks(members([case(tmp_path, "a.nii", 5_000_000)]), "{}"))
    assert max(map(len, blocks)) < 2 * module.BLOCK_BYTES and len(blocks) > 30


def test_images_of_the_same_name_in_two_folders_are_both_there(tmp_path: Path) -> None:
    cases = [case(tmp_path / folder, "scan.nii.gz") for folder in ("x", "y")]
    assert len(opened(zip_blocks(members(cases), "{}")).namelist()) == 5


def test_images_of_sub_folders_are_called_as_their_labels(tmp_path: Path) -> None:
    cases = []
    for folder, ending in (("x", ".nii.gz"), ("y", ".NRRD"), ("z", ".mha")):
        image, label = tmp_path / folder / f"scan{ending}", tmp_path / "labels" / f"{folder}__scan.seg.nrrd"
        for path in (image, label):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(folder.encode())
        cases.append({"image": str(image), "label": str(label)})
    archive = opened(zip_blocks(members(cases), "{}"))
    images = {"image/x__scan.nii.gz": b"x", "image/y__scan.NRRD": b"y", "image/z__scan.mha": b"z"}
    assert {name: archive.read(name) for name in archive.namelist() if name.startswith("image")} == images
    assert {name for name in archive.namelist() if name.startswith("label")} == {
        f"label/{folder}__scan.seg.nrrd" for folder in "xyz"
    }


def test_a_series_is_added_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "series" / "deep").mkdir(parents=True)
    for name in ("1.dcm", "deep/2.dcm"):
        (tmp_path / "series" / name).write_bytes(b"x")
    assert [name for name, _ in members([{"image": str(tmp_path / "series")}])] == [
        "image/series/1.dcm",
        "image/series/deep/2.dcm",
    ]


def test_a_file_that_has_gone_is_left_out_and_one_that_grows_or_shrinks_spoils_nothing(tmp_path: Path) -> None:
    cases = [case(tmp_path, name, 600_000) for name in ("gone.nii", "grows.nii", "shrinks.nii", "stays.nii")]
    found = members(cases)
    Path(cases[0]["image"]).unlink()
    blocks, sent = zip_blocks(found, "{}"), []
    for block in blocks:
        sent.append(block)
        if b"image/grows.nii" in block:
            with Path(cases[1]["image"]).open("ab") as stream:
                stream.write(bytes(10**6))
        if b"image/shrinks.nii" in block:
            Path(cases[2]["image"]).write_bytes(b"")
    archive = opened(sent)
    assert "image/gone.nii" not in archive.namelist() and "label/gone.nii" in archive.namelist()
    assert archive.getinfo("image/grows.nii").file_size == 600_000
    assert archive.getinfo("image/shrinks.nii").file_size < 600_000
    assert archive.read("image/stays.nii") == Path(cases[3]["image"]).read_bytes()


@pytest.mark.parametrize(("limit", "count"), [(None, 3), (0, 3), (1, 1), (2, 2), (3, 3), (99, 3), (-1, 3)])
def test_as_many_cases_as_asked_for(limit: int | None, count: int, tmp_path: Path) -> None:
    store = Store([case(tmp_path, f"{name}.nii") for name in "abc"])
    archive = opened(ArchiveResponse(store, limit)._blocks)
    assert sum(name.startswith("image/") for name in archive.namelist()) == count
    assert b"secret" not in archive.read("metadata.json")


def test_without_final_labels_there_is_none() -> None:
    with pytest.raises(LabelNotFoundException):
        ArchiveResponse(Store([]), None)
