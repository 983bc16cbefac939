"""What jobs may take of the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from monai_semgan.jobs.contract import Job, JobRequest, State
from monai_semgan.jobs.job_errors import NoSpace
from monai_semgan.jobs.storage import quota as module
from monai_semgan.jobs.storage.quota import DiskQuota
from monai_semgan.jobs.storage.store import JobStore

pytestmark = pytest.mark.label


def fill(store: JobStore, number: int, size: int = 1000) -> str:
    """A job that takes some bytes."""
    job = Job(id=f"{number:032x}", state=State.done, request=JobRequest(image="ct"), created=float(number))
    store.save(job)
    (store.folder(job.id) / "bytes").write_bytes(bytes(size))
    return job.id


def test_only_as_much_goes_as_is_needed(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    jobs = [fill(store, number) for number in range(4)]
    quota = DiskQuota(store, store.used())
    quota.make_space(0, iter([]))
    quota.make_space(1000, (lambda job=job: store.remove(job) for job in jobs))  # each takes a little more than that
    assert [store.folder(job).exists() for job in jobs] == [False, True, True, True]
    with pytest.raises(NoSpace, match="no room"):
        quota.make_space(10 * quota.limit_bytes, iter([]))


def test_a_disk_that_is_nearly_full_counts_as_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = JobStore(tmp_path)
    quota = DiskQuota(store, 10**12)
    quota.make_space(1000, iter([]))
    monkeypatch.setattr(store, "free", lambda: module.RESERVE_BYTES + 999)
    with pytest.raises(NoSpace):
        quota.make_space(1000, iter([]))


def test_growth_is_looked_at_once(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = fill(store, 0, 5000)
    quota = DiskQuota(store, 3000)
    assert not quota.overfull()
    quota.note_growth()
    assert quota.overfull() and not quota.overfull()
    quota.shrink(iter([lambda: store.remove(job)]))
    assert store.used() == 0


def test_jobs_come_back_from_disk_in_order_and_broken_ones_do_not(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    jobs = [fill(store, number) for number in (3, 1, 2)]
    (store.folder(jobs[0]) / "job.json").write_text("{")
    assert [job.id for job, _ in JobStore(tmp_path).load()] == [jobs[1], jobs[2]]
    assert not store.folder(jobs[0]).exists()
    assert (tmp_path / ".semgan").stat().st_mode & 0o077 == 0


class Elsewhere:
    """Files beside those of jobs."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)

    def used(self) -> int:
        return sum(self.sizes)

    def removals(self) -> Iterator[Callable[[], None]]:
        while self.sizes:
            yield lambda: self.sizes.pop(0) and None


def test_what_lies_elsewhere_counts_and_goes_first(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = fill(store, 0, 5000)
    quota, elsewhere = DiskQuota(store, 20_000), Elsewhere(6000, 6000)
    quota.include(elsewhere)
    quota.make_space(5000, iter([lambda: store.remove(job)]))
    assert elsewhere.sizes == [6000] and store.folder(job).exists()
    quota.make_space(15_000, iter([lambda: store.remove(job)]))
    assert elsewhere.sizes == [] and not store.folder(job).exists()


def test_files_of_the_server_that_are_no_jobs_keep_no_job_out(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    (store.root / "volumes").mkdir()
    (store.root / "volumes" / "converted.nrrd").write_bytes(bytes(50_000))
    DiskQuota(store, 10_000).make_space(5000, iter([]))
