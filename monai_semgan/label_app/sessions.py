"""Sessions of MONAI Label: volumes that a client sends once and segments several times, without the datastore."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from monailabel.utils.sessions import SessionInfo, Sessions

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import NoSpace
from monai_semgan.jobs.storage.quota import DiskQuota
from monai_semgan.utils.files import bytes_in, written_aside

SESSION_PATTERN = r"^[0-9a-f][0-9a-f-]{7,63}\Z"
META = "meta.info"

MAX_SESSIONS = 64
MAX_BYTES = 5 << 30
PART = 4
"""Sessions take at most one part in so many of the limit of the disk."""

RESERVE_BYTES = 256 << 20
"""Space on the disk that sessions never take."""


def is_session_id(text: object) -> bool:
    """Tell whether this can be the id of a session: MONAI Label joins it to a path."""
    return isinstance(text, str) and re.match(SESSION_PATTERN, text) is not None


class SafeSessions(Sessions):
    """Sessions whose ids lead nowhere else, that outlive a half-written one, and that take a bounded part of the disk.

    Args:
        store_path: folder of the sessions.
        expiry: seconds without use after which one goes.
        limit_bytes: of all together.
    """

    def __init__(self, store_path: str = "", expiry: int = 3600, limit_bytes: int = MAX_BYTES) -> None:
        super().__init__(store_path, expiry)
        self.limit_bytes = limit_bytes
        self._lock = threading.RLock()
        self._used: Counter[str] = Counter()
        self._coming: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Say yes: MONAI Label looks for expired ones only if this is true, and a dict is not after a restart."""
        return True

    def share(self, quota: DiskQuota, home: Path) -> None:
        """Take at most a part of what the server may take of the disk, and make room for jobs.

        Args:
            quota: of the server.
            home: folder that it writes to; sessions elsewhere have a limit of their own.
        """
        self.limit_bytes = quota.limit_bytes // PART
        if Path(self.store_path).resolve().is_relative_to(home.resolve()):
            quota.include(self)

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> SessionInfo | None:
        """Return the session, or None if there is none or it cannot be read."""
        if not is_session_id(session_id):
            return None
        with self._lock:
            try:
                found = super().get_session(session_id, False, fetch_cache)
            except Exception:  # what a damaged record makes the library raise has no common class
                found = None
            if found is None or not self._is_whole(found, session_id):
                self.pop(session_id, None)
                return None
            if update_ts:
                found.last_access_ts = int(time.time())
                with contextlib.suppress(SemganError):  # a full disk is no reason to refuse it
                    self._write_meta_info(session_id, found)
            return found

    @contextlib.contextmanager
    def using(self, session_id: str) -> Iterator[SessionInfo | None]:
        """Yield a session, or None, and keep it from being removed to make room meanwhile."""
        with self._lock:
            self._used[session_id] += 1
        try:
            yield self.get_session(session_id)
        finally:
            with self._lock:
                self._used[session_id] -= 1
                self._used += Counter()  # forgets those at 0

    def add_session(
        self, data_file: str, expiry: int = 0, uncompress: bool = False, session_id: str | None = None
    ) -> tuple[str, SessionInfo]:
        """Keep a volume; sessions that were not used for the longest time make room for it.

        Raises:
            NoSpace: it is larger than what sessions may take, or the disk is full.
        """
        session_id = session_id or str(uuid.uuid4())
        needed = _size(Path(data_file))
        with self._lock:
            self.make_room(needed)
            self._coming[session_id] = needed
        try:
            added: tuple[str, SessionInfo] = super().add_session(data_file, expiry, uncompress, session_id)
            return added
        except BaseException:
            super().remove_session(session_id)
            raise
        finally:
            with self._lock:
                del self._coming[session_id]

    def make_room(self, needed: int) -> None:
        """Remove sessions until there is room for one more.

        Raises:
            NoSpace: that does not suffice.
        """
        removals = self.removals()
        while self._count() >= MAX_SESSIONS or not self._fits(needed):
            remove = next(removals, None)
            if remove is None:
                raise NoSpace("no room for another session; end one, or let the server have more disk")
            remove()

    def used(self) -> int:
        """Count the bytes of all."""
        return bytes_in(Path(self.store_path))

    def removals(self) -> Iterator[Callable[[], None]]:
        """Yield functions that each remove a session, the one that was not used for the longest time first."""
        with self._lock:
            idle = [folder for folder in self._folders() if not self._busy(folder.name)]
        for folder in sorted(idle, key=_last_use):
            yield partial(self.remove_session, folder.name)

    def remove_session(self, session_id: str) -> None:
        """Remove a session and its files."""
        if is_session_id(session_id):
            with self._lock:
                super().remove_session(session_id)

    def remove_expired(self) -> int:
        """Remove sessions that nobody has used for the time they were given, and what is left of broken ones.

        Returns:
            How many.
        """
        count = 0
        for path in self._folders():
            with self._lock:
                info = self.get_session(path.name, update_ts=False, fetch_cache=False)
                if not self._busy(path.name) and (info is None or _expired(info)):
                    self.pop(path.name, None)
                    shutil.rmtree(path, ignore_errors=True)
                    count += 1
        return count

    def _folders(self) -> list[Path]:
        folder = Path(self.store_path)
        return [path for path in folder.glob("*") if path.is_dir()] if folder.is_dir() else []

    def _busy(self, session_id: str) -> bool:
        return self._used[session_id] > 0 or session_id in self._coming

    def _count(self) -> int:
        return len(self._coming.keys() | {folder.name for folder in self._folders()})

    def _fits(self, needed: int) -> bool:
        place = Path(self.store_path)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free
        needed += sum(self._coming.values())  # counted twice where it has arrived already
        return self.used() + needed <= self.limit_bytes and free >= needed + RESERVE_BYTES

    def _is_whole(self, info: SessionInfo, session_id: str) -> bool:
        numbers = (info.expiry, info.last_access_ts, info.create_ts)
        folder = os.path.join(os.path.realpath(os.path.join(self.store_path, session_id)), "")
        typed = isinstance(info.image, str) and all(type(number) is int for number in numbers)
        return typed and os.path.realpath(info.image).startswith(folder)

    def _write_meta_info(self, session_id: str, session_info: SessionInfo) -> None:
        with written_aside(Path(self.store_path) / session_id / META) as temporary:
            temporary.write_text(session_info.to_str(), encoding="utf-8")


def _expired(info: Any) -> bool:
    return bool(info.expiry > 0 and info.last_access_ts + info.expiry < time.time())


def _last_use(folder: Path) -> float:
    try:
        return (folder / META).stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    return bytes_in(path) if path.is_dir() else path.stat().st_size
