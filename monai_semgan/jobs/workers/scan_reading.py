"""The scan of a job: read, and made sure that it is the one that the job was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.utils.file_state import file_state, fingerprint

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume
    from monai_semgan.jobs.workers.messages import Task

CHANGED = "the scan was replaced, changed or removed after the job had been asked for"


def read_scan(task: Task) -> Volume:
    """Read the scan of a task.

    Raises:
        SemganError: if it is not the one that the job was asked for, or cannot be read.
    """
    check_unchanged(task)
    volume = read_volume(task.image)
    check_unchanged(task)
    return volume


def check_unchanged(task: Task) -> None:
    """Make sure that the scan is the one that the job was asked for.

    Raises:
        SemganError: if it is another one, or gone.
    """
    expected = task.image_state
    if expected is not None and fingerprint(file_state(task.image)) != expected:
        raise SemganError(CHANGED, remedy="start the job again if the scan is the one that you want")
