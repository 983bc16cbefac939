"""The label that a segmentation shows of corrections, apart from what the user paints on it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..Scene import Geometry, SegmentationUpdate
from ..Scene.Strokes import Stroke

if TYPE_CHECKING:
    import numpy

SAME_PLACE = 1e-3
"""Largest difference of matrices that mean the same place; mm."""


class ShownLabel:
    """Changes the voxels of a segmentation from one label to the next; what differs from the first is the user's.

    Args:
        node: the segmentation node.
        volume: the volume node.
        values: numbers of the structures, by name.
        label: (K, J, I) label map that it shows now.
    """

    def __init__(self, node: Any, volume: Any, values: Mapping[str, int], label: numpy.ndarray) -> None:
        self.label = label
        self.writing = False
        self._node, self._volume, self._values = node, volume, values
        self._lies = Geometry.seen_from(volume, node)

    @property
    def apart(self) -> bool:
        """Whether scan and segmentation were moved apart meanwhile: no voxel is where it was drawn then."""
        return bool(abs(Geometry.seen_from(self._volume, self._node) - self._lies).max() > SAME_PLACE)

    def show(self, label: numpy.ndarray, kept: Sequence[Stroke] = (), surfaces: bool = True) -> bool:
        """Show another label; what was painted since the last one stays.

        Args:
            label: (K, J, I).
            kept: strokes whose voxels stay in the scene although the label has them no more: the user's again.
            surfaces: whether surfaces are made anew, where there are some.

        Returns:
            Whether anything has changed.
        """
        scene = label.copy() if kept else label
        for stroke in kept:
            scene.reshape(-1)[stroke.indices] = self.label.reshape(-1)[stroke.indices]
        self.writing = True
        try:
            before, self.label = self.label, label
            if self._node.GetScene() is None:
                return False
            return SegmentationUpdate.update(self._node, self._volume, before, scene, self._values, surfaces)
        finally:
            self.writing = False
