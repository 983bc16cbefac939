"""What MONAI Label's server lets anybody do. Each function tries it and returns whether it worked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import requests

from tests.label_app.servers import Server

TIMEOUT = 300
Hole = Callable[[Server, Path], bool]


def ask(server: Server, method: str, path: str, **options: Any) -> requests.Response:
    """An answer of the server."""
    return requests.request(method, server.address + path, timeout=TIMEOUT, **options)


def infer(server: Server, query: str, params: Any = None, **options: Any) -> requests.Response:
    """An answer of `/infer`."""
    text = params if isinstance(params, str) else json.dumps(params or {})
    return ask(server, "POST", f"/infer/semgan_preview?{query}", data={"params": text}, **options)


def reads_any_file_named_as_image(server: Server, outside: Path) -> bool:
    return infer(server, f"image={outside}").ok


def reads_any_file_named_relative_to_the_start(server: Server, outside: Path) -> bool:
    return infer(server, f"image=../../../{outside.parent.name}/{outside.name}").ok


def reads_any_file_named_in_the_parameters(server: Server, outside: Path) -> bool:
    return infer(server, "image=ct", {"image": str(outside)}).ok


def answers_an_unknown_image_with_the_label_of_another(server: Server, outside: Path) -> bool:
    return infer(server, "image=nobody").ok


def answers_an_expired_session_with_the_label_of_another_image(server: Server, outside: Path) -> bool:
    return infer(server, "session_id=0f8fad5b-d9cb-469f-a165-70867728950e").ok


def writes_an_image_outside(server: Server, outside: Path) -> bool:
    ask(server, "PUT", "/datastore/image?image=../escaped", files={"file": ("a.nii.gz", outside.read_bytes())})
    return (server.studies.parent / "escaped.nii.gz").exists()


def writes_a_label_outside(server: Server, outside: Path) -> bool:
    label = (server.studies / "ct.nii.gz").read_bytes()
    ask(server, "PUT", "/datastore/label?image=ct&tag=../../escaped", files={"label": ("a.nii.gz", label)})
    return (server.studies.parent / "escaped" / "ct.nii.gz").exists()


def writes_a_batch_outside(server: Server, outside: Path) -> bool:
    params = {"label_tag": "../../batch", "multi_gpu": False, "device": "cpu"}
    ask(server, "POST", "/batch/infer/semgan_preview?run_sync=true", json=params)
    return (server.studies.parent / "batch" / "ct.nii.gz").exists()


def removes_a_folder_outside_named_as_session(server: Server, outside: Path) -> bool:
    server.sessions.mkdir(exist_ok=True)
    victim = server.sessions.parent / "victim"
    victim.mkdir(exist_ok=True)
    (victim / "meta.info").write_text(json.dumps({"name": "x", "path": "x", "image": "/nowhere"}))
    ask(server, "POST", "/infer/semgan_preview?session_id=../victim&image=ct")
    return not victim.exists()


def follows_a_link_out_of_the_studies(server: Server, outside: Path) -> bool:
    return ask(server, "GET", "/datastore/image?image=link").ok


def shows_hidden_files(server: Server, outside: Path) -> bool:
    return ".hidden" in ask(server, "GET", "/datastore/?output=all").json()["objects"]


def takes_an_image_that_nobody_can_read(server: Server, outside: Path) -> bool:
    files = {"file": ("a.nii.gz", outside.read_bytes()[: outside.stat().st_size // 2])}
    ask(server, "PUT", "/datastore/image?image=corrupt", files=files)
    return "corrupt" in ask(server, "GET", "/datastore/?output=all").json()["objects"]


def takes_a_label_that_nobody_can_read(server: Server, outside: Path) -> bool:
    files = {"label": ("a.nii.gz", b"no label")}
    return ask(server, "PUT", "/datastore/label?image=ct&tag=corrupt", files=files).ok


def takes_a_label_on_another_grid(server: Server, outside: Path) -> bool:
    label = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4))
    files = {"label": ("a.nii", label.to_bytes())}
    return ask(server, "PUT", "/datastore/label?image=ct&tag=elsewhere", files=files).ok


def replaces_an_image_that_has_labels(server: Server, outside: Path) -> bool:
    original = (server.studies / "mr.nii.gz").read_bytes()
    affine = nibabel.load(server.studies / "mr.nii.gz").affine
    shape = nibabel.load(server.studies / "mr.nii.gz").shape
    files = {"file": ("a.nii.gz", original)}
    assert ask(server, "PUT", "/datastore/image?image=labelled", files=files).ok
    label = nibabel.Nifti1Image(np.ones(shape, np.uint8), affine)
    put = ask(server, "PUT", "/datastore/label?image=labelled&tag=mine", files={"label": ("a.nii", label.to_bytes())})
    assert put.ok, put.text
    files = {"file": ("a.nii.gz", outside.read_bytes())}
    ask(server, "PUT", "/datastore/image?image=labelled", files=files)
    return ask(server, "GET", "/datastore/image?image=labelled").content != original


def removes_a_label_that_is_not_there_without_a_word(server: Server, outside: Path) -> bool:
    return ask(server, "DELETE", "/datastore/label?id=ct&tag=nothing").ok


def lets_nothing_else_through_during_an_inference(server: Server, outside: Path) -> bool:
    query, params = "/infer/semgan_invert?image=ct", {"steps": 100}
    if "semgan_invert" not in ask(server, "GET", "/info/").json()["models"]:
        query, params = "/infer/semgan_preview?image=ct", {"seconds": 3}
    ended: list[float] = []

    def wait() -> None:
        ask(server, "POST", query, data={"params": json.dumps(params)})
        ended.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    ask(server, "GET", "/info/")
    told = time.monotonic()
    waiting.join(TIMEOUT)
    return not ended or ended[0] - told < 0.5


def answers_to_the_name_of_another_computer(server: Server, outside: Path) -> bool:
    return ask(server, "GET", "/info/", headers={"Host": "rebound.example"}).ok


def lets_any_web_page_read(server: Server, outside: Path) -> bool:
    answer = ask(server, "GET", "/info/", headers={"Origin": "https://evil.example"})
    return "access-control-allow-origin" in answer.headers


def lets_any_web_page_send(server: Server, outside: Path) -> bool:
    return infer(server, "image=ct", headers={"Origin": "https://evil.example"}).ok


def lets_any_web_page_fetch(server: Server, outside: Path) -> bool:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    return ask(server, "GET", "/datastore/image?image=ct", headers=headers).ok


def takes_what_no_answer_can_hold(server: Server, outside: Path) -> bool:
    note = {"info": '{"half": "\\ud800"}'}
    ask(server, "PUT", "/datastore/image/info?image=mr", data=note)
    taken = not ask(server, "GET", "/datastore/?output=all").ok
    ask(server, "PUT", "/datastore/image/info?image=mr", data={"info": '{"half": "whole"}'})
    return taken


def cannot_run_a_batch_without_a_gpu(server: Server, outside: Path) -> bool:
    assert ask(server, "POST", "/batch/infer/semgan_preview", json={"label_tag": "batched"}).ok
    return wait_for_batch(server)["status"] == "ERROR"


def names_scans_in_its_log(server: Server, outside: Path) -> bool:
    name = "Doe_Jane_19700101"
    files = {"file": (f"{name}.nii.gz", outside.read_bytes())}
    assert ask(server, "PUT", f"/datastore/image?image={name}", files=files).ok
    assert infer(server, f"image={name}").ok
    for path in (f"/datastore/image?image={name}", f"/datastore/label?label={name}&tag=final", f"/{name}"):
        ask(server, "GET", path)
    infer(server, f"image={name}_unknown", {"client_id": name})
    ask(server, "PUT", "/session/", files={"files": (f"{name}.nii.gz", outside.read_bytes())})
    ask(server, "PUT", "/datastore/image", files={"file": (f"{name}.nii.gz", b"broken")})
    ask(server, "POST", "/activelearning/random", json={"client_id": name})
    return "Doe_Jane" in server.logged()


def wait_for_batch(server: Server) -> dict[str, Any]:
    """Status of the batch when it has ended."""
    for _ in range(240):
        state = ask(server, "GET", "/batch/infer").json()
        if state["status"] in ("DONE", "ERROR", "STOPPED"):
            return dict(state)
        time.sleep(0.5)
    raise AssertionError(f"the batch does not end: {state}")


HOLES: tuple[Hole, ...] = (
    reads_any_file_named_as_image,
    reads_any_file_named_relative_to_the_start,
    reads_any_file_named_in_the_parameters,
    answers_an_unknown_image_with_the_label_of_another,
    answers_an_expired_session_with_the_label_of_another_image,
    writes_an_image_outside,
    writes_a_label_outside,
    writes_a_batch_outside,
    removes_a_folder_outside_named_as_session,
    follows_a_link_out_of_the_studies,
    shows_hidden_files,
    takes_an_image_that_nobody_can_read,
    takes_a_label_that_nobody_can_read,
    takes_a_label_on_another_grid,
    replaces_an_image_that_has_labels,
    removes_a_label_that_is_not_there_without_a_word,
    lets_nothing_else_through_during_an_inference,
    answers_to_the_name_of_another_computer,
    lets_any_web_page_read,
    lets_any_web_page_send,
    lets_any_web_page_fetch,
    takes_what_no_answer_can_hold,
    cannot_run_a_batch_without_a_gpu,
    names_scans_in_its_log,
)
