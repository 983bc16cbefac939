"""The slice views of the scene: which there are, and going to a place in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PREFIX = "SemGAN"
"""Names of the views of this module begin with it."""


def composites(scene: Any) -> list[Any]:
    """List the nodes that say what the user's own slice views show; those of this module are left out."""
    found = [
        scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode"))
    ]
    return [node for node in found if not (node.GetLayoutName() or "").startswith(PREFIX)]


def jump(scene: Any, place: Sequence[float]) -> None:
    """Show a place (RAS mm) in all slice views."""
    import slicer

    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, place[0], place[1], place[2], slicer.vtkMRMLSliceNode.OffsetJumpSlice)


def centre(scene: Any, place: Sequence[float]) -> None:
    """Show a place (RAS mm) in the middle of all slice views, whatever part of the scan they are zoomed into."""
    import slicer

    slicer.vtkMRMLSliceNode.JumpAllSlices(
        scene, place[0], place[1], place[2], slicer.vtkMRMLSliceNode.CenteredJumpSlice
    )
