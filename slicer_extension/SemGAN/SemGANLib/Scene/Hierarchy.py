"""Places of nodes in the subject hierarchy."""

from __future__ import annotations

from typing import Any


def place_beside(node: Any, source: Any) -> None:
    """Put a node under the study (or folder) of another one; where that has no place, nothing happens."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if hierarchy is None:
        return
    place = hierarchy.GetItemByDataNode(source)
    parent = hierarchy.GetItemParent(place) if place else 0
    if not parent or parent == hierarchy.GetSceneItemID():
        return
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)
