"""What is damaged on disk costs itself only, and says so."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

import numpy as np

from monai_semgan.jobs.contract import Job, JobRequest, Part, State, VolumeFormat
from monai_semgan.jobs.job_entries import Entry, Origin, Turn
from monai_semgan.jobs.job_errors import Damaged, JobError
from monai_semgan.jobs.storage.quota import DiskQuota
from monai_semgan.jobs.storage.result_access import ResultAccess
from monai_semgan.jobs.storage.result_files import GRID, LABEL, MAPS, RESULT, parts_of, versions
from monai_semgan.jobs.storage.store import ORIGIN, RECORD, JobStore

pytestmark = pytest.mark.label

ID = "0123456789abcdef" * 2
OTHER = "f" * 32
ORIGIN_OF_JOB = Origin("somebody", "state", Turn.preview, report=False)

SPOILED: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(500)),
    "other JSON": lambda path: path.write_text('{"a": [1, 2]}'),
    "list": lambda path: path.write_text("[]"),
    "deep JSON": lambda path: path.write_text("[" * 50_000 + "]" * 50_000),
    "empty archive": lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18)),
    "gone": lambda path: path.unlink(),
}


@pytest.fixture(scope="module")
def kept(tiny_bundle: Path, make_studies: Callable[[], Path]) -> Path:
    """Studies with an ended job and its results, as a worker leaves them."""
    from monai_semgan.bundle.load import load_bundle
    from monai_semgan.jobs.workers.job_runner import JobRun
    from monai_semgan.jobs.workers.messages import Task
    from monai_semgan.jobs.workers.turns import JobTurn

    studies = make_studies()
    store, bundle = JobStore(studies), load_bundle(tiny_bundle, "cpu")
    for number, name in enumerate((ID, OTHER)):
        request = JobRequest(image="ct")
        store.save_origin(name, ORIGIN_OF_JOB)
        store.save(Job(id=name, state=State.done, request=request, created=number, started=1, finished=2))
        image, results = str(studies / "ct.nii.gz"), str(store.results(name))
        task = Task(name, image, results, str(tiny_bundle), "preview", tuple(bundle.labels), report=False)
        assert JobRun(task, bundle, lambda *a, **k: None, JobTurn(name, print, None, ()), 0.0).run()[0] == "done"
    return studies


@pytest.fixture
def store(kept: Path, tmp_path: Path) -> JobStore:
    """A copy of them."""
    shutil.copytree(kept / ".semgan", tmp_path / ".semgan")
    return JobStore(tmp_path)


def access(store: JobStore) -> ResultAccess:
    """What hands results out."""
    known = {job.id: Entry(job, origin) for job, origin in store.load()}
    return ResultAccess(store, DiskQuota(store, 10**12), known.__getitem__, threading.RLock(), threading.Event())


def newest(store: JobStore, job: str = ID) -> Path:
    return store.results(job) / str(versions(store.results(job))[-1])


def only_version(store: JobStore) -> Path:
    """The newest version, without the one before it."""
    for version in versions(store.results(ID))[:-1]:
        shutil.rmtree(store.results(ID) / str(version))
    return newest(store)


@pytest.mark.parametrize("name", SPOILED)
def test_a_damaged_result_is_said_to_be_damaged(name: str, store: JobStore) -> None:
    SPOILED[name](only_version(store) / RESULT)
    with pytest.raises(JobError) as told:
        access(store).newest(ID)
    assert told.value.status == 409 and ("damaged" in told.value.detail or name == "gone")
    assert access(store).newest(OTHER).job == OTHER


@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize(
    ("file", "part"), [(LABEL, Part.label), (MAPS, Part.uncertainty), (GRID, Part.uncertainty), (GRID, Part.label)]
)
def test_a_damaged_part_is_said_to_be_damaged_and_the_others_are_given_out(
    file: str, part: Part, name: str, store: JobStore
) -> None:
    folder = only_version(store)
    SPOILED[name](store.results(ID) / file if file == GRID else folder / file)
    results = access(store)
    with pytest.raises(JobError) as told:
        results.open_part(ID, part, VolumeFormat.nifti)
    assert told.value.status in (404, 409) and (
        "damaged" in told.value.detail or f"no {part.value}" in told.value.detail
    )
    assert isinstance(told.value, Damaged) or name in ("gone", "empty archive")
    found = results.newest(ID)
    for other in {Part.label, Part.uncertainty} - {part} if file != GRID else ():
        stream, size, version = results.open_part(ID, other, VolumeFormat.nifti)
        with stream:
            assert len(stream.read()) == size > 0 and version == found.version


@pytest.mark.parametrize("name", SPOILED)
def test_damaged_maps_do_not_keep_a_server_from_starting(name: str, store: JobStore) -> None:
    SPOILED[name](newest(store) / MAPS)
    assert Part.label in parts_of(newest(store))
    assert Part.uncertainty not in parts_of(newest(store))


@pytest.mark.parametrize("name", SPOILED)
def test_a_job_with_a_damaged_record_keeps_its_results_and_its_owner(name: str, store: JobStore) -> None:
    SPOILED[name](store.folder(ID) / RECORD)
    found = {job.id: (job, origin) for job, origin in store.load()}
    assert found[OTHER][0].state is State.done
    job, origin = found[ID]
    assert job.state is State.failed and "damaged" in job.message and origin == ORIGIN_OF_JOB
    assert job.expires is not None and access(store).newest(ID).job == ID


@pytest.mark.parametrize("name", SPOILED)
def test_a_job_with_a_damaged_origin_is_nobodys(name: str, store: JobStore) -> None:
    SPOILED[name](store.folder(ID) / ORIGIN)
    found = {job.id: origin for job, origin in store.load()}
    assert found == {ID: Origin(), OTHER: ORIGIN_OF_JOB}


def test_a_folder_that_is_no_jobs_goes_at_the_start(store: JobStore) -> None:
    for name in ("a" * 32, "stranger", ".x.part"):
        (store.jobs / name).mkdir()
    assert {job.id for job, _ in store.load()} == {ID, OTHER}
    assert {path.name for path in store.jobs.iterdir()} == {ID, OTHER}
