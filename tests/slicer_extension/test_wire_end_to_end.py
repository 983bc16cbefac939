"""The real server over a bad network, for several people: uploads go on, everybody has a next sample of his own."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from SemGANLib.Scene import VolumeExport
from SemGANLib.Server import Errors
from SemGANLib.Server.Client import Client
from SemGANLib.Server.Nrrd import Grid, encode
from SemGANLib.Server.Transfer import Transfer
from SemGANLib.Types.JobTypes import JobRequest
from SemGANLib.Types.ServerTypes import Access

from tests.slicer_extension.label_server import KEY, LabelServer, label_python_or_skip, tiny_bundle
from tests.slicer_extension.scans import add_scan, affine_of
from tests.slicer_extension.server.servers import BreakingNetwork
from tests.slicer_extension.session import MemorySettings, Session

pytestmark = pytest.mark.slow

JOB_SECONDS = 240.0
"""The machine may be busy with other tests."""

NOISE = np.random.default_rng(0).integers(0, 3000, (60, 128, 128)).astype(np.int16)
SCAN = encode(Grid(NOISE, np.diag([-2.0, -2.0, 3.0, 1.0])))
"""2 MB."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with random weights."""
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def label_server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelServer]:
    """A server with four images."""
    home = tmp_path_factory.mktemp("server")
    (home / "studies").mkdir()
    for index in range(4):
        voxels = np.asarray(NOISE[index * 10 : index * 10 + 16, :28, :40])
        (home / "studies" / f"ct_{index}.nrrd").write_bytes(encode(Grid(voxels, affine_of("axial"))))
    with LabelServer(home, home / "studies", ["--bundle", str(bundle)]) as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts."""
    monkeypatch.setattr("SemGANLib.Server.Resumable.PART", 600_000)


def reader(scene: Any, server: LabelServer) -> Session:
    """Start another Slicer."""
    session = Session(scene)
    session.connect(server.address, KEY)
    assert session.logic.connection.state == "on", session.logic.connection.text
    return session


def client_of(server: LabelServer, name: str = "") -> Client:
    """Make a client with an id of its own."""
    return Client(server.address, Access(KEY, client=name))


def upload_folders(server: LabelServer) -> list[str]:
    """List the uploads that lie at the server."""
    return [path.name for path in server.studies.glob(".semgan/**/uploads/*")]


def test_a_volume_arrives_whole_though_the_connection_breaks_again_and_again(label_server):
    watched = Transfer()
    with BreakingNetwork(label_server.port, [100_000, 450_000, 30_000, 300_000]) as way:
        client = Client(way, Access(KEY, client="slicer-upload"))
        upload = client.upload(SCAN, transfer=watched)
    assert upload.shape == (128, 128, 60) and upload.bytes == len(SCAN) == watched.done
    client_of(label_server, "slicer-upload").delete_upload(upload.id)
    assert not upload_folders(label_server)


def test_a_volume_arrives_though_the_server_is_killed_on_the_way(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("SemGANLib.Server.Resumable.WAIT_SECONDS", (1.0,) * 120)
    monkeypatch.setattr("SemGANLib.Server.Resumable.PART", 100_000)
    with LabelServer(tmp_path / "home", tmp_path / "studies", ["--bundle", str(bundle)]) as server:
        watched, arrived = Transfer(), list[Any]()
        client = client_of(server, "slicer-upload")
        thread = threading.Thread(target=lambda: arrived.append(client.upload(SCAN, transfer=watched)), daemon=True)
        thread.start()
        while watched.done < 300_000:
            time.sleep(0.001)
        server.kill()
        server.start()
        thread.join(JOB_SECONDS)
        assert arrived and arrived[0].shape == (128, 128, 60)


def test_an_upload_that_is_stopped_leaves_nothing(label_server):
    watched, errors = Transfer(), list[Exception]()

    def send() -> None:
        try:
            client_of(label_server, "slicer-upload").upload(SCAN * 20, transfer=watched)
        except Errors.ServerError as error:
            errors.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    while watched.done < 700_000:
        time.sleep(0.001)
    watched.stop()
    thread.join(100)
    assert isinstance(errors[0], Errors.Stopped) and not upload_folders(label_server)


def test_a_damaged_volume_is_refused_with_the_reason_and_leaves_nothing(label_server):
    with pytest.raises(Errors.Refused, match="does not accept"):
        client_of(label_server).upload(SCAN[: len(SCAN) // 2])
    assert not upload_folders(label_server)


def test_two_readers_are_given_different_scans(scene, label_server):
    first, second = reader(scene, label_server), reader(scene, label_server)
    for session in (first, second, first, second):
        count = len(session.opened)
        session.logic.next_sample(reader="Dr. A")
        session.wait(lambda session=session, count=count: len(session.opened) > count, 60)
    given = [[volume.GetAttribute("SemGAN.Image") for volume in session.opened] for session in (first, second)]
    assert len({*given[0], *given[1]}) == 4, given


def test_only_whoever_has_begun_a_job_ends_it(label_server):
    mine, other = client_of(label_server, "slicer-mine-1234"), client_of(label_server, "slicer-other-123")
    job = mine.submit(JobRequest(image="ct_0", mode="refine", steps=5000))
    assert job.mine is True and other.job(job.id).mine is False
    with pytest.raises(Errors.Forbidden, match="does not allow this: .+"):
        other.cancel(job.id)
    with pytest.raises(Errors.Forbidden, match="does not allow this: .+"):
        other.delete_job(job.id)
    mine.cancel(job.id)
    wait(lambda: mine.job(job.id).ended)


def wait(until: Any, seconds: float = JOB_SECONDS) -> None:
    """Wait for something that the server does."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["scene", "module"])
