"""Labels that clients send: read, and laid onto the grid of their image."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from fastapi import HTTPException

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import in_words
from monai_semgan.label_app.server.received_files import discard, receive

if TYPE_CHECKING:
    from fastapi import UploadFile

_reading = threading.Lock()
"""One label in memory at a time; reading with ITK, which borrows stderr, is for one thread anyway."""


@dataclass(frozen=True)
class ReceivedLabel:
    """A label that lies on the grid of its image.

    Args:
        path: the file, in a folder of its own.
        ids: label ids that occur, without the background.
    """

    path: Path
    ids: frozenset[int]


def receive_label(upload: UploadFile, image: str) -> ReceivedLabel:
    """Keep a label that can be read, on the grid of an image.

    Args:
        upload: what was sent: the points of the image in space, or a part of them, along whatever axes.
        image: path of the image.

    Raises:
        HTTPException: 415 for its ending; 422 with the reason.
    """
    from monai_semgan.label_app.grids import lay_onto, read_grid

    path = receive(upload)
    try:
        with _reading:
            ids = _ids(lay_onto(path, read_grid(image)))
    except (SemganError, MemoryError) as error:
        discard(path)
        if isinstance(error.__cause__, OSError):  # the disk is full
            raise
        reason = in_words(error) if isinstance(error, SemganError) else "it does not fit into memory"
        raise HTTPException(422, f"the label: {reason}") from error
    except BaseException:
        discard(path)
        raise
    return ReceivedLabel(path, ids)


def _ids(array: np.ndarray) -> frozenset[int]:
    """Label ids of a uint8 array, without the background; plane by plane, since indices take eight bytes each."""
    found = np.zeros(256, bool)
    for plane in array:
        found[plane] = True
    return frozenset(map(int, np.flatnonzero(found))) - {0}
