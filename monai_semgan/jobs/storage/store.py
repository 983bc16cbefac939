"""Jobs on disk: one folder each, with `job.json` and results. What a killed server leaves behind is whole."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from pathlib import Path

from monai_semgan.jobs.contract import Job
from monai_semgan.utils.files import write_error, written_aside

logger = logging.getLogger(__name__)

HIDDEN = ".semgan"
"""Folder in the studies; MONAI Label's datastore takes no notice of it."""

RECORD = "job.json"
RESULTS = "result"
LEFTOVER = "."
"""Names that begin so are of files that were being written or removed."""


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

    def load(self) -> list[Job]:
        """Return all jobs of earlier servers, the oldest first; what belongs to none is removed."""
        found = []
        for folder in list(self.jobs.iterdir()):
            try:
                job = Job.model_validate_json((folder / RECORD).read_bytes())
            except (OSError, ValueError):
                logger.warning("a job without a readable record is removed")
                remove_folder(folder)
                continue
            found.append(job)
        return sorted(found, key=lambda job: job.created)

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

    def remove(self, job: str) -> None:
        """Remove a job's folder."""
        remove_folder(self.folder(job))

    def used(self) -> int:
        """Count the bytes of all jobs and uploads."""
        return bytes_in(self.root)

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


def remove_folder(folder: Path) -> None:
    """Remove a folder so that it is gone at once; a server killed meanwhile removes the rest at its next start."""
    gone = folder.with_name(f"{LEFTOVER}{secrets.token_hex(4)}.gone")
    try:
        os.replace(folder, gone)
    except FileNotFoundError:
        return
    except OSError:
        gone = folder
    shutil.rmtree(gone, ignore_errors=True)


def bytes_in(folder: Path) -> int:
    """Count the bytes of all files in a folder and below; files may vanish meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name), follow_symlinks=False).st_size
            except OSError:
                continue
    return total
