"""Labels that clients send: read, and laid onto the grid of their image."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import HTTPException

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import in_words
from monai_semgan.label_app.label_numbers import Ids
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
        names: of ids, as far as the file or the client tells them.
    """

    path: Path
    ids: frozenset[int]
    names: Mapping[int, str]


def receive_label(upload: UploadFile, image: str, models: Ids, label_info: object = None) -> ReceivedLabel:
    """Keep a label that can be read, on the grid of an image.

    Args:
        upload: what was sent: the points of the image in space, or a part of them, along whatever axes.
        image: path of the image.
        models: ids of the models by name, which structures of these names get.
        label_info: the client's names of ids.

    Raises:
        HTTPException: 415 for its ending; 422 with the reason.
    """
    from monai_semgan.label_app.grids import ids_in, lay_onto, read_grid

    path = receive(upload)
    try:
        with _reading:
            laid = lay_onto(path, read_grid(image), models, label_info)
            return ReceivedLabel(path, ids_in(laid.array), laid.names)
    except (SemganError, MemoryError) as error:
        discard(path)
        if isinstance(error.__cause__, OSError):  # the disk is full
            raise
        reason = in_words(error) if isinstance(error, SemganError) else "it does not fit into memory"
        raise HTTPException(422, f"the label: {reason}") from error
    except BaseException:
        discard(path)
        raise
