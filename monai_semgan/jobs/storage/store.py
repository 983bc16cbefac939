"""Jobs on disk: one folder each, with `job.json`, `origin.json` and results. What a killed server leaves is whole."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from monai_semgan.jobs.contract import Job, JobRequest, State
from monai_semgan.jobs.job_entries import Origin, Turn
from monai_semgan.utils.files import bytes_in, write_error, written_aside

logger = logging.getLogger(__name__)

HIDDEN = ".semgan"
"""Folder in the studies; MONAI Label's datastore takes no notice of it."""

RECORD = "job.json"
ORIGIN = "origin.json"
RESULTS = "result"
UNKNOWN_IMAGE = "unknown"
"""Image of a job whose record is damaged."""

DAMAGED_SECONDS = 24 * 3600.0
"""A job whose record is damaged stays so long after the start of the server."""

LEFTOVER, BEING_WRITTEN, REMOVED = ".", ".part", ".gone"
"""Names that begin with the first are of files that were being written, or removed, as the end of the name says."""


class JobStore:
    """Folders of jobs.

    Args:
        studies: folder of the datastore; everything lies in its sub-folder `.semgan`.

    Raises:
        SemganError: if that folder cannot be made.
    """

    def __init__(self, studies: Path) -> None:
        self.root = studies / HIDDEN
        self.jobs = self.root / "jobs"
        self.uploads = self.root / "uploads"
        for folder in (self.root, self.jobs, self.uploads):
            make_folder(folder)
        self._used, self._counted = 0, float("-inf")

    def load(self) -> list[tuple[Job, Origin]]:
        """Return all jobs of earlier servers, the oldest first; what belongs to none is removed."""
        found = []
        for folder in list(self.jobs.iterdir()):
            try:
                job = Job.model_validate_json((folder / RECORD).read_bytes())
            except (OSError, ValueError):
                recovered = _without_record(folder)
                if recovered is None:
                    logger.warning("a job without a readable record is removed")
                    remove_folder(folder)
                    continue
                job = recovered
            for unfinished in (folder / RESULTS).glob(f"{LEFTOVER}*{BEING_WRITTEN}"):
                remove_folder(unfinished)
            found.append((job, _read_origin(folder / ORIGIN)))
        return sorted(found, key=lambda one: one[0].created)

    def folder(self, job: str) -> Path:
        """Return the folder of a job."""
        return self.jobs / job

    def results(self, job: str) -> Path:
        """Return the folder of a job's results."""
        return self.folder(job) / RESULTS

    def save(self, job: Job) -> None:
        """Write a job's record.

        Raises:
            SemganError: if it cannot be written.
        """
        folder = self.folder(job.id)
        make_folder(folder)
        with written_aside(folder / RECORD) as aside:
            aside.write_text(job.model_dump_json(), encoding="utf-8")

    def save_origin(self, job: str, origin: Origin) -> None:
        """Write where a job comes from, once, before its record.

        Raises:
            SemganError: if it cannot be written.
        """
        folder = self.folder(job)
        make_folder(folder)
        with written_aside(folder / ORIGIN) as aside:
            aside.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def remove(self, job: str) -> None:
        """Remove a job's folder."""
        remove_folder(self.folder(job))
        self._counted = float("-inf")

    def strays(self, known: set[str]) -> list[Path]:
        """List folders that should be gone: those of jobs that are not among the known ones, and removed uploads."""
        found = [Path(entry.path) for root in (self.jobs, self.uploads) for entry in _entries(root)]
        of_jobs = [path for path in found if path.parent == self.jobs and not path.name.startswith(LEFTOVER)]
        removed = [path for path in found if path.name.startswith(LEFTOVER) and path.name.endswith(REMOVED)]
        return removed + [path for path in of_jobs if path.name not in known]

    def used(self, max_age: float = 0.0) -> int:
        """Count the bytes of all jobs and uploads.

        Args:
            max_age: seconds for which the last count will do; with many jobs it takes a while.
        """
        if time.monotonic() - self._counted > max_age:
            self._used, self._counted = bytes_in(self.jobs) + bytes_in(self.uploads), time.monotonic()
        return self._used

    def free(self) -> int:
        """Count the bytes that the disk has left."""
        return shutil.disk_usage(self.root).free


def make_folder(folder: Path) -> None:
    """Make a folder that only the server's user can look into.

    Raises:
        SemganError: if it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error


def remove_folder(folder: Path) -> bool:
    """Remove a folder so that it is gone at once, and its files as soon as possible.

    Returns:
        Whether all is gone; what is left is removed later, see `JobStore.strays` and `load`.
    """
    gone = folder.with_name(f"{LEFTOVER}{secrets.token_hex(4)}{REMOVED}")
    try:
        os.replace(folder, gone)
    except FileNotFoundError:
        return True
    except OSError:
        gone = folder
    shutil.rmtree(gone, ignore_errors=True)
    return not gone.exists()


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        yield from found


def _without_record(folder: Path) -> Job | None:
    """Describe a job whose record is damaged, so that what it had found can be fetched; None if it has nothing."""
    results = folder / RESULTS
    if not any(name.isdigit() for name in (entry.name for entry in _entries(results))):
        return None
    try:
        ended = results.stat().st_mtime
        return Job(
            id=folder.name,
            state=State.failed,
            request=JobRequest(image=UNKNOWN_IMAGE),
            message="the record of this job is damaged; what it had found is still here",
            created=ended,
            finished=ended,
            expires=time.time() + DAMAGED_SECONDS,
        )
    except (OSError, ValueError):
        return None


def _read_origin(path: Path) -> Origin:
    """Read where a job comes from; one of an older server, or a damaged one, has no owner."""
    try:
        values = json.loads(path.read_bytes())
        owner, state = values["owner"], values["image_state"]
        if not all(value is None or isinstance(value, str) for value in (owner, state)):
            return Origin()
        return Origin(owner, state, Turn(values["turn"]), values["report"] is True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Origin()
