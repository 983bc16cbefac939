"""Somebody who corrects results by strokes."""

from __future__ import annotations

from typing import Any

import numpy as np
from SemGANLib.Protocols.CorrectionProtocol import CorrectionChoices
from SemGANLib.Scene import Geometry
from SemGANLib.Scene.SegmentationImport import segment_ids

from tests.slicer_extension.nodes import merged_of, paint
from tests.slicer_extension.session import Session

NEAR = CorrectionChoices(reach_mm=12.0)
"""One slice to each side of the phantom's 12 mm slices."""


class Reader:
    """Somebody who corrects the preview of a volume."""

    def __init__(self, session: Session, volume: Any) -> None:
        self.session, self.volume = session, volume
        self.logic = session.logic.corrections
        self.node = volume.GetScene().GetNodeByID(session.logic.outcome(volume).segmentation_id)  # type: ignore[union-attr]

    def begin(self) -> Reader:
        """Begin, and wait until corrections can be sent."""
        assert self.logic.begin(self.volume)
        self.session.wait(lambda: self.logic.state.ready)
        return self

    @property
    def label(self) -> np.ndarray:
        """What the scene shows."""
        return merged_of(self.node, self.volume)

    def paint(self, name: str, mask: np.ndarray) -> np.ndarray:
        """Add voxels to a structure and take them from all others; returns the voxels."""
        label = self.label
        label[mask] = {"liver": 1, "right kidney": 2, "spleen": 4, "": 0}[name]
        for position, value in enumerate((1, 2, 4)):
            if ((label == value) != (self.label == value)).any():
                paint(self.node, self.volume, segment_ids(self.node)[position], label == value)
        return mask

    def stroke(self, name: str = "liver", k: int = 8, j: int = 3) -> np.ndarray:
        """Draw a line of voxels in a slice."""
        mask = np.zeros((16, 28, 40), bool)
        mask[k, j, 4:30] = True
        return self.paint(name, mask)

    def send(self, choices: CorrectionChoices = NEAR, structure: str | None = None) -> None:
        """Send, and wait until all is back."""
        assert self.logic.send_edits(structure, choices), self.session.messages[-1:]
        self.settle()

    def settle(self) -> None:
        """Wait until all is back."""
        self.session.wait(lambda: not self.logic.state.busy)

    def part_came(self) -> bool:
        """Whether a partial result of the first correction has come."""
        return self.logic._session.pendings[0].version > 0

    def said(self) -> str:
        """All messages so far."""
        return " ".join(message.text for message in self.session.messages)


def along(mask: np.ndarray) -> np.ndarray:
    """Add the slices at both sides."""
    near = mask.copy()
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    return near


def markup(reader: Reader, kind: str, voxels: list[tuple[float, float, float]]) -> Any:
    """Place a markup at voxels."""
    node = reader.volume.GetScene().AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", "prompt")
    affine = Geometry.ijk_to_world(reader.volume)
    for i, j, k in voxels:
        node.AddControlPointWorld(*(affine @ (i, j, k, 1))[:3].tolist())
    return node
