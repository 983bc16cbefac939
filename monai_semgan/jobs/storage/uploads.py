"""Volumes that clients send for jobs to use."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Upload
from monai_semgan.jobs.job_errors import JobError, NoSpace, TooLarge, Unknown, in_words
from monai_semgan.jobs.scan_checks import ScanFacts, check_scan
from monai_semgan.jobs.storage.store import bytes_in, make_folder, remove_folder
from monai_semgan.utils.files import write_error, written_aside

SUFFIXES = (".nrrd", ".nii", ".nii.gz", ".mha")
VOLUME = "volume"
RECORD = "upload.json"


@dataclass
class StoredUpload:
    """An upload on disk.

    Attributes:
        info: as clients see it.
        path: the volume.
        heights: lowest and highest S coordinate (RAS mm).
    """

    info: Upload
    path: Path
    heights: tuple[float, float]


class UploadStore:
    """Folders of uploads. The owner holds its lock while it calls, except in `receiving` and `accept`.

    Args:
        folder: where they lie; what an earlier server left there is taken over.
        python: interpreter that reads them.
        limit_bytes: largest that is taken.
        keep_seconds: how long one stays after its last use.
    """

    def __init__(self, folder: Path, python: str, limit_bytes: int, keep_seconds: float) -> None:
        self.folder, self.python, self.limit_bytes, self.keep_seconds = folder, python, limit_bytes, keep_seconds
        self._known: dict[str, StoredUpload] = {}

    def load(self) -> None:
        """Take over what is there; what is not complete is removed."""
        for folder in list(self.folder.iterdir()):
            try:
                info = Upload.model_validate_json((folder / RECORD).read_bytes())
                path = next(path for path in folder.iterdir() if path.name.startswith(VOLUME))
            except (OSError, ValueError, StopIteration):
                remove_folder(folder)
                continue
            self._known[info.id] = StoredUpload(info, path, (float("-inf"), float("inf")))

    def get(self, upload: str) -> StoredUpload:
        """Return an upload.

        Raises:
            Unknown: if there is none.
        """
        try:
            return self._known[upload]
        except KeyError:
            raise Unknown("unknown upload; it may have expired: send the volume again") from None

    def use(self, upload: str) -> None:
        """Let it stay longer."""
        info = self.get(upload).info
        info.expires = time.time() + self.keep_seconds

    @contextlib.contextmanager
    def receiving(self, suffix: str) -> Iterator[Incoming]:
        """Take in an upload while it is being sent; unless `accept` was called, it vanishes at the end.

        Raises:
            JobError: if the suffix is not one of `SUFFIXES`.
            NoSpace: if the disk is full.
        """
        if suffix not in SUFFIXES:
            raise JobError(f"unknown suffix; use {', '.join(SUFFIXES)}")
        name = secrets.token_hex(16)
        aside = self.folder / f".{name}.part"
        try:
            make_folder(aside)
            with open(aside / f"{VOLUME}{suffix}", "wb") as stream:
                yield Incoming(name, aside / f"{VOLUME}{suffix}", stream, self.check_size)
        except OSError as error:
            raise NoSpace(in_words(write_error(error, aside))) from error
        except SemganError as error:
            raise NoSpace(in_words(error)) from error
        finally:
            remove_folder(aside)

    def check_size(self, count: int) -> None:
        """Make sure that so many bytes are taken.

        Raises:
            TooLarge: if not.
        """
        if count > self.limit_bytes:
            raise TooLarge(f"the volume is larger than the {self.limit_bytes} bytes that this server takes")

    def accept(self, incoming: Incoming) -> StoredUpload:
        """Read what was sent and keep it.

        Raises:
            JobError: if it is no volume.
        """
        incoming.stream.close()
        facts = check_scan(incoming.path, self.python)
        info = _describe(incoming, facts, time.time() + self.keep_seconds)
        with written_aside(incoming.path.parent / RECORD) as aside:
            aside.write_text(info.model_dump_json(), encoding="utf-8")
        final = self.folder / info.id
        os.replace(incoming.path.parent, final)
        return StoredUpload(info, final / incoming.path.name, facts.heights)

    def add(self, upload: StoredUpload) -> None:
        """Make an accepted upload known."""
        self._known[upload.info.id] = upload

    def remove(self, upload: str) -> None:
        """Forget an upload and remove its files."""
        self._known.pop(upload, None)
        remove_folder(self.folder / upload)

    def expired(self) -> list[str]:
        """Return uploads whose time is over."""
        now = time.time()
        return [name for name, upload in self._known.items() if upload.info.expires < now]

    def oldest_first(self) -> list[str]:
        """Return all uploads, the one that was not used for the longest time first."""
        return sorted(self._known, key=lambda name: self._known[name].info.expires)

    def used(self) -> int:
        """Count the bytes of all."""
        return bytes_in(self.folder)


class Incoming:
    """Bytes of an upload, on their way to disk.

    Args:
        name: id.
        path: file.
        stream: open file.
        check_size: asked whether so many bytes are taken; raises otherwise.
    """

    def __init__(self, name: str, path: Path, stream: BinaryIO, check_size: Callable[[int], None]) -> None:
        self.name, self.path, self.stream, self.check_size = name, path, stream, check_size
        self.bytes = 0

    def write(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            TooLarge: if there are too many.
        """
        self.bytes += len(block)
        self.check_size(self.bytes)
        self.stream.write(block)


def _describe(incoming: Incoming, facts: ScanFacts, expires: float) -> Upload:
    return Upload(id=incoming.name, bytes=incoming.bytes, expires=expires, shape=facts.shape, spacing=facts.spacing)
