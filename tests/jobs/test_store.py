"""Jobs that a server finds again on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from monai_semgan.jobs.contract import Job, JobRequest, State
from monai_semgan.jobs.storage import store as store_module
from monai_semgan.jobs.storage.store import RECORD, JobStore

pytestmark = pytest.mark.label


def test_a_job_whose_objective_was_no_number_is_found_again(tmp_path: Path) -> None:
    """JSON has no NaN; null stands there, and the job must not be taken for a broken one and removed."""
    odd = [0.5, math.nan, math.inf]
    job = Job(
        id="0123456789abcdef" * 2,
        state=State.failed,
        request=JobRequest(image="ct"),
        created=1.0,
        loss=odd,
        residual=odd,
    )
    store = JobStore(tmp_path)
    store.save(job)
    ((found, _),) = JobStore(tmp_path).load()
    assert found.id == job.id
    assert found.loss == found.residual == [0.5, None, None]
    written = (store.folder(job.id) / RECORD).read_text(encoding="utf-8")
    assert json.loads(written, parse_constant=pytest.fail)["loss"] == [0.5, None, None]


def test_bytes_on_disk_are_not_counted_at_every_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    monkeypatch.setattr(store_module, "bytes_in", lambda folder: looks.append(folder) or 1)
    store = JobStore(tmp_path)
    first = store.used()
    once = len(looks)
    assert [store.used(max_age=60.0) for _ in range(5)] == [first] * 5 and len(looks) == once
    store.used()
    assert len(looks) == 2 * once
    store.remove("0" * 32)
    store.used(max_age=60.0)
    assert len(looks) == 3 * once
