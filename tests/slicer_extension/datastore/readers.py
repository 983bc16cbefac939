"""Readers at a server that keeps versions of labels."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np
from SemGANLib.Server.Nrrd import Grid

from tests.slicer_extension.nodes import paint
from tests.slicer_extension.scan_files import file_of, phantom
from tests.slicer_extension.server_answers import segment
from tests.slicer_extension.session import Session

OUT = {"score": 0.9, "verdict": "out of domain", "advice": "Look at every slice."}
SAVED = datetime(2026, 11, 28, 14, 32, 7, tzinfo=timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M")
"""When the server has saved the labels of others, by the clock of this computer."""

FOUND = {"annotator": "Dr. Ä", "model": "semgan_abdomen", "model_version": "1.2", "mode": "preview", "edited": True}


def open_case(reader: Session) -> Any:
    """Open the image of the server."""
    reader.logic.open_image("case")
    reader.settle()
    assert reader.opened, reader.messages
    return reader.opened[-1]


def their_label(suffix: str = ".nrrd", value: int = 4) -> tuple[bytes, np.ndarray]:
    """Make a label of another reader: file and array in the order of the scan's file."""
    grid = phantom("LAS")
    array = segment(grid.array)
    array[2:5, 3:9, 4:20] = value
    return file_of(Grid(array, grid.affine), suffix), array


def submit(reader: Session, volume: Any, user: str = "Dr. B", tag: str = "final") -> None:
    """Press Submit label and wait."""
    reader.logic.submit(volume, user, tag)
    reader.settle()
    reader.settle()


def draw(reader: Session, volume: Any, name: str = "spleen", empty: bool = False) -> None:
    """Correct a structure."""
    node = volume.GetScene().GetNodeByID(reader.logic.outcome(volume).segmentation_id)  # type: ignore[union-attr]
    array = np.zeros((16, 28, 40), bool)
    if not empty:
        array[1:4, 2:8, 2:9] = True
    paint(node, volume, name, array)
