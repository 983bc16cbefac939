"""The data set as a zip, made while it is sent: nothing is held in memory, on disk or under the datastore's lock."""

from __future__ import annotations

import contextlib
import os
import threading
import zipfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from fastapi.responses import StreamingResponse
from monailabel.interfaces.exception import LabelNotFoundException

from monai_semgan.jobs.job_errors import QueueFull
from monai_semgan.label_app.studies.study_ids import split_ending
from monai_semgan.utils.json_text import json_text

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

AT_ONCE = 2
"""Archives that are sent at the same time; further ones are refused."""

BLOCK_BYTES = 256 << 10
METADATA = "metadata.json"
WRITING: Literal["w"] = "w"
"""Mode of a member of a zip, which always holds bytes."""

_free = threading.BoundedSemaphore(AT_ONCE)

Member = tuple[str, Path]
"""Name in the archive, and file."""


class ArchiveResponse(StreamingResponse):
    """Sends the images with final labels, as many as asked for.

    Args:
        datastore: of MONAI Label.
        limit_cases: so many images at most.

    Raises:
        LabelNotFoundException: no image has a final label.
        QueueFull: too many archives are on their way.
    """

    def __init__(self, datastore: Any, limit_cases: int | None) -> None:
        cases = datastore.datalist()
        if not cases:
            raise LabelNotFoundException("no image has a final label")
        known = {name: value for name, value in datastore.json().items() if name != "base_path"}
        chosen = cases[:limit_cases] if limit_cases and limit_cases > 0 else cases
        self._blocks = zip_blocks(members(chosen), json_text(known, default=str))
        headers = {"Content-Disposition": 'attachment; filename="dataset.zip"'}
        super().__init__(self._blocks, media_type="application/zip", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless too many others are on their way."""
        if not _free.acquire(blocking=False):
            raise QueueFull(f"{AT_ONCE} data sets are on their way; try again later")
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._blocks.close()
            _free.release()


def members(cases: Sequence[dict[str, str]]) -> list[Member]:
    """Return the files of cases by their names in the archive, `image/NAME` and `label/NAME`; no name twice.

    An image is called as its label, by the id: its own name may be that of others in other folders.
    """
    found: dict[str, Path] = {}
    for number, case in enumerate(cases):
        for kind, text in case.items():
            path = Path(text)
            for file in _files(path):
                inside = os.path.relpath(file, path.parent) if path.is_dir() else _name(path, case.get("label", text))
                name = os.path.join(kind, inside)
                found[name if name not in found else os.path.join(kind, f"{number:05d}_{file.name}")] = file
    return list(found.items())


def zip_blocks(files: Sequence[Member], metadata: str) -> Generator[bytes, None, None]:
    """Yield a zip in blocks; what cannot be opened any more is left out."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:  # type: ignore[call-overload]  # it needs no more than `write`
        for name, path in files:
            with contextlib.suppress(FileNotFoundError, PermissionError, IsADirectoryError), path.open("rb") as source:
                for _ in _add(archive, zipfile.ZipInfo.from_file(path, name, strict_timestamps=False), source):
                    yield pipe.take()
        archive.writestr(METADATA, metadata)
    yield pipe.take()


def _name(path: Path, label: str) -> str:
    return split_ending(Path(label).name)[0] + split_ending(path.name)[1]


def _files(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def _add(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, source: IO[bytes]) -> Iterator[None]:
    """Add a file in blocks; one that grows meanwhile counts as large as it was."""
    left = entry.file_size
    with archive.open(entry, WRITING) as target:
        while left > 0 and (block := source.read(min(left, BLOCK_BYTES))):
            target.write(block)
            left -= len(block)
            yield


class _Pipe:
    """Where a zip is written to and its blocks are taken from."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Do nothing: what was written is there."""

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken
