"""Batches and scorings through `semgan serve`: of chosen images, with their progress, one after the other."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.label_app.holes import ask, wait_for_batch
from tests.label_app.servers import Server

pytestmark = pytest.mark.label
BATCH = "/batch/infer/semgan_preview"


def labelled(server: Server, tag: str) -> set[str]:
    """Images that have a label of this tag."""
    objects = ask(server, "GET", "/datastore/?output=all").json()["objects"]
    return {image for image, facts in objects.items() if tag in facts["labels"]}


@pytest.mark.parametrize(
    ("images", "chosen"), [(["ct"], {"ct"}), (["mr", "ct", "mr"], {"ct", "mr"})], ids=["one", "two, one of them twice"]
)
def test_a_list_of_images_is_segmented_and_its_progress_told(
    images: list[str], chosen: set[str], served: Server
) -> None:
    tag = f"list{len(images)}"
    started = ask(served, "POST", BATCH, json={"images": images, "label_tag": tag})
    assert started.status_code == 200, started.text
    ended = wait_for_batch(served)
    assert ended["status"] == "DONE" and ended["progress"] == {"done": len(chosen), "failed": 0, "total": len(chosen)}
    assert labelled(served, tag) == chosen


def test_images_that_cannot_be_segmented_are_named_with_the_reason(served: Server) -> None:
    whole = (served.studies / "ct.nii.gz").read_bytes()
    (served.studies / "half.nii.gz").write_bytes(whole[: len(whole) // 2])
    try:
        for _ in range(240):
            if "half" in ask(served, "GET", "/datastore/?output=all").json()["objects"]:
                break
            time.sleep(0.25)
        assert ask(served, "POST", BATCH, json={"images": ["ct", "half"], "label_tag": "named"}).ok
        ended = wait_for_batch(served)
    finally:
        (served.studies / "half.nii.gz").unlink()
    assert ended["progress"] == {"done": 2, "failed": 1, "total": 2}
    ((image, reason),) = [(one["image"], one["reason"]) for one in ended["failures"]]
    assert image == "half" and len(reason) > 10 and str(served.studies) not in reason


def test_an_empty_list_is_done_at_once(served: Server) -> None:
    assert ask(served, "POST", BATCH, json={"images": [], "label_tag": "none"}).ok
    assert wait_for_batch(served)["progress"]["total"] == 0 and not labelled(served, "none")


def test_a_list_that_is_waited_for_tells_what_was_found(served: Server) -> None:
    answer = ask(served, "POST", f"{BATCH}?run_sync=true", json={"images": ["ct"], "label_tag": "sync"})
    assert list(answer.json()) == ["ct"] and answer.json()["ct"]["tag"] == "sync"


@pytest.mark.parametrize(
    ("params", "status", "word"),
    [
        ({"images": ["ct", "nobody"]}, 404, "unknown image"),
        ({"images": ["../ct"]}, 404, "unknown image"),
        ({"images": [1]}, 422, "images"),
        ({"images": {"a": 1}}, 422, "images"),
        ({"images": "some"}, 422, "images"),
        ({"images": ["ct"], "labels": {"a": 1}}, 422, "labels"),
        ({"images": ["ct"], "label_tag": ["a"]}, 422, "label_tag"),
        ({"images": ["ct"], "max_batch_size": [1]}, 422, "max_batch_size"),
    ],
)
def test_what_cannot_be_done_is_told(params: dict[str, Any], status: int, word: str, served: Server) -> None:
    for path in (BATCH, f"{BATCH}?run_sync=true"):
        answer = ask(served, "POST", path, json=params)
        assert answer.status_code == status and word in answer.json()["detail"]
    assert not ask(served, "GET", "/batch/infer?check_if_running=true").ok


def test_scorings_that_wait_are_not_endless(served: Server) -> None:
    try:
        answers = [ask(served, "POST", "/scoring/semgan_scores", json={"again": True}) for _ in range(40)]
    finally:
        while ask(served, "DELETE", "/scoring/").json():
            pass
    refused = [answer for answer in answers if not answer.ok]
    assert refused and {answer.status_code for answer in refused} == {429}
    assert "running already" in refused[0].json()["detail"]
