"""The device that a worker has settled on is told, not the word by which it was asked for."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch

from monai_semgan.jobs.workers.pool import WorkerPool
from monai_semgan.jobs.workers.worker import WorkerLoop


@pytest.fixture
def pool() -> WorkerPool:
    """Two workers that were never started."""
    return WorkerPool(["worker"], ["auto", "cpu"], threading.RLock(), SimpleNamespace())  # type: ignore[arg-type]


@pytest.mark.parametrize("asked,found", [("auto", "cuda:1"), ("cuda", "cpu")], ids=["chosen", "GPU was full"])
def test_a_worker_tells_where_its_model_lies_once_it_is_known(pool: WorkerPool, asked: str, found: str) -> None:
    said: list[dict[str, object]] = []
    loop = WorkerLoop(lambda word, **more: said.append({"say": word, **more}), asked, 1.0)  # type: ignore[arg-type]
    model = SimpleNamespace(device=torch.device(found))
    loop._load = lambda folder: model  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(AttributeError):  # it cannot be warmed up
        loop.run("folder")
    for message in said:
        pool.heard(pool.slots[0], message)
    assert [worker.device for worker in pool.workers()] == [found, "cpu"]


def test_one_that_says_nothing_keeps_its_name(pool: WorkerPool) -> None:
    pool.heard(pool.slots[0], {"say": "warming"})
    assert pool.workers()[0].device == "auto"
