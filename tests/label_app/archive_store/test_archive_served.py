"""`semgan serve` on a real archive: its series are listed, fetched when needed, segmented, and labels go back to it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.io.reading import read_volume
from tests.dicom_phantoms import PATIENT
from tests.dicomweb.orthanc import Orthanc, needs_orthanc
from tests.label_app.archive_store.serving import (
    ask,
    download,
    ids,
    images,
    label_file,
    organs,
    save_label,
    wait_for,
    write_scan,
)
from tests.label_app.servers import Server

pytestmark = [pytest.mark.label, needs_orthanc]

SCANS = ("ct", "mr", "packed")


def test_series_have_the_ids_of_the_same_series_in_a_folder(server: Server, scans: Path) -> None:
    wanted = {image for name in SCANS for image in ids(scans, name)}
    assert wanted < set(images(server)) and len(wanted) == 3
    assert not any(image.startswith("pt") for image in images(server))


def test_overviews_are_left_out_with_the_reason(server: Server) -> None:
    told = ask(server, "GET", "/semgan/studies").json()
    assert [one["reason"] for one in told["left_out"]] == ["single images, no volume"]
    assert told["left_out"][0]["name"].startswith("ct_1_") and told["images"] == len(images(server))


@pytest.mark.parametrize("name", SCANS)
def test_a_series_is_downloaded_as_one_file_on_its_grid(name: str, server: Server, scans: Path, tmp_path: Path) -> None:
    (image,) = ids(scans, name)
    taken, given = download(server, image, tmp_path), read_volume(scans / name)
    np.testing.assert_array_equal(given.array, taken.array)
    np.testing.assert_allclose(given.affine, taken.affine, atol=1e-6)


def test_a_series_of_several_volumes_becomes_an_image_for_each(server: Server, scans: Path, tmp_path: Path) -> None:
    parts = ids(scans, "echoes")
    (whole,) = [image for image in images(server) if image.startswith("mr_12_")]
    refused = ask(server, "GET", f"/datastore/image?image={whole}")
    assert refused.status_code == 422 and len(parts) == 2
    assert all(
        f"{part} (echo={echo})" in refused.json()["detail"]
        for echo, part in enumerate(sorted(parts, key=parts.index), 1)
    )
    assert set(parts) < set(images(server)) and whole not in images(server)
    for echo, part in enumerate(parts, 1):
        given = read_volume(scans / "echoes", series=f"12/echo={echo}")
        np.testing.assert_array_equal(given.array, download(server, part, tmp_path).array)


def test_what_is_fetched_lies_where_no_other_user_looks(server: Server) -> None:
    assert stat.S_IMODE((server.studies / ".semgan" / "archive").stat().st_mode) == 0o700


def test_images_are_segmented_by_infer_and_by_jobs(server: Server, scans: Path) -> None:
    (image,) = ids(scans, "mr")
    params = {"params": '{"result_extension": ".nii.gz"}'}
    answer = ask(server, "POST", f"/infer/semgan_preview?image={image}&output=image", data=params)
    assert answer.status_code == 200, answer.text
    job = ask(server, "POST", "/semgan/jobs", json={"image": image, "mode": "preview"}).json()["id"]
    ended = wait_for(
        lambda: (told := ask(server, "GET", f"/semgan/jobs/{job}").json())["finished"] and told, "the job's end"
    )
    assert ended["state"] == "done", ended
    label = ask(server, "GET", f"/semgan/jobs/{job}/result/label?format=nii.gz")
    assert label.status_code == 200 and len(label.content) > 100


def test_series_come_and_go_without_a_restart(server: Server, archive: Orthanc, scans: Path, tmp_path: Path) -> None:
    folder = write_scan(scans / "late", SeriesNumber=33, spacing=(30.0, 30.0, 30.0))
    stored = archive.store([folder])
    (image,) = ids(scans, "late")
    wait_for(lambda: image in images(server), "a new series in the list")
    given = download(server, image, tmp_path)
    file = label_file(organs(given), given, tmp_path / "label.nii.gz")
    assert save_label(server, image, file, tag="preliminary").status_code == 200
    series = archive.rest(f"/instances/{stored[0]}/series")["ID"]
    archive.get(f"/series/{series}", method="DELETE")
    wait_for(lambda: image not in images(server), "a removed series out of the list")
    told = ask(server, "GET", "/semgan/studies").json()["left_out"]
    assert any(image in one["reason"] for one in told)
    archive.store([folder])
    wait_for(lambda: "preliminary" in images(server).get(image, {}).get("labels", {}), "the label with its series")


def test_stock_ways_into_the_archive_stay_closed(server: Server) -> None:
    for path in ("/proxy/dicom/qido/studies", "/proxy/dicom/wado/studies"):
        assert ask(server, "GET", path).status_code == 404, path


def test_nothing_of_the_patient_is_in_list_or_log(server: Server) -> None:
    told = json.dumps(
        [images(server), ask(server, "GET", "/info/").json(), ask(server, "GET", "/semgan/archive").json()]
    )
    assert PATIENT.split("^")[0] not in told + server.logged() and "secret-id" not in told + server.logged()
    assert "1.2.826" not in server.logged()
