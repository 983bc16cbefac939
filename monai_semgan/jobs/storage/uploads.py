"""Volumes that clients send for jobs to use."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Upload
from monai_semgan.jobs.job_errors import NoSpace, TooLarge, Unknown, in_words
from monai_semgan.jobs.scan_checks import ScanFacts, check_scan
from monai_semgan.jobs.storage.partial_uploads import VOLUME, Arrival, check_suffix, read_arrival, write_arrival
from monai_semgan.jobs.storage.store import make_folder, remove_folder
from monai_semgan.utils.files import bytes_in, write_error, written_aside

RECORD = "upload.json"
UNKNOWN = "unknown upload; it may have expired: send the volume again"


@dataclass
class StoredUpload:
    """An upload on disk.

    Attributes:
        info: as clients see it.
        path: the volume.
        heights: lowest and highest S coordinate (RAS mm).
        owner: who sent it; None: nobody said so.
    """

    info: Upload
    path: Path
    heights: tuple[float, float]
    owner: str | None = None


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

    def load(self, spared: Collection[str] = ()) -> None:
        """Take over what is there; what is not complete is removed, except folders of the names `spared`."""
        for folder in list(self.folder.iterdir()):
            if folder.name in spared:
                continue
            try:
                info = Upload.model_validate_json((folder / RECORD).read_bytes())
                path = next(path for path in folder.iterdir() if path.name.startswith(VOLUME))
            except (OSError, ValueError, StopIteration):
                remove_folder(folder)
                continue
            self._known[info.id] = StoredUpload(info, path, (float("-inf"), float("inf")), _owner(folder))

    def get(self, upload: str) -> StoredUpload:
        """Return an upload.

        Raises:
            Unknown: if there is none.
        """
        try:
            return self._known[upload]
        except KeyError:
            raise Unknown(UNKNOWN) from None

    def use(self, upload: str) -> None:
        """Let it stay longer."""
        info = self.get(upload).info
        info.expires = time.time() + self.keep_seconds

    def known(self, upload: str) -> bool:
        """Tell whether there is one of this id."""
        return upload in self._known

    @contextlib.contextmanager
    def receiving(self, suffix: str, owner: str | None = None) -> Iterator[Incoming]:
        """Take in an upload while it is being sent; unless `accept` was called, it vanishes at the end.

        Raises:
            JobError: if the suffix is not one of `SUFFIXES`.
            NoSpace: if the disk is full.
        """
        check_suffix(suffix)
        name = secrets.token_hex(16)
        aside = self.folder / f".{name}.part"
        try:
            make_folder(aside)
            with open(aside / f"{VOLUME}{suffix}", "wb") as stream:
                yield Incoming(name, aside / f"{VOLUME}{suffix}", stream, self.check_size, owner)
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
        folder = incoming.path.parent
        suffix = incoming.path.name.removeprefix(VOLUME)
        facts = check_scan(incoming.path, self.python)
        write_arrival(folder, Arrival(suffix=suffix, bytes=incoming.bytes, owner=incoming.owner))
        info = self._record(folder, incoming.name, incoming.bytes, facts)
        final = self.folder / info.id
        os.replace(folder, final)
        return StoredUpload(info, final / incoming.path.name, facts.heights, incoming.owner)

    def accept_in_place(self, path: Path, owner: str | None) -> StoredUpload:
        """Read a file that lies in the folder of its upload already.

        Raises:
            JobError: if it is no volume.
            SemganError: if the record cannot be written.
        """
        facts = check_scan(path, self.python)
        info = self._record(path.parent, path.parent.name, path.stat().st_size, facts)
        return StoredUpload(info, path, facts.heights, owner)

    def _record(self, folder: Path, name: str, count: int, facts: ScanFacts) -> Upload:
        expires = time.time() + self.keep_seconds
        shape, spacing = list(facts.shape), list(facts.spacing)
        info = Upload(id=name, bytes=count, expires=expires, shape=shape, spacing=spacing, empty=facts.empty)
        with written_aside(folder / RECORD) as aside:
            aside.write_text(info.model_dump_json(), encoding="utf-8")
        return info

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
        owner: who sends them.
    """

    def __init__(
        self, name: str, path: Path, stream: BinaryIO, check_size: Callable[[int], None], owner: str | None = None
    ) -> None:
        self.name, self.path, self.stream, self.check_size, self.owner = name, path, stream, check_size, owner
        self.bytes = 0

    def write(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            TooLarge: if there are too many.
        """
        self.bytes += len(block)
        self.check_size(self.bytes)
        self.stream.write(block)


def _owner(folder: Path) -> str | None:
    """Return who sent an upload; uploads of older servers have no such record."""
    try:
        return read_arrival(folder).owner
    except (OSError, ValueError):
        return None
