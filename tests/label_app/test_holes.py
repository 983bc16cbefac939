"""What the stock server lets anybody do, and `semgan serve` does not: the same attempts on both."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.label_app.holes import HOLES, Hole, ask
from tests.label_app.servers import Server

pytestmark = pytest.mark.label


@pytest.mark.parametrize("hole", HOLES, ids=lambda hole: hole.__name__)
def test_the_stock_server_has_the_hole(hole: Hole, stock: Server, outside: Path) -> None:
    assert hole(stock, outside)


@pytest.mark.parametrize("hole", HOLES, ids=lambda hole: hole.__name__)
def test_semgan_serve_has_it_not(hole: Hole, served: Server, outside: Path) -> None:
    assert not hole(served, outside)


GARBAGE = {"files": {"file": ("a.nii.gz", b"garbage")}}
MISTAKES: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "unknown model": ("POST", "/infer/nobody?image=ct", {}, 404),
    "no image at all": ("POST", "/infer/semgan_preview", {}, 422),
    "parameters that are no JSON": ("POST", "/infer/semgan_preview?image=ct", {"data": {"params": "{nope"}}, 422),
    "parameters that are no object": ("POST", "/infer/semgan_preview?image=ct", {"data": {"params": "[1]"}}, 422),
    "corrupt upload": ("POST", "/infer/semgan_preview", GARBAGE, 422),
    "unknown strategy": ("POST", "/activelearning/nobody", {}, 404),
    "unknown label's info": ("PUT", "/datastore/label/info?label=nobody&tag=final", {"data": {"info": "{}"}}, 404),
    "unknown image's info": ("PUT", "/datastore/image/info?image=nobody", {"data": {"info": "{}"}}, 404),
    "info that is no JSON": ("PUT", "/datastore/image/info?image=ct", {"data": {"info": "{"}}, 422),
    "label of an unknown image": ("PUT", "/datastore/label?image=nobody", {"files": {"label": ("a.nii", b"x")}}, 404),
    "removal of an unknown image": ("DELETE", "/datastore/image?id=nobody", {}, 404),
    "a zip of nothing": ("GET", "/datastore/dataset", {}, 404),
    "proxy without DICOMweb": ("GET", "/proxy/dicom/qido/studies", {}, 404),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_stock_server_takes_this_mistake_for_its_own(mistake: str, stock: Server) -> None:
    method, path, options, _ = MISTAKES[mistake]
    assert ask(stock, method, path, **options).status_code == 500


@pytest.mark.parametrize("mistake", MISTAKES)
def test_semgan_serve_tells_what_is_wrong(mistake: str, served: Server) -> None:
    method, path, options, status = MISTAKES[mistake]
    answer = ask(served, method, path, **options)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert isinstance(detail, str) and "Traceback" not in detail and str(served.studies) not in detail


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU to tell of")
def test_a_computer_without_gpu_says_so(stock: Server, served: Server) -> None:
    assert ask(stock, "GET", "/logs/gpu").status_code == 500
    assert ask(served, "GET", "/logs/gpu").status_code == 404


def test_an_unknown_model_is_not_trained(stock: Server, served: Server) -> None:
    assert ask(stock, "POST", "/train/nobody").ok
    assert ask(served, "POST", "/train/nobody").status_code == 404


@pytest.mark.parametrize("path", ["/datastore/label?label=../ct&tag=final", "/datastore/label?label=ct&tag=../final"])
def test_ids_and_tags_of_labels_lead_nowhere_else(path: str, served: Server) -> None:
    assert ask(served, "GET", path).status_code == 404
    assert ask(served, "GET", path.replace("/label?", "/label/info?")).status_code == 404


@pytest.mark.parametrize("session", ["%2e%2e", "..%5Cvictim", "~", "0" * 300])
def test_ids_of_sessions_lead_nowhere_else(session: str, served: Server) -> None:
    for method in ("GET", "DELETE"):
        assert ask(served, method, f"/session/{session}").status_code in (404, 405)
    assert ask(served, "POST", f"/infer/semgan_preview?session_id={session}").status_code == 404
    assert served.studies.is_dir() and (served.studies / "ct.nii.gz").exists()


def test_an_upload_over_the_limit_is_refused(served: Server) -> None:
    files = {"file": ("a.nii.gz", bytes(5 << 20))}
    answer = ask(served, "PUT", "/datastore/image?image=big", files=files)
    assert answer.status_code == 413 and "4 MB" in answer.json()["detail"]


def test_an_upload_of_untold_length_is_refused_once_it_is_over_the_limit(served: Server) -> None:
    begin = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.nii.gz"\r\n\r\n'
    parts = (part for part in (begin, *(bytes(1 << 20) for _ in range(6)), b"\r\n--x--\r\n"))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = ask(served, "PUT", "/datastore/image?image=big", data=parts, headers=headers)
    assert answer.status_code == 413


def test_the_wrong_kind_of_file_is_refused(served: Server) -> None:
    answer = ask(served, "PUT", "/datastore/image?image=text", files={"file": ("a.txt", b"hello")})
    assert answer.status_code == 415 and ".nii.gz" in answer.json()["detail"]


def test_the_server_listens_on_this_computer_only(served: Server) -> None:
    import psutil
    from monailabel.main import Main

    assert Main().args_parser().parse_args(["start_server"]).host == "0.0.0.0"
    listening = [c for c in psutil.Process(served.process.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


def test_every_route_of_the_stock_server_is_there(stock: Server, served: Server) -> None:
    theirs, ours = (ask(server, "GET", "/openapi.json").json()["paths"] for server in (stock, served))
    missing = {(path, method) for path in theirs for method in theirs[path] if method not in ours.get(path, {})}
    assert not missing
