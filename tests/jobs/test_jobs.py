"""Jobs as a client sees them, on a real server."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from tests.jobs.conftest import BYTES, Server

pytestmark = pytest.mark.label

ORGANS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}


def fetch(server: Server, job: str, part: str, form: str, folder: Path) -> Any:
    """A part of a result as (array, affine, dtype)."""
    response = server.get(f"/jobs/{job}/result/{part}", params={"format": form})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    assert int(response.headers["x-semgan-result-version"]) >= 1
    path = folder / f"{part}.{form}"
    path.write_bytes(response.content)
    if form == "nii.gz":
        image = nibabel.load(path)
        return np.asarray(image.dataobj), image.affine, image.get_data_dtype()
    import SimpleITK

    from monai_semgan.io.itk import affine_of

    image = SimpleITK.ReadImage(str(path))
    array = SimpleITK.GetArrayFromImage(image).transpose()
    return array, affine_of(image), array.dtype


@pytest.mark.parametrize("mode", ["preview", "invert", "refine"])
@pytest.mark.parametrize("image", ["ct", "mr"])
def test_a_job_gives_what_the_package_gives_on_exactly_the_images_grid(
    mode: str, image: str, server: Server, tiny_bundle: Path, tmp_path: Path
) -> None:
    from monai_semgan.bundle.load import load_bundle
    from monai_semgan.inference.segmentation import segment
    from monai_semgan.io.reading import read_volume

    job = server.submit(image=image, mode=mode, client="test")
    ended = server.done(job)
    assert ended["expires"] > ended["finished"] >= ended["started"]
    volume = read_volume(server.studies / f"{image}.nii.gz")
    expected = segment(volume, load_bundle(tiny_bundle, "cpu"), mode)
    result = server.get(f"/jobs/{job}/result").json()
    for form in ("nrrd", "nii.gz"):
        label, affine, dtype = fetch(server, job, "label", form, tmp_path)
        assert dtype == np.uint8 and np.allclose(affine, volume.affine, atol=1e-4)
        assert np.mean(label != expected.label) < 0.001  # other threads add up in another order
    assert result["volumes_ml"] == pytest.approx(expected.volumes_ml, rel=0.05, abs=5)
    assert np.allclose(result["affine"], volume.affine) and result["shape"] == list(volume.array.shape)
    assert [found["name"] for found in result["labels"]] == list(ORGANS) and not result["partial"]
    assert (result["residual_per_slice"] is None) == (mode == "preview")
    assert result["model"]["sha256"] and result["research_only"] and result["latencies"]["total"] > 0
    assert len(result["slice_centres"]) == ended["slices"] == expected.prepared.geometry.num_slices


def test_maps_are_in_the_units_of_the_scan_and_the_report_is_a_page(server: Server, tmp_path: Path) -> None:
    from monai_semgan.io.reading import read_volume

    job = server.submit(image="ct", mode="invert")
    ended = server.reported(job)
    assert ended["parts"] == ["label", "reconstruction", "residual", "uncertainty", "report"]
    volume = read_volume(server.studies / "ct.nii.gz")
    limits = {"reconstruction": (-125, 275), "residual": (0, 400), "uncertainty": (0, 1)}
    for part, (low, high) in limits.items():
        for form in ("nrrd", "nii.gz"):
            array, affine, dtype = fetch(server, job, part, form, tmp_path)
            assert dtype == np.float32 and array.shape == volume.array.shape
            assert np.allclose(affine, volume.affine, atol=1e-4)
            assert low - 0.01 <= array.min() and array.max() <= high + 0.01 and np.ptp(array) > 0.01 * (high - low)
    page = server.get(f"/jobs/{job}/result/report")
    assert page.headers["content-type"].startswith("text/html") and b"<html" in page.content
    assert b'src="http' not in page.content and b"mustermann" not in page.content


def test_a_report_that_is_being_written_is_waited_for(server: Server) -> None:
    job = server.submit(image="ct")
    server.done(job)
    assert b"<html" in server.get(f"/jobs/{job}/result/report").content


def test_a_preview_has_neither_reconstruction_nor_residual(server: Server) -> None:
    job = server.submit(image="ct")
    assert server.reported(job)["parts"] == ["label", "uncertainty", "report"]
    missing = server.get(f"/jobs/{job}/result/residual")
    assert missing.status_code == 404 and "no residual" in missing.json()["detail"]


def test_results_so_far_are_whole_while_an_inversion_goes_on(server: Server, tmp_path: Path) -> None:
    job = server.running()
    first = server.get(f"/jobs/{job}/result").json()
    assert first["partial"] and first["version"] >= 1
    label, _, dtype = fetch(server, job, "label", "nrrd", tmp_path)
    assert dtype == np.uint8 and label.any()
    assert fetch(server, job, "reconstruction", "nrrd", tmp_path)[0].shape == label.shape
    early = server.get(f"/jobs/{job}/result/report")
    assert early.status_code == 409 and "running" in early.json()["detail"]
    later = server.wait(job, lambda found: found["result_version"] > first["version"])
    assert later["step"] > 1 and later["steps"] == 10_000 and later["slices"] == 17
    assert len(later["loss"]) == later["step"] + 1 and later["loss"][-1] < later["loss"][0]
    assert len(later["residual"]) == 17 and later["eta_seconds"] > 0
    server.ask("DELETE", f"/jobs/{job}")


def test_a_cancelled_inversion_keeps_its_best_result(server: Server, tmp_path: Path) -> None:
    job = server.running()
    asked = server.ask("POST", f"/jobs/{job}/cancel")
    assert asked.status_code == 200 and asked.json()["state"] in ("running", "cancelled")
    ended = server.reported(job)
    assert ended["state"] == "cancelled" and "report" in ended["parts"] and 0 < ended["step"] < 10_000
    result = server.get(f"/jobs/{job}/result").json()
    assert not result["partial"] and any("Stopped early" in note for note in result["notes"])
    assert fetch(server, job, "label", "nii.gz", tmp_path)[0].any()


def test_a_job_cancelled_before_its_turn_has_nothing_and_the_next_one_runs(server: Server) -> None:
    blocker = server.running()
    job = server.submit(image="ct", mode="invert")
    follower = server.submit(image="mr", mode="invert")
    assert server.job(job)["position"] == 0 and server.job(follower)["position"] == 1
    waiting = server.get(f"/jobs/{job}/result")
    assert waiting.status_code == 409 and "queued" in waiting.json()["detail"]
    assert server.get(f"/jobs/{job}/result/label").status_code == 409
    ended = server.ask("POST", f"/jobs/{job}/cancel").json()
    assert ended["state"] == "cancelled" and ended["parts"] == [] and ended["result_version"] == 0
    assert server.job(follower)["position"] == 0
    server.ask("POST", f"/jobs/{blocker}/cancel")
    server.done(follower)


def test_a_finished_job_cannot_be_cancelled(server: Server) -> None:
    job = server.submit(image="ct")
    server.wait(job)
    again = server.ask("POST", f"/jobs/{job}/cancel")
    assert again.status_code == 409 and "done" in again.json()["detail"]


def test_a_removed_job_is_gone_with_its_files_even_while_it_runs(server: Server) -> None:
    job = server.running()
    assert server.folder(job).exists()
    assert server.ask("DELETE", f"/jobs/{job}").status_code == 204
    assert server.get(f"/jobs/{job}").status_code == 404
    assert job not in [found["id"] for found in server.get("/jobs").json()["jobs"]]
    server.done(server.submit(image="ct"))  # the worker is free again
    assert not server.folder(job).exists()


def test_the_newest_job_comes_first_in_the_list(server: Server) -> None:
    jobs = [server.submit(image="ct") for _ in range(2)]
    for job in jobs:
        server.wait(job)
    listed = [found["id"] for found in server.get("/jobs").json()["jobs"]]
    assert listed.index(jobs[1]) < listed.index(jobs[0])


def test_an_upload_serves_several_jobs(server: Server) -> None:
    sent = server.upload((server.studies / "ct.nii.gz").read_bytes())
    assert sent.status_code == 201, sent.text
    upload = sent.json()
    image = nibabel.load(server.studies / "ct.nii.gz")
    assert upload["shape"] == list(image.shape) and upload["spacing"] == pytest.approx(image.header.get_zooms(), 1e-4)
    volumes = []
    for mode in ("preview", "refine"):
        job = server.submit(upload=upload["id"], mode=mode)
        busy = server.ask("DELETE", f"/uploads/{upload['id']}")
        server.done(job)
        assert busy.status_code == 409
        volumes.append(server.get(f"/jobs/{job}/result").json()["volumes_ml"])
    of_image = server.submit(image="ct")
    server.wait(of_image)
    assert server.get(f"/jobs/{of_image}/result").json()["volumes_ml"] == pytest.approx(volumes[0])
    assert server.ask("DELETE", f"/uploads/{upload['id']}").status_code == 204
    gone = server.ask("POST", "/jobs", json={"upload": upload["id"]})
    assert gone.status_code == 404 and "unknown upload" in gone.json()["detail"]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii"])
def test_uploads_come_in_every_format(suffix: str, server: Server, tmp_path: Path) -> None:
    from monai_semgan.io.reading import read_volume
    from monai_semgan.io.writing import write_volume

    volume = read_volume(server.studies / "ct.nii.gz")
    path = write_volume(volume.array, volume, tmp_path / f"scan{suffix}")
    sent = server.upload(path.read_bytes(), suffix)
    assert sent.status_code == 201, sent.text
    job = server.submit(upload=sent.json()["id"])
    server.done(job)
    assert np.allclose(server.get(f"/jobs/{job}/result").json()["affine"], volume.affine, atol=1e-4)


def test_only_slices_in_the_range_are_computed(server: Server, tmp_path: Path) -> None:
    whole = server.submit(image="mr")
    server.wait(whole)
    heights = sorted(centre[2] for centre in server.get(f"/jobs/{whole}/result").json()["slice_centres"])
    low, high = heights[3] - 1, heights[6] + 1
    job = server.submit(image="mr", slice_range_mm=[low, high])
    assert server.wait(job)["slices"] == 4
    result = server.get(f"/jobs/{job}/result").json()
    assert sorted(centre[2] for centre in result["slice_centres"]) == pytest.approx(heights[3:7], abs=1e-3)
    assert any("Only the 4 slices" in note for note in result["notes"])
    label, affine, _ = fetch(server, job, "label", "nii.gz", tmp_path)
    used = np.argwhere(label) @ affine[:3, :3].T + affine[:3, 3]
    assert used.size and low - 1 <= used[:, 2].min() and used[:, 2].max() <= high + 1


def test_only_the_labels_asked_for_come_out(server: Server, tmp_path: Path) -> None:
    job = server.submit(image="ct", labels=["Right_Kidney", "liver"])
    server.wait(job)
    assert list(server.get(f"/jobs/{job}/result").json()["volumes_ml"]) == ["liver", "right kidney"]
    assert set(np.unique(fetch(server, job, "label", "nrrd", tmp_path)[0])) <= {0, 1, 2}


def test_the_models_tell_labels_codes_and_what_was_measured(server: Server) -> None:
    server.wait(server.submit(image="ct"))
    (model,) = server.get("/models").json()["models"]
    assert [(label["id"], label["name"]) for label in model["labels"]] == [(i, n) for n, i in ORGANS.items()]
    kidney = model["labels"][1]
    assert kidney["kind"]["value"] == "64033007" and kidney["side"]["meaning"] == "Right"
    assert model["modalities"] == ["CT"] and model["bytes"] > 1000 and len(model["sha256"]) == 64
    modes = {mode["name"]: mode for mode in model["modes"]}
    assert set(modes) == {"preview", "invert", "refine"} and modes["preview"]["steps"] is None
    assert modes["invert"]["steps"] == 2 and modes["preview"]["seconds"] > 0


def test_health_tells_who_it_is_and_what_it_does(server: Server) -> None:
    deadline = time.monotonic() + 120
    while not server.get("/health").json()["ready"] and time.monotonic() < deadline:
        time.sleep(0.1)
    health = server.get("/health").json()
    assert health["product"] == "monai_semgan" and health["api"].startswith("1.") and health["ready"]
    assert health["workers"][0]["device"] == "cpu" and health["upload_limit_bytes"] == 4_000_000
    assert health["disk_bytes"] < health["disk_limit_bytes"]


@pytest.mark.parametrize(
    ("request_body", "status", "said"),
    [
        ({"image": "nobody"}, 404, "unknown image"),
        ({"image": "../ct"}, 422, "image"),
        ({"image": "/etc/passwd"}, 422, "image"),
        ({"upload": "0" * 32}, 404, "unknown upload"),
        ({"upload": "../../x"}, 422, "upload"),
        ({}, 422, "either image or upload"),
        ({"image": "ct", "upload": "0" * 32}, 422, "either image or upload"),
        ({"image": "ct", "labels": ["pancreas"]}, 422, "unknown label 'pancreas'; this model knows liver"),
        ({"image": "ct", "labels": []}, 422, "labels"),
        ({"image": "ct", "model": "other"}, 404, "unknown model"),
        ({"image": "ct", "mode": "guess"}, 422, "mode"),
        ({"image": "ct", "steps": 0}, 422, "steps"),
        ({"image": "ct", "stepz": 5}, 422, "stepz"),
        ({"image": "ct", "objective": "beauty"}, 422, "unknown objective"),
        ({"image": "ct", "modality": "US"}, 422, "modality"),
        ({"image": "ct", "slice_range_mm": [5, 5]}, 422, "slice_range_mm"),
        ({"image": "ct", "slice_range_mm": [5000, 6000]}, 422, "outside the volume, which reaches from"),
        ({"image": "ct", "slice_range_mm": [-6000, -5000]}, 422, "outside the volume"),
    ],
)
def test_requests_that_make_no_sense_are_refused_in_words(
    request_body: dict[str, Any], status: int, said: str, server: Server
) -> None:
    response = server.ask("POST", "/jobs", json=request_body)
    assert response.status_code == status and set(response.json()) == {"detail"}
    assert said in response.json()["detail"] and str(server.studies) not in response.text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b'{"image": "\\ud800"}', b"\xff\xfe", b"\x80{}", b'{"steps": NaN}']
)
def test_a_body_that_is_no_request_is_refused_in_words(body: bytes, server: Server) -> None:
    response = server.ask("POST", "/jobs", data=body, headers={"content-type": "application/json"})
    assert response.status_code == 422 and isinstance(response.json()["detail"], str)


@pytest.mark.parametrize("job", ["0" * 32, "x", "..%2f..%2fetc%2fpasswd", "%00", "A" * 5000, "job.json"])
def test_unknown_ids_are_not_found(job: str, server: Server) -> None:
    for method, path in (
        ("GET", f"/jobs/{job}"),
        ("GET", f"/jobs/{job}/result"),
        ("GET", f"/jobs/{job}/result/label"),
        ("POST", f"/jobs/{job}/cancel"),
        ("DELETE", f"/jobs/{job}"),
        ("DELETE", f"/uploads/{job}"),
    ):
        response = server.ask(method, path)
        assert response.status_code == 404 and set(response.json()) == {"detail"}, (method, path, response.text)


def _noise(size: int) -> bytes:
    return np.random.default_rng(0).bytes(size)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("content", [b"", b"hello", _noise(5000)])
def test_what_is_no_volume_is_not_taken(content: bytes, suffix: str, server: Server) -> None:
    before = set((server.studies / ".semgan" / "uploads").iterdir())
    response = server.upload(content, suffix)
    assert response.status_code == 422 and response.json()["detail"]
    assert "/" not in response.json()["detail"] and "Traceback" not in response.text
    assert set((server.studies / ".semgan" / "uploads").iterdir()) == before


def test_a_truncated_upload_is_not_taken(server: Server) -> None:
    whole = (server.studies / "ct.nii.gz").read_bytes()
    response = server.upload(whole[: len(whole) // 2])
    assert response.status_code == 422 and "cut off" in response.json()["detail"]


def test_an_upload_over_the_limit_is_not_taken_whether_its_length_is_told_or_not(server: Server) -> None:
    before = set((server.studies / ".semgan" / "uploads").iterdir())
    told = server.upload(bytes(4_000_001))
    untold = server.upload(iter([bytes(1_000_000)] * 5))  # type: ignore[arg-type]
    for response in (told, untold):
        assert response.status_code == 413, server.log.read_text()
        assert "4000000 bytes" in response.json()["detail"]
    assert set((server.studies / ".semgan" / "uploads").iterdir()) == before


def test_uploads_of_another_kind_are_not_taken(server: Server) -> None:
    files = {"file": ("scan.nii.gz", io.BytesIO(b"x"))}
    form = server.ask("POST", "/uploads", params={"suffix": ".nii.gz"}, files=files)
    assert form.status_code == 415 and "application/octet-stream" in form.json()["detail"]
    for suffix in (".exe", "/../../x.nii.gz", ""):
        assert server.upload(b"x", suffix).status_code == 422
    assert server.ask("POST", "/uploads", data=b"x", headers=BYTES).status_code == 422


def test_the_log_names_no_patient_and_no_file(server: Server) -> None:
    server.ask("POST", "/jobs", json={"image": "mustermann"})
    server.upload(b"hello", ".nrrd")
    assert "mustermann" not in server.log.read_text() and ".nii" not in server.log.read_text()
