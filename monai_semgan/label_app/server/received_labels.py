"""Labels that clients send: read, and laid onto the grid of their image."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fastapi import HTTPException

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import in_words
from monai_semgan.label_app.server.received_files import discard, receive

if TYPE_CHECKING:
    from fastapi import UploadFile

_reading = threading.Lock()
"""One label in memory at a time; reading with ITK, which borrows stderr, is for one thread anyway."""


def receive_label(upload: UploadFile, image: str) -> str:
    """Return the path of a label that can be read and lies on the grid of an image.

    Args:
        upload: what was sent.
        image: path of the image.

    Raises:
        HTTPException: 415 for its ending; 422 with the reason.
    """
    from monai_semgan.io.reading import read_label
    from monai_semgan.label_app.grids import read_grid

    path = receive(upload)
    try:
        with _reading:
            read_label(path, like=read_grid(image))
    except (SemganError, MemoryError) as error:
        discard(path)
        reason = in_words(error) if isinstance(error, SemganError) else "it does not fit into memory"
        raise HTTPException(422, f"the label: {reason}") from error
    return str(path)