def test_closing_during_a_job_leaves_neither_job_nor_upload(scene, label_server, how):
    session = reader(scene, label_server)
    volume = add_scan(scene, "oblique")
    session.logic.choices.steps = 6000
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes, JOB_SECONDS)
    assert upload_folders(label_server)
    if how == "scene":
        scene.Clear(False)
        session.wait(lambda: not upload_folders(label_server), 60)
    else:
        session.close()
        wait(lambda: not upload_folders(label_server), 60)
    jobs = [job for job in client_of(label_server).jobs() if job.request is not None and job.request.steps == 6000]
    assert jobs and all(job.state == "cancelled" for job in jobs)


def test_a_job_is_taken_up_after_a_crash(scene, label_server):
    settings = MemorySettings()
    settings.setValue("SemGAN/ClientId", "slicer-crashed-1")
    job = client_of(label_server, "slicer-crashed-1").submit(JobRequest(image="ct_1", mode="refine", steps=7000))
    session = Session(scene, settings)
    session.connect(label_server.address, KEY)
    assert [left.id for left in session.logic.left_jobs] == [job.id]
    session.logic.take_up(job.id)
    session.wait(lambda: session.outcomes, JOB_SECONDS)
    session.logic.cancel(session.opened[0])
    assert session.finish(session.opened[0], JOB_SECONDS).phase == "cancelled"
    assert session.logic.outcome(session.opened[0]).job == job.id


def test_chosen_images_are_previewed_as_a_batch(scene, label_server):
    session = reader(scene, label_server)
    session.logic.start_batch(["ct_2", "ct_3"])
    session.wait(lambda: session.logic.batch.running, 60)
    session.wait(lambda: not session.logic.batch.running, JOB_SECONDS)
    assert session.logic.batch.text == "Done: 2 of 2 images", session.logic.batch
    labelled = {image.id: image.labels for image in client_of(label_server).images()}
    assert labelled["ct_2"] and labelled["ct_3"] and not labelled["ct_0"]


def test_a_batch_of_all_images_can_be_stopped(scene, label_server):
    session = reader(scene, label_server)
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running, 60)
    session.logic.stop_batch()
    session.wait(lambda: not session.logic.batch.running, JOB_SECONDS)
    assert session.logic.batch.text.startswith(("Stopped", "Done"))


def test_readers_log_in_and_a_token_that_runs_out_is_renewed(scene, bundle, tmp_path, monkeypatch):
    users = {"ada": ("correct horse", ["monailabel-user"]), "eva": ("battery", ["monailabel-user"])}
    command = [str(label_python_or_skip()), str(Path(__file__).with_name("realm.py")), json.dumps(users), "2"]
    realm = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert realm.stdout is not None
        monkeypatch.setenv("MONAI_LABEL_AUTH_ENABLE", "true")
        monkeypatch.setenv("MONAI_LABEL_AUTH_REALM_URI", realm.stdout.readline().strip())
        studies = tmp_path / "studies"
        studies.mkdir()
        for index in range(2):
            (studies / f"ct_{index}.nrrd").write_bytes(encode(Grid(NOISE[:16, :28, :40], affine_of("axial"))))
        with LabelServer(tmp_path / "home", studies, ["--bundle", str(bundle)], key="") as server:
            _read_with_log_in(scene, server)
    finally:
        realm.terminate()
        realm.wait(50)


def _read_with_log_in(scene: Any, server: LabelServer) -> None:
    stranger = Session(scene)
    stranger.connect(server.address)
    assert stranger.logic.connection.login, stranger.logic.connection.text
    stranger.logic.connect(server.address, user="ada", password="wrong")
    stranger.settle()
    assert stranger.logic.connection.login and "refuses the password" in stranger.logic.connection.text

    given = []
    for name, password in (("ada", "correct horse"), ("eva", "battery")):
        session = Session(scene)
        session.logic.connect(server.address, user=name, password=password)
        session.wait(lambda session=session: session.logic.connection.state != "connecting", 60)
        assert session.logic.connection.state == "on", session.logic.connection.text
        assert session.logic.connection.user == name
        time.sleep(2.5)  # until the token has run out
        session.logic.next_sample()
        session.wait(lambda session=session: session.opened or session.messages, 60)
        assert session.opened, session.messages
        given.append(session.opened[0].GetAttribute("SemGAN.Image"))
        session.logic.preview(add_scan(scene, name=name))
        volume = scene.GetFirstNodeByName(name)
        assert session.finish(volume, JOB_SECONDS).phase == "done", session.messages
        assert VolumeExport.voxels(volume).any()
    assert given[0] != given[1]
