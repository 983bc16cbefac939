"""An archive that refuses, breaks off, keeps silent or is away: nothing gets lost, and everybody is told in words."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from pydicom import dcmread

from monai_semgan.dicomweb.archive_session import TIMEOUT_SECONDS
from tests.conftest import REPOSITORY
from tests.dicom_phantoms import PATIENT
from tests.dicomweb.odd_answers import Answer, silent, vanishing, whole
from tests.dicomweb.odd_archive import Handler, OddArchive
from tests.free_ports import free_port
from tests.label_app.archive_store.serving import (
    SEG,
    ask,
    download,
    ids,
    images,
    label_file,
    organs,
    saved,
    send_again,
    serving,
    unsent,
    wait_for,
    write_scan,
)
from tests.label_app.servers import Server

pytestmark = pytest.mark.label

TOKEN = "token-of-a-test-0123456789"
NAMES = ("one", "two", "three", "never")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small series."""
    folder = tmp_path_factory.mktemp("scans")
    for name in NAMES:
        write_scan(folder / name, spacing=(20.0, 20.0, 20.0))
    return folder


@pytest.fixture(scope="module")
def archive(scans: Path) -> Iterator[OddArchive]:
    """An archive that misbehaves when it is told to."""
    with OddArchive(path for name in NAMES for path in (scans / name).iterdir()) as archive:
        yield archive


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where labels and logs go, of both servers."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(archive: OddArchive, home: Path, tiny_bundle: Path) -> Iterator[Server]:
    """A server that gets its token for the archive from the environment; the last test kills it."""
    with serving(archive.url, home, tiny_bundle, variables={"SEMGAN_ARCHIVE_TOKEN": TOKEN}) as server:
        yield server


@pytest.fixture(scope="module")
def again(server: Server, archive: OddArchive, home: Path, tiny_bundle: Path) -> Iterator[Server]:
    """Another one with the labels of that server, which has ended."""
    assert server.process.poll() is not None
    access = {"SEMGAN_ARCHIVE_TOKEN": TOKEN}
    with serving(archive.url, home / "again", tiny_bundle, variables=access, kept=server.studies) as again:
        yield again


@pytest.fixture(autouse=True)
def healed(archive: OddArchive) -> Iterator[None]:
    """The archive behaves at the end of a test."""
    yield
    archive.deaf = False
    archive.heal()


def image_of(scans: Path, name: str) -> str:
    """Id of the image of a series; this archive tells no numbers of series, which are a part of other ids."""
    (image,) = ids(scans, name)
    return image.replace("ct_4_", "ct_")


def forget(server: Server) -> None:
    """Remove all that the server has fetched."""
    for folder in (*server.studies.glob(".semgan/archive/series/*"), *server.studies.glob(".semgan/archive/volumes/*")):
        shutil.rmtree(folder)


def stored(archive: OddArchive) -> list[str]:
    """UIDs of the segmentations that the archive has."""
    from io import BytesIO

    files = (dcmread(BytesIO(one.content), stop_before_pixels=True) for one in list(archive.instances.values()))
    return [str(file.SOPInstanceUID) for file in files if file.SOPClassUID == SEG]


def label_of(server: Server, scans: Path, name: str, organ: int, folder: Path) -> tuple[str, Path]:
    """An image and a label of it."""
    image = image_of(scans, name)
    volume = download(server, image, folder)
    return image, label_file((organs(volume) == organ) * organ, volume, folder / f"{organ}.nii.gz")


def test_an_archive_that_is_away_ends_the_start_with_one_line(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/dicom-web"
    command = [sys.executable, "-m", "monai_semgan", "serve", url, "--labels", str(tmp_path / "labels"), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=tmp_path)
    assert run.returncode == 2 and "cannot be reached" in run.stderr and url.split("/")[2] in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1 and "Traceback" not in run.stderr + run.stdout


def test_whoever_waits_for_a_slow_archive_keeps_nobody_else_waiting(
    server: Server, archive: OddArchive, scans: Path
) -> None:
    asked, go = threading.Event(), threading.Event()

    def held(handler: Handler, answer: Answer) -> None:
        asked.set()
        go.wait(120)
        whole(handler, answer)

    archive.spoil("together", lambda answer: replace(answer, sending=held))
    image, answers = image_of(scans, "one"), list[int]()
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/datastore/image?image={image}", {}),
        ("POST", "/semgan/jobs", {"json": {"image": image, "mode": "preview"}}),
        ("POST", "/activelearning/first", {"json": {"client_id": "Bea", "label_tag": "final"}}),
    ]
    waiting = [
        threading.Thread(target=lambda one=one: answers.append(ask(server, one[0], one[1], **one[2]).status_code))
        for one in requests
    ]
    for thread in waiting:
        thread.start()
    assert asked.wait(60)
    try:
        for path in ("/info/", "/datastore/?output=all", "/semgan/health", "/semgan/archive", "/semgan/studies") * 2:
            assert ask(server, "GET", path).ok and not answers
    finally:
        go.set()
    for thread in waiting:
        thread.join(120)
    assert sorted(answers) == [200, 200, 201]


@pytest.mark.parametrize(
    ("status", "answered", "words"),
    [
        (401, 502, "wants to know who asks"),
        (404, 404, "does not have the series any more"),
        (500, 502, "failed"),
        (503, 504, "is busy"),
    ],
)
def test_an_archive_that_does_not_send_a_series_is_told_of_in_words(
    status: int, answered: int, words: str, server: Server, archive: OddArchive, scans: Path
) -> None:
    image = image_of(scans, "never")
    forget(server)
    for kind in ("instances", "together", "single"):
        archive.spoil(kind, lambda answer: Answer(status))
    for answer in (
        ask(server, "GET", f"/datastore/image?image={image}"),
        ask(server, "POST", "/semgan/jobs", json={"image": image, "mode": "preview"}),
        ask(server, "POST", f"/infer/semgan_preview?image={image}"),
    ):
        assert answer.status_code == answered and words in answer.json()["detail"], answer.text
    assert ask(server, "GET", "/info/").ok and image in images(server)


