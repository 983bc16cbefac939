"""`semgan serve` from start to end."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.conftest import REPOSITORY
from tests.label_app.holes import ask, infer
from tests.label_app.servers import Server, fill, start_semgan

pytestmark = pytest.mark.label


def _semgan(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai_semgan", "serve", *map(str, words)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, **options)


def test_the_first_line_tells_the_address_and_control_c_ends_it_in_order_also_while_it_works(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    studies = fill(tmp_path / "studies")
    command = [sys.executable, "-m", "monai_semgan", "serve", studies, "--bundle", tiny_bundle, "--port", "0"]
    with subprocess.Popen(
        [str(word) for word in command], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line.startswith("serving at http://127.0.0.1:") and "research use only" in line
        server = Server(line.split()[2], process, studies, tmp_path, tmp_path)
        options = {"data": {"params": '{"steps": 9000}'}}
        waiting = threading.Thread(
            target=_ask_until_gone, args=(server, "POST", "/infer/semgan_invert?image=ct"), kwargs=options
        )
        waiting.start()
        while not ask(server, "GET", "/semgan/jobs").json()["jobs"]:
            time.sleep(0.1)
        workers = _children(process.pid)
        assert workers
        process.send_signal(signal.SIGINT)
        assert process.wait(200) == 0
        waiting.join(100)
        assert not waiting.is_alive() and not [pid for pid in workers if _runs(pid)]
        assert len(process.stdout.read().splitlines()) == 2 and not process.stderr.read()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = _semgan(tmp_path / "nothing")
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "no such folder" in run.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = _semgan(tmp_path, "--port", taken.getsockname()[1])
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "another --port" in run.stderr


def test_a_network_address_without_key_is_refused(tmp_path: Path) -> None:
    run = _semgan(tmp_path, "--host", "0.0.0.0")
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "--open-without-key" in run.stderr
    assert not run.stdout


def test_studies_that_another_server_holds_are_refused(served: Server, tiny_bundle: Path) -> None:
    run = _semgan(served.studies, "--bundle", tiny_bundle)
    assert run.returncode == 2 and "another server uses these studies" in run.stderr, run.stderr
    assert run.stderr.count("\n") == 1


def test_the_model_gets_warm_by_itself(served: Server) -> None:
    deadline = time.monotonic() + 300
    while not (health := ask(served, "GET", "/semgan/health").json())["ready"] and time.monotonic() < deadline:
        assert health["workers"][0]["state"] in ("starting", "warming")
        time.sleep(0.2)
    assert health["ready"] and health["product"] == "monai_semgan"


def test_an_inference_of_the_stock_route_leaves_no_job_and_no_file_behind(served: Server) -> None:
    assert infer(served, "image=ct", {"maps": True, "result_extension": ".seg.nrrd"}).ok
    assert not ask(served, "GET", "/semgan/jobs").json()["jobs"]
    assert not list((served.studies / ".semgan" / "jobs").iterdir())


def test_an_inference_whose_client_has_gone_is_cancelled(served: Server) -> None:
    import requests

    with pytest.raises(requests.Timeout):
        address = f"{served.address}/infer/semgan_invert?image=ct"
        requests.post(address, data={"params": '{"steps": 9000}'}, timeout=2)
    deadline = time.monotonic() + 300
    while (jobs := ask(served, "GET", "/semgan/jobs").json()["jobs"]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not jobs


@pytest.mark.parametrize("extension", [".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha"])
def test_every_format_holds_the_same_label_on_the_same_grid(extension: str, served: Server, tmp_path: Path) -> None:
    from monai_semgan.io.reading import read_label, read_volume

    answer = infer(served, "image=ct&output=image", {"result_extension": extension})
    (tmp_path / f"label{extension}").write_bytes(answer.content)
    scan = read_volume(served.studies / "ct.nii.gz")
    found = read_label(tmp_path / f"label{extension}", like=scan)
    np.testing.assert_allclose(found.affine, scan.affine, atol=1e-3)
    first = infer(served, "image=ct&output=image", {"result_extension": ".nii.gz"})
    (tmp_path / "first.nii.gz").write_bytes(first.content)
    np.testing.assert_array_equal(found.array, read_label(tmp_path / "first.nii.gz").array)


def test_values_that_make_no_sense_are_told(served: Server) -> None:
    for params, word in (
        ({"result_extension": ".exe"}, "result_extension"),
        ({"steps": "many"}, "steps"),
        ({"steps": 0}, "steps"),
        ({"labels": ["heart"]}, "heart"),
        ({"labels": 7}, "labels"),
        ({"maps": "yes"}, "maps"),
        ({"label_tag": "../x", "save_label": True}, "label_tag"),
        ({"session": {"path": "/"}}, "session"),
    ):
        answer = infer(served, "image=ct", params)
        assert answer.status_code == 422 and word in answer.json()["detail"], answer.text


def test_a_batch_can_be_stopped_and_keeps_what_it_has_saved(served: Server) -> None:
    assert ask(served, "POST", "/batch/infer/semgan_invert", json={"label_tag": "stopped", "steps": 5000}).ok
    assert ask(served, "POST", "/batch/infer/semgan_invert").status_code == 429
    deadline = time.monotonic() + 300
    while ask(served, "GET", "/batch/infer?check_if_running=true").json().get("progress", {}).get("total", 0) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ask(served, "DELETE", "/batch/infer").json()["status"] == "STOPPED"
    deadline = time.monotonic() + 300
    while ask(served, "GET", "/batch/infer?check_if_running=true").ok and time.monotonic() < deadline:
        time.sleep(0.2)
    assert ask(served, "GET", "/batch/infer").json()["status"] == "STOPPED"


def test_a_zip_of_a_session_lands_nowhere_else(served: Server, studies: Path, tmp_path: Path) -> None:
    import io
    import tarfile

    scan = (studies / "mr.nii.gz").read_bytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../../../escaped/scan.nii.gz")
        member.size = len(scan)
        archive.addfile(member, io.BytesIO(scan))
    files = {"files": ("scan.tar.gz", packed.getvalue())}
    session = ask(served, "PUT", "/session/?uncompress=true", files=files).json()
    assert Path(session["session_info"]["image"]).is_relative_to(served.sessions)
    assert infer(served, f"session_id={session['session_id']}").ok
    broken = ask(served, "PUT", "/session/?uncompress=true", files={"files": ("x.zip", b"no archive")})
    assert broken.status_code == 422 and "archive" in broken.json()["detail"]


def test_a_server_killed_while_it_saves_labels_has_whole_files(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    scan = nibabel.load(studies / "ct.nii.gz")
    rng = np.random.default_rng(0)
    labels = [
        nibabel.Nifti1Image(rng.integers(0, 5, scan.shape).astype(np.uint8), scan.affine).to_bytes() for _ in range(2)
    ]
    images = {name: (studies / name).read_bytes() for name in ("ct.nii.gz", "mr.nii.gz")}
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle) as server:
        assert _put(server, labels[0]).ok
        threading.Thread(target=_put_until_gone, args=(server, labels), daemon=True).start()
        time.sleep(0.7)
        server.process.kill()
        server.process.wait(100)
    assert (studies / "labels" / "final" / "ct.nii").read_bytes() in labels
    assert "final" in json.loads((studies / "datastore_v2.json").read_text())["objects"]["ct"]["labels"]
    with start_semgan(studies, tmp_path / "home2", "--bundle", tiny_bundle) as server:
        assert ask(server, "GET", "/datastore/label?label=ct&tag=final").content in labels
    assert {name: (studies / name).read_bytes() for name in images} == images
    assert not list(studies.rglob(".*.part.*"))


def test_a_full_disk_is_told_and_nothing_is_changed(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    scan = nibabel.load(studies / "ct.nii.gz")
    large = nibabel.Nifti1Image(np.zeros(scan.shape, np.uint8), scan.affine).to_bytes()
    small = gzip.compress(large)
    limit = (len(small) + len(large)) // 2
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle, largest_file=limit) as server:
        put = ask(server, "PUT", "/datastore/label?image=ct", files={"label": ("label.nii.gz", small)})
        assert put.ok, put.text
        before = _contents(studies)
        for method, path, name in (
            ("PUT", "/datastore/label?image=ct", "label"),
            ("PUT", "/datastore/image?image=new", "file"),
            ("PUT", "/session/", "files"),
            ("POST", "/infer/semgan_preview", "file"),
        ):
            answer = ask(server, method, path, files={name: ("large.nii", large)})
            assert answer.status_code == 507 and "disk" in answer.json()["detail"], answer.text
        note = {"info": json.dumps({"note": "x" * limit})}
        assert ask(server, "PUT", "/datastore/image/info?image=ct", data=note).status_code == 507
        assert "note" not in ask(server, "GET", "/datastore/image/info?image=ct").json()
        assert _contents(studies) == before


def _contents(studies: Path) -> dict[Path, bytes]:
    """Of every file that is not the server's own."""
    files = (path for path in studies.rglob("*") if path.is_file() and ".semgan" not in path.parts)
    return {path: path.read_bytes() for path in files}


def _ask_until_gone(*words: Any, **options: Any) -> None:
    import requests

    with contextlib.suppress(requests.RequestException):
        ask(*words, **options)


def _put(server: Server, label: bytes) -> Any:
    return ask(server, "PUT", "/datastore/label?image=ct", files={"label": ("label.nii", label)})


def _put_until_gone(server: Server, labels: list[bytes]) -> None:
    import requests

    with contextlib.suppress(requests.RequestException):
        for number in range(10_000):
            _put(server, labels[number % 2])


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
