"""Sessions take a bounded part of the disk, go when nobody uses them, and never keep jobs out."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.jobs.job_errors import NoSpace
from monai_semgan.jobs.storage.quota import DiskQuota
from monai_semgan.jobs.storage.store import JobStore
from monai_semgan.label_app import sessions as module
from monai_semgan.label_app.sessions import META, SafeSessions

pytestmark = pytest.mark.label
ID = "0f8fad5b-d9cb-469f-a165-{:012x}"


def make(folder: Path, limit_bytes: int = 10**9) -> SafeSessions:
    """Sessions."""
    return SafeSessions(str(folder / "sessions"), 3600, limit_bytes)


def add(sessions: SafeSessions, number: int, size: int = 1000) -> str:
    """A session, that was used `number` seconds after the first; its id."""
    file = Path(sessions.store_path).parent / "volume.nii"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(size))
    session, _ = sessions.add_session(str(file), session_id=ID.format(number))
    meta = Path(sessions.store_path) / session / META
    os.utime(meta, (10**9 + number, 10**9 + number))
    return session


def there(sessions: SafeSessions, ids: list[str]) -> list[bool]:
    """Which of them can be used."""
    return [sessions.get_session(session, update_ts=False) is not None for session in ids]


def test_those_that_were_not_used_for_the_longest_time_make_room(tmp_path: Path) -> None:
    sessions = make(tmp_path, 10_000)
    ids = [add(sessions, number, 2000) for number in range(3)]
    sessions.get_session(ids[0])
    ids += [add(sessions, number, 2000) for number in (3, 4)]
    assert there(sessions, ids) == [True, False, True, True, True]
    assert sessions.used() <= 10_000


def test_there_are_never_more_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 3)
    sessions = make(tmp_path)
    ids = [add(sessions, number) for number in range(5)]
    assert there(make(tmp_path), ids) == [False, False, True, True, True]


def test_what_is_being_segmented_stays(tmp_path: Path) -> None:
    sessions = make(tmp_path, 5000)
    first = add(sessions, 0, 2000)
    with sessions.using(first) as session:
        assert session is not None
        ids = [add(sessions, number, 2000) for number in (1, 2)]
        assert there(sessions, [first, *ids]) == [True, False, True]
    assert there(sessions, [first, add(sessions, 3, 2000)])[1]


def test_one_that_is_larger_than_all_may_be_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    sessions = make(tmp_path, 5000)
    with pytest.raises(NoSpace, match="no room for another session"):
        add(sessions, 0, 6000)
    assert not sessions.used()


def test_a_full_disk_refuses_new_ones_and_keeps_serving_those_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = make(tmp_path)
    session = add(sessions, 0)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert sessions.get_session(session) is not None
    assert make(tmp_path).get_session(session) is not None


@pytest.mark.parametrize("restarted", [False, True], ids=["same server", "after a restart"])
def test_forty_sessions_keep_no_job_out(restarted: bool, tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    sessions = SafeSessions(str(store.root / "sessions"))
    for number in range(40):
        add(sessions, number, 2000)
    if restarted:
        store, sessions = JobStore(tmp_path), SafeSessions(str(store.root / "sessions"))
    quota = DiskQuota(store, 50_000)
    sessions.share(quota, tmp_path)
    quota.make_space(45_000, iter([]))
    assert sessions.used() <= 5000
    assert sessions.limit_bytes < 50_000


def test_sessions_elsewhere_are_not_removed_for_jobs(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "studies")
    sessions = make(tmp_path / "home")
    session = add(sessions, 0, 2000)
    quota = DiskQuota(store, 1000)
    sessions.share(quota, tmp_path / "studies")
    quota.make_space(500, iter([]))
    assert sessions.get_session(session) is not None


def test_those_of_an_earlier_server_end_too(tmp_path: Path) -> None:
    session = add(make(tmp_path), 0)
    sessions = make(tmp_path)
    assert sessions, "MONAI Label looks for expired ones only where this is true"
    meta = Path(sessions.store_path) / session / META
    facts = json.loads(meta.read_text())
    assert facts["expiry"] == 3600
    meta.write_text(json.dumps({**facts, "last_access_ts": int(time.time()) - 4000}))
    assert sessions.remove_expired() == 1 and not sessions.used()


values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(["image", "expiry", "last_access_ts", "create_ts", "path"]), values) | values)
def test_a_damaged_record_costs_that_session_and_no_other(tmp_path: Path, damage: Any) -> None:
    shutil.rmtree(tmp_path / "sessions", ignore_errors=True)
    sessions = make(tmp_path)
    ids = [add(sessions, number) for number in range(2)]
    meta = Path(sessions.store_path) / ids[0] / META
    facts = json.loads(meta.read_text())
    meta.write_text(json.dumps({**facts, **damage} if isinstance(damage, dict) else damage))
    again = make(tmp_path)
    again.get_session(ids[0])
    again.remove_expired()
    again.make_room(0)
    assert there(again, ids)[1]


@pytest.mark.parametrize("image", ["/etc/passwd", "../../outside.nii", "../{other}/volume.nii"])
def test_a_record_that_names_a_file_elsewhere_is_none(image: str, tmp_path: Path) -> None:
    sessions = make(tmp_path)
    session, other = add(sessions, 0), add(sessions, 1)
    (tmp_path / "outside.nii").write_bytes(b"x")
    meta = Path(sessions.store_path) / session / META
    facts = json.loads(meta.read_text())
    place = Path(sessions.store_path) / session / image.format(other=other)
    meta.write_text(json.dumps({**facts, "image": os.path.normpath(place)}))
    assert make(tmp_path).get_session(session) is None
