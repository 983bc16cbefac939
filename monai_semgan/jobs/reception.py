"""Takes volumes in, in one go or in parts, for the routes of uploads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Set
from pathlib import Path

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Upload, UploadProgress
from monai_semgan.jobs.job_errors import Conflict, Forbidden, JobError, NoSpace, Unknown, in_words
from monai_semgan.jobs.ownership import NOBODY, Asker
from monai_semgan.jobs.storage.partial_uploads import Arrival, PartialUpload, PartialUploads
from monai_semgan.jobs.storage.uploads import RECORD, UNKNOWN, Incoming, StoredUpload, UploadStore


class Reception:
    """Receive, check, tell of and remove uploads. Thread-safe.

    Args:
        uploads: those that are whole.
        lock: of their owner.
        make_space: removes what is least missed until so many bytes fit; is told which upload must stay.
        in_use: ids of uploads that unfinished jobs need.
        on_growth: told when something was written.
        check_open: raises while nothing is taken.
    """

    def __init__(
        self,
        uploads: UploadStore,
        lock: threading.RLock,  # type: ignore[valid-type]
        make_space: Callable[[int, str | None], None],
        in_use: Callable[[], Set[str]],
        on_growth: Callable[[], None],
        check_open: Callable[[], None],
    ) -> None:
        self.uploads, self.parts = uploads, PartialUploads(uploads.folder)
        self._lock, self._make_space, self._in_use = lock, make_space, in_use
        self._on_growth, self._check_open = on_growth, check_open

    @property
    def limit_bytes(self) -> int:
        """Size of the largest volume that is taken."""
        return self.uploads.limit_bytes

    def load(self) -> None:
        """Take over what an earlier server has received."""
        self.parts.load(RECORD)
        self.uploads.load(spared=set(self.parts.names()))

    @contextlib.contextmanager
    def receiving(self, suffix: str, expected_bytes: int | None = None, asker: Asker = NOBODY) -> Iterator[Incoming]:
        """Take in an upload in one go, while it is being sent; see `UploadStore.receiving`.

        Raises:
            JobError: if it is too large, or the suffix unknown, or the disk full.
        """
        self._check_open()
        self.uploads.check_size(expected_bytes or 0)
        self._make_space(expected_bytes or 0, None)
        with self.uploads.receiving(suffix, asker.owner) as incoming:
            yield incoming

    def accept(self, incoming: Incoming) -> Upload:
        """Check and keep what was sent in one go.

        Raises:
            JobError: if it is no volume.
        """
        return self._keep(self.uploads.accept(incoming))

    def begin(self, suffix: str, count: int, asker: Asker) -> UploadProgress:
        """Begin an upload in parts.

        Raises:
            JobError: if it is too large, or the suffix unknown, or too many are unfinished, or the disk full.
        """
        self._check_open()
        self.uploads.check_size(count)
        self._make_space(count, None)
        return _unfinished(self.parts.begin(Arrival(suffix=suffix, bytes=count, owner=asker.owner)))

    @contextlib.contextmanager
    def part(self, upload: str, offset: int, asker: Asker) -> Iterator[Callable[[bytes], None]]:
        """Take in a part while it is being sent; yield what its bytes are given to. What has come stays.

        Raises:
            JobError: if it does not go on where the upload stands, or another part is coming, or the upload is
                another's, or the disk full.
        """
        self._check_open()
        found = self._unfinished_or_none(upload, asker)
        if found is None:
            self._refuse_finished(upload, offset, asker)
            yield _nothing_more
            return
        holder = found.hold(offset)
        try:
            self._make_space(found.arrival.bytes - offset, upload)
            yield lambda block: found.write(holder, block)
        finally:
            found.release(holder)
            self._on_growth()

    def progress(self, upload: str, asker: Asker) -> UploadProgress:
        """Tell how much has come.

        Raises:
            Unknown: if there is no such upload.
            Forbidden: if it is another's.
        """
        found = self._unfinished_or_none(upload, asker)
        return _unfinished(found) if found is not None else _finished(self._stored(upload, asker).info)

    def read_whole(self, upload: str, asker: Asker) -> UploadProgress:
        """Read what is whole, unless that is being done already, and tell how much has come.

        Raises:
            Unknown: if there is no such upload.
            Forbidden: if it is another's.
            JobError: if all has come and is no volume; it is removed.
        """
        found = self._unfinished_or_none(upload, asker)
        holder = None if found is None else found.claim()
        if found is None or holder is None:
            return self.progress(upload, asker)
        try:
            return _finished(self._finish(found))
        finally:
            found.release(holder)

    def file(self, upload: str, asker: Asker) -> Path:
        """Return the file of an upload that is whole; it stays a while longer for that.

        Raises:
            Unknown: if there is none.
            Forbidden: if it is another's.
        """
        with self._lock:
            found = self._stored(upload, asker)
            self.uploads.use(upload)
        return found.path

    def remove(self, upload: str, asker: Asker = NOBODY) -> None:
        """Remove an upload, whole or not.

        Raises:
            Unknown: if there is none.
            Forbidden: if it is another's.
            Conflict: if a job still needs it.
        """
        with self._lock:
            if self._unfinished_or_none(upload, asker) is not None:
                self.parts.remove(upload)
                return
            self._stored(upload, asker)
            if upload in self._in_use():
                raise Conflict("a job that has not ended uses this upload; cancel it first")
            self.uploads.remove(upload)

    def expire(self) -> None:
        """Remove what nobody goes on with."""
        for upload in self.parts.expired():
            self.parts.remove(upload)

    def _finish(self, found: PartialUpload) -> Upload:
        try:
            stored = self.uploads.accept_in_place(found.path, found.arrival.owner)
        except JobError:
            self.parts.remove(found.name)
            raise
        except (OSError, SemganError) as error:
            if self.parts.get(found.name) is None:
                raise Unknown(UNKNOWN) from error
            raise NoSpace(in_words(error) if isinstance(error, SemganError) else "the disk is full") from error
        with self._lock:
            if self.parts.get(found.name) is None:  # removed while it was read
                raise Unknown(UNKNOWN)
            info = self._keep(stored)
            self.parts.forget(found.name)
        return info

    def _keep(self, stored: StoredUpload) -> Upload:
        with self._lock:
            self.uploads.add(stored)
        self._on_growth()  # its length may not have been told
        return stored.info

    def _unfinished_or_none(self, upload: str, asker: Asker) -> PartialUpload | None:
        found = self.parts.get(upload)
        if found is not None:
            _check_owner(found.arrival.owner, asker)
        return found

    def _stored(self, upload: str, asker: Asker) -> StoredUpload:
        with self._lock:
            stored = self.uploads.get(upload)
        _check_owner(stored.owner, asker)
        return stored

    def _refuse_finished(self, upload: str, offset: int, asker: Asker) -> None:
        """Let pass only what is the end of a finished upload: its answer may have been lost on the way."""
        count = self._stored(upload, asker).info.bytes
        if offset != count:
            raise Conflict(f"the upload is whole: all {count} bytes are there")


def _unfinished(found: PartialUpload) -> UploadProgress:
    return UploadProgress(id=found.name, received=found.received, bytes=found.arrival.bytes, expires=found.expires)


def _finished(info: Upload) -> UploadProgress:
    return UploadProgress(id=info.id, received=info.bytes, bytes=info.bytes, expires=info.expires, upload=info)


def _nothing_more(block: bytes) -> None:
    if block:
        raise Conflict("the upload is whole: there is nothing to add")


def _check_owner(owner: str | None, asker: Asker) -> None:
    if not asker.may_change(owner):
        raise Forbidden("this upload is another user's; send the volume yourself")
