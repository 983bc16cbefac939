"""Uploads that arrive in parts: what has come stays on disk when the connection, or the server, breaks.

uploads/ID/arrival.json     ending, size and sender, from the first moment on
uploads/ID/volume.nrrd      as far as it has come: its size says how far
uploads/ID/upload.json      when all is there and was read: an upload like any other, see `uploads.py`
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import image2d_endings
from monai_semgan.jobs.job_errors import Conflict, JobError, NoSpace, QueueFull, TooLarge, Unknown, in_words
from monai_semgan.jobs.storage.store import make_folder, remove_folder
from monai_semgan.utils.files import write_error, written_aside

SUFFIXES = (".nrrd", ".nii", ".nii.gz", ".mha", *image2d_endings())
"""Of volumes, and of pictures, for models of single images."""

VOLUME = "volume"
ARRIVAL = "arrival.json"

PATIENCE_SECONDS = 3600.0
"""What is not whole goes so long after its last byte."""

ABANDONED_SECONDS = 300.0
"""What has got nothing for so long makes room for others where there is none."""

TAKEOVER_SECONDS = 10.0
"""A part that has not brought a byte for so long gives way to the next one: its connection may be dead unnoticed."""

UNFINISHED_LIMIT = 32
"""Uploads that may be unfinished at once, of all clients together."""


class Arrival(BaseModel):
    """What is known of an upload before it has come: the record on disk."""

    suffix: str
    bytes: int
    owner: str | None = None


class PartialUpload:
    """An upload that is not whole, or not read yet. Thread-safe.

    Args:
        folder: its own; the name is the id.
        arrival: what was announced.
    """

    def __init__(self, folder: Path, arrival: Arrival) -> None:
        self.name, self.arrival = folder.name, arrival
        self.path = folder / f"{VOLUME}{arrival.suffix}"
        self._lock = threading.Lock()
        self._holder: object | None = None
        self._moved = 0.0

    @property
    def received(self) -> int:
        """Count the bytes that are there."""
        with contextlib.suppress(FileNotFoundError):
            return self.path.stat().st_size
        return 0

    @property
    def whole(self) -> bool:
        """Whether all bytes are there."""
        return self.received == self.arrival.bytes

    @property
    def expires(self) -> float:
        """When it goes, unless more comes."""
        with contextlib.suppress(OSError):
            return self.path.stat().st_mtime + PATIENCE_SECONDS
        return 0.0

    @property
    def held(self) -> bool:
        """Whether a part is coming, or the file is being read."""
        return self._holder is not None and time.monotonic() - self._moved < TAKEOVER_SECONDS

    def hold(self, offset: int) -> object:
        """Become the only one that may go on at `offset`.

        Returns:
            What `write` and `release` are given.

        Raises:
            Conflict: if another part is coming, or so many bytes are not what is there.
        """
        with self._lock:
            received = self.received
            if self.held:
                raise Conflict(f"another part of this upload is being received or read; {received} bytes are there")
            if offset != received:
                raise Conflict(f"the part begins at {offset}, but {received} bytes are there; go on at {received}")
            self._holder, self._moved = object(), time.monotonic()
            return self._holder

    def write(self, holder: object, block: bytes) -> None:
        """Add bytes.

        Raises:
            Conflict: if another part has taken over.
            TooLarge: if there are more than were announced.
            Unknown: if the upload was removed meanwhile.
            NoSpace: if the disk is full; what could be written stays.
        """
        with self._lock:
            self._moved = time.monotonic()
            if holder is not self._holder:
                raise Conflict(f"another part of this upload has taken over; {self.received} bytes are there")
            if self.received + len(block) > self.arrival.bytes:
                raise TooLarge(f"there are more bytes than the {self.arrival.bytes} that were announced")
            try:
                with open(self.path, "r+b", buffering=0) as stream:
                    stream.seek(0, os.SEEK_END)
                    rest = memoryview(block)
                    while rest:
                        rest = rest[stream.write(rest) :]
            except FileNotFoundError:
                raise Unknown("the upload was removed meanwhile: send the volume again") from None
            except OSError as error:
                raise NoSpace(in_words(write_error(error, self.path))) from error

    def claim(self) -> object | None:
        """Become the one that reads the whole file; None if somebody has it."""
        with self._lock:
            if self._holder is not None or not self.whole:
                return None
            self._holder, self._moved = object(), float("inf")
            return self._holder

    def release(self, holder: object) -> None:
        """Let the next one go on."""
        with self._lock:
            if self._holder is holder:
                self._holder = None


class PartialUploads:
    """All unfinished uploads of a folder. Thread-safe.

    Args:
        folder: where they lie, beside the finished ones.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._known: dict[str, PartialUpload] = {}

    def load(self, finished: str) -> None:
        """Take over what an earlier server has begun; what has the file `finished` is no longer one of these."""
        for folder in list(self.folder.iterdir()):
            with contextlib.suppress(OSError, ValueError):
                if not folder.name.startswith(".") and not (folder / finished).exists():
                    self._known[folder.name] = PartialUpload(folder, read_arrival(folder))

    def begin(self, arrival: Arrival) -> PartialUpload:
        """Make room for an upload.

        Raises:
            JobError: if the suffix is not one of `SUFFIXES`.
            QueueFull: if too many are unfinished.
            NoSpace: if the disk is full.
        """
        check_suffix(arrival.suffix)
        if len(self.names()) >= UNFINISHED_LIMIT and (left := self.abandoned()):
            self.remove(left[0])
        with self._lock:
            if len(self._known) >= UNFINISHED_LIMIT:
                raise QueueFull(f"{len(self._known)} uploads are unfinished; end or remove one, or try again later")
            folder = self.folder / secrets.token_hex(16)
            aside = folder.with_name(f".{folder.name}.part")
            try:
                make_folder(aside)
                write_arrival(aside, arrival)
                (aside / f"{VOLUME}{arrival.suffix}").touch()
                os.replace(aside, folder)
            except OSError as error:
                raise NoSpace(in_words(write_error(error, aside))) from error
            except SemganError as error:
                raise NoSpace(in_words(error)) from error
            finally:
                remove_folder(aside)
            upload = self._known[folder.name] = PartialUpload(folder, arrival)
            return upload

    def get(self, upload: str) -> PartialUpload | None:
        """Return an unfinished upload."""
        return self._known.get(upload)

    def forget(self, upload: str) -> None:
        """Drop one that is finished now."""
        with self._lock:
            self._known.pop(upload, None)

    def remove(self, upload: str) -> None:
        """Drop one and remove its files; a part that is coming ends with `Unknown`."""
        self.forget(upload)
        remove_folder(self.folder / upload)

    def expired(self) -> list[str]:
        """Return those whose time is over."""
        now = time.time()
        return [upload.name for upload in self._idle() if upload.expires < now]

    def names(self) -> list[str]:
        """Return the ids of all."""
        with self._lock:
            return list(self._known)

    def abandoned(self) -> list[str]:
        """Return those that have got nothing for some minutes, the one that has waited longest first."""
        latest = time.time() + PATIENCE_SECONDS - ABANDONED_SECONDS
        idle = sorted(self._idle(), key=lambda upload: upload.expires)
        return [upload.name for upload in idle if upload.expires < latest]

    def _idle(self) -> Iterator[PartialUpload]:
        with self._lock:
            known = list(self._known.values())
        return (upload for upload in known if not upload.held)


def check_suffix(suffix: str) -> None:
    """Make sure that files with this ending are taken.

    Raises:
        JobError: if not.
    """
    if suffix not in SUFFIXES:
        raise JobError(f"unknown suffix; use {', '.join(SUFFIXES)}")


def read_arrival(folder: Path) -> Arrival:
    """Read the record of an upload.

    Raises:
        OSError: if there is none.
        ValueError: if it is damaged.
    """
    return Arrival.model_validate_json((folder / ARRIVAL).read_bytes())


def write_arrival(folder: Path, arrival: Arrival) -> None:
    """Write the record of an upload.

    Raises:
        SemganError: if it cannot be written.
    """
    with written_aside(folder / ARRIVAL) as aside:
        aside.write_text(arrival.model_dump_json(), encoding="utf-8")