def test_samples_are_no_images_that_the_archive_holds_back_for_now(
    server: Server, archive: OddArchive, scans: Path
) -> None:
    for kind in ("instances", "together", "single"):
        archive.spoil(kind, lambda answer: Answer(503))
    wanted = {"client_id": "Ada", "label_tag": "final"}
    given = [ask(server, "POST", "/activelearning/first", json=wanted) for _ in range(5)]
    assert any(answer.status_code == 504 and "busy" in answer.json()["detail"] for answer in given)
    archive.heal()
    given = [ask(server, "POST", "/activelearning/first", json=wanted).json().get("id") for _ in range(5)]
    assert image_of(scans, "never") in given or image_of(scans, "three") in given


def test_a_label_that_the_archive_refuses_is_kept_and_sent_again_as_the_same_object(
    server: Server, archive: OddArchive, scans: Path, tmp_path: Path
) -> None:
    image, label = label_of(server, scans, "one", 1, tmp_path)
    archive.deaf = True
    told = saved(server, image, label)
    assert told["state"] == "refused" and "413" in told["reason"] and not stored(archive)
    assert unsent(server)[image] == told
    (kept,) = server.studies.glob(f".semgan/outgoing/{image}/final/*/segmentation.dcm")
    uid = str(dcmread(kept).SOPInstanceUID)
    archive.deaf = False
    assert send_again(server, image)["state"] == "sent" and stored(archive) == [uid]
    assert send_again(server, image)["state"] == "sent" and stored(archive) == [uid] and not unsent(server)


def test_a_label_whose_answer_got_lost_is_in_the_archive_once(
    server: Server, archive: OddArchive, scans: Path, tmp_path: Path
) -> None:
    image, label = label_of(server, scans, "one", 4, tmp_path)
    before = stored(archive)
    archive.spoil("store", lambda answer: replace(answer, sending=vanishing))
    told = saved(server, image, label)
    assert told["state"] == "waiting" and image in unsent(server)
    archive.heal()
    assert send_again(server, image)["state"] == "sent" and len(stored(archive)) == len(before) + 1


def test_a_label_whose_answer_got_lost_is_replaced_by_the_next_one(
    server: Server, archive: OddArchive, scans: Path, tmp_path: Path
) -> None:
    image, label = label_of(server, scans, "three", 1, tmp_path)
    archive.spoil("store", lambda answer: replace(answer, sending=vanishing))
    lost = saved(server, image, label)
    archive.heal()
    told = saved(server, image, label_of(server, scans, "three", 4, tmp_path)[1])
    (result,) = [one for one in archive.instances.values() if one.series == told["series"]]
    assert lost["state"] == "waiting" and told["state"] == "sent" and lost["series"].encode() in result.content


def test_the_token_is_sent_and_told_nobody(server: Server, archive: OddArchive) -> None:
    import psutil

    assert {question.headers.get("Authorization") for question in archive.questions} == {f"Bearer {TOKEN}"}
    told = server.logged() + ask(server, "GET", "/info/").text + ask(server, "GET", "/semgan/archive").text
    assert TOKEN not in told and TOKEN not in " ".join(psutil.Process(server.process.pid).cmdline())
    assert PATIENT.split("^")[0] not in told and "1.2.826" not in server.logged()


def test_a_server_that_is_killed_before_it_has_sent_a_label_knows_of_it_afterwards(
    server: Server, archive: OddArchive, scans: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    image, label = label_of(server, scans, "two", 1, tmp_path)
    before = stored(archive)
    archive.spoil("instances", lambda answer: replace(answer, sending=silent))  # asked before an object is sent

    def save() -> None:
        try:
            saved(server, image, label)
        except Exception:
            return  # the server is killed meanwhile

    saving = threading.Thread(target=save)
    saving.start()
    place = server.studies / ".semgan" / "outgoing" / image / "final"
    wait_for(lambda: list(place.glob("[0-9]*/segmentation.dcm")), "the object")
    wait_for(lambda: '"segmentation.dcm"' in "".join(path.read_text() for path in place.glob("*.json")), "the note")
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(60)
    saving.join(60)
    archive.heal()
    (kept,) = place.glob("*/segmentation.dcm")
    uid = str(dcmread(kept).SOPInstanceUID)
    again: Server = request.getfixturevalue("again")
    told: dict[str, Any] = unsent(again)[image]
    assert told["state"] == "waiting" and told["reason"]
    assert send_again(again, image)["state"] == "sent" and not unsent(again)
    assert stored(archive) == [*before, uid]


def test_a_server_ends_soon_though_somebody_waits_for_a_silent_archive(
    again: Server, archive: OddArchive, scans: Path
) -> None:
    asked, answers = threading.Event(), list[int]()

    def held(handler: Handler, answer: Answer) -> None:
        asked.set()
        silent(handler, answer)

    archive.spoil("together", lambda answer: replace(answer, sending=held))
    image = image_of(scans, "never")
    forget(again)
    waiting = threading.Thread(
        target=lambda: answers.append(ask(again, "GET", f"/datastore/image?image={image}").status_code)
    )
    waiting.start()
    assert asked.wait(60)
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(TIMEOUT_SECONDS[1] - 5) == 0
    waiting.join(60)
    assert answers == [503] or answers == [504]
