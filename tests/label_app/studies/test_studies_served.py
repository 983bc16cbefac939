"""A folder as people have it behind `semgan serve --labels`: seen by clients, before and after a kill."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.io.reading import read_volume
from tests.dicom_phantoms import PATIENT, datasets, write_series
from tests.label_app.holes import ask
from tests.label_app.servers import Server, start_semgan
from tests.phantoms import grid, patient, save_nifti

pytestmark = pytest.mark.label

AFFINE, SHAPE = grid((10.0, 10.0, 14.0), codes="LPS", degrees=(3.0, -4.0, 5.0))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A left-handed CT in a sub-folder, one in capitals, a DICOM series, and what is none of these."""
    folder = tmp_path_factory.mktemp("served") / "studies"
    affine, shape = grid((10.0, 10.0, 14.0), codes="LAS")
    for name in ("A b/ct 1.nii.gz", "CAPITALS.NII.GZ"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        scan = save_nifti(folder / "scan.nii.gz", patient(affine, shape).array, affine)
        scan.rename(folder / name)
    write_series(folder / "Secret^Name" / "abdomen", datasets(np.rint(patient(AFFINE, SHAPE).array), AFFINE))
    (folder / "two\nlines.nii.gz").write_bytes(b"x")
    (folder / "notes.txt").write_text("seen")
    return folder


@pytest.fixture(scope="module")
def home(studies: Path) -> Path:
    """Where everything is written to."""
    return studies.with_name("home")


@pytest.fixture(scope="module")
def server(studies: Path, home: Path, tiny_bundle: Path) -> Iterator[Server]:
    """The server, with studies that nobody can write."""
    for path in [*studies.rglob("*"), studies]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    with start_semgan(studies, studies.with_name("output"), "--labels", home, "--bundle", tiny_bundle) as server:
        yield server
    studies.chmod(0o755)


def _told(server: Server) -> dict[str, Any]:
    told = ask(server, "GET", "/semgan/studies").json()
    while told["pending"]:
        told = ask(server, "GET", "/semgan/studies").json()
    return dict(told)


def _images(server: Server) -> list[str]:
    return sorted(ask(server, "GET", "/datastore/?output=all").json()["objects"])


def _series(server: Server) -> str:
    _told(server)
    return next(image for image in _images(server) if image.startswith("ct_4_"))


def test_clients_see_every_scan_and_what_is_left_out_and_why(server: Server) -> None:
    told = _told(server)
    assert told["images"] == 3 and len(_images(server)) == 3 and {"A b__ct 1", "CAPITALS"} < set(_images(server))
    reasons = {one["name"]: one["reason"] for one in told["left_out"]}
    assert "line break" in reasons["two\\x0alines.nii.gz"] and ".txt" in reasons["notes.txt"]


def test_a_series_is_downloaded_as_one_file_on_its_grid(server: Server, studies: Path, tmp_path: Path) -> None:
    image = _series(server)
    info = ask(server, "GET", f"/datastore/image/info?image={image}").json()
    answer = ask(server, "GET", f"/datastore/image?image={image}")
    assert info["name"] == f"{image}.nrrd" and f'filename="{image}.nrrd"' in answer.headers["content-disposition"]
    (tmp_path / info["name"]).write_bytes(answer.content)
    given, taken = read_volume(studies / "Secret^Name" / "abdomen"), read_volume(tmp_path / info["name"])
    np.testing.assert_array_equal(given.array, taken.array)
    np.testing.assert_allclose(given.affine, taken.affine, atol=1e-6)
    assert PATIENT.encode() not in answer.content and "Secret" not in json.dumps(info)


@pytest.mark.parametrize("name", ["A b__ct 1", "CAPITALS", "a series"])
def test_every_scan_can_be_segmented_by_its_id_and_takes_the_label(name: str, server: Server, tmp_path: Path) -> None:
    image = _series(server) if name == "a series" else name
    params = {"params": '{"result_extension": ".nii.gz"}'}
    answer = ask(server, "POST", f"/infer/semgan_preview?image={image}&output=image", data=params)
    assert answer.status_code == 200, answer.text
    (tmp_path / "label.nii.gz").write_bytes(answer.content)
    shape = nibabel.load(tmp_path / "label.nii.gz").shape  # type: ignore[attr-defined]
    whole = nibabel.Nifti1Image(np.ones(shape, np.uint8), nibabel.load(tmp_path / "label.nii.gz").affine)  # type: ignore[attr-defined, no-untyped-call]
    nibabel.save(whole, tmp_path / "label.nii.gz")  # type: ignore[attr-defined]
    with (tmp_path / "label.nii.gz").open("rb") as label:
        answer = ask(server, "PUT", f"/datastore/label?image={image}&tag=final", files={"label": label})
    assert answer.status_code == 200, answer.text
    job = ask(server, "POST", "/semgan/jobs", json={"image": image, "mode": "preview"})
    assert job.status_code in (200, 201, 202), job.text


def test_no_client_replaces_or_removes_the_file_of_an_original(server: Server, studies: Path, tmp_path: Path) -> None:
    scan = save_nifti(tmp_path / "scan.nii.gz", np.random.default_rng(0).random((9, 9, 9)), np.diag([1.0, 1, 1, 1]))
    for image in _images(server):
        with scan.open("rb") as file:
            answer = ask(server, "PUT", f"/datastore/image?image={image}", files={"file": file})
        assert answer.status_code == 409 and "original" in answer.json()["detail"]
    with scan.open("rb") as file:
        assert ask(server, "PUT", "/datastore/image?image=sent", files={"file": file}).status_code == 200
    assert ask(server, "DELETE", "/datastore/image?id=CAPITALS").status_code == 200
    assert "CAPITALS" not in _images(server) and (studies / "CAPITALS.NII.GZ").is_file()


BAD = [
    ("PUT", "/datastore/image/info?image=sent", {"data": {"info": '{"a": "\\ud800"}'}}),
    ("PUT", "/datastore/image/info?image=sent", {"data": {"info": '{"a":' * 300 + "1" + "}" * 300}}),
    ("PUT", "/datastore/image/info?image=sent", {"data": {"info": '{"a": "' + "x" * 1_900_000 + '"}'}}),
    ("PUT", "/datastore/image/info?image=sent", {"data": {"info": '{"\\udfff": 1}'}}),
    ("PUT", "/datastore/image/info?image=sent", {"data": {"info": '{"a": 1' + "0" * 2000 + "}"}}),
    ("POST", "/activelearning/random", {"json": {"client_id": "\ud800"}}),
    ("POST", "/activelearning/random", {"json": {"client_id": "x" * 1_000_000}}),
]


def test_after_every_bad_request_and_a_kill_the_server_starts_with_all_it_knew(
    studies: Path, home: Path, server: Server, tiny_bundle: Path
) -> None:
    for method, route, body in BAD:
        answer = ask(server, method, route, **body)
        assert 400 <= answer.status_code < 500 and answer.json()["detail"]
        json.loads((home / "datastore_v2.json").read_text())
    images, series = _images(server), _series(server)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(100)
    for leftover in (".0a1b2c3d.part.datastore_v2.json", "uploaded_images/.0a1b2c3d.part.x.nii.gz"):
        (home / leftover).write_bytes(b"half")
    text = (home / "datastore_v2.json").read_text()
    (home / "datastore_v2.json").write_text(text[: len(text) // 2])
    options = ("--labels", home, "--bundle", tiny_bundle)
    with start_semgan(studies, studies.with_name("again"), *options) as again:
        _told(again)
        assert _images(again) == images and _series(again) == series
        objects = ask(again, "GET", "/datastore/?output=all").json()["objects"]
        assert "final" in objects[series]["labels"] and "final" in objects["A b__ct 1"]["labels"]
        for folder in (studies, studies.with_name("output"), studies.with_name("again"), home / ".semgan"):
            logs = [path for path in folder.glob("*.log*") if path.is_file()]
            assert not any("Secret" in path.read_text() or "CAPITALS" in path.read_text() for path in logs)
    assert not list(home.rglob(".0a1b2c3d.part.*")) and not os.access(studies / ".semgan", os.F_OK)
