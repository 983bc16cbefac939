"""Shows a map (reconstruction, residual, uncertainty) over the scan, and gives the slice views back as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .SliceViews import composites


@dataclass(frozen=True)
class _Layers:
    """What a slice view showed."""

    background: str | None
    foreground: str | None
    opacity: float


class MapDisplay:
    """The map in the foreground of the user's slice views.

    Args:
        scene: the MRML scene.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._before: dict[str, _Layers] = {}
        self.map_id: str | None = None
        """Of the map that is shown."""

    def show(self, volume: Any, map_id: str, opacity: float) -> None:
        """Lay a map over the volume that it belongs to; `opacity` is 0 to 1."""
        for view in composites(self._scene):
            ids = view.GetBackgroundVolumeID(), view.GetForegroundVolumeID()
            before = _Layers(*ids, view.GetForegroundOpacity())
            self._before.setdefault(view.GetID(), before)
            view.SetBackgroundVolumeID(volume.GetID())
            view.SetForegroundVolumeID(map_id)
            view.SetForegroundOpacity(opacity)
        self.map_id = map_id

    def blend(self, opacity: float) -> None:
        """Change how much of the map is seen."""
        for view in composites(self._scene):
            if self.map_id and view.GetForegroundVolumeID() == self.map_id:
                view.SetForegroundOpacity(opacity)

    def hide(self) -> None:
        """Take the map away; views that still show it get back what the user had in them before."""
        for view in composites(self._scene):
            before = self._before.get(view.GetID())
            if before is not None and view.GetForegroundVolumeID() == self.map_id:
                view.SetBackgroundVolumeID(self._there(before.background) or view.GetBackgroundVolumeID())
                view.SetForegroundVolumeID(self._there(before.foreground))
                view.SetForegroundOpacity(before.opacity)
        self.forget()

    def forget(self) -> None:
        """Forget what the views showed: the scene has been closed, and there is nothing to give back."""
        self._before.clear()
        self.map_id = None

    def _there(self, node_id: str | None) -> str | None:
        """Keep the id of a node only if the scene still has it."""
        return node_id if node_id and self._scene.GetNodeByID(node_id) is not None else None


def colour_of(scene: Any, map_id: str) -> str | None:
    """Look up the id of the colour table of a map."""
    display = _display(scene, map_id)
    return display.GetColorNodeID() if display is not None else None


def recolour(scene: Any, map_id: str, colour_id: str) -> None:
    """Show a map in the colours of another table."""
    display = _display(scene, map_id)
    if display is not None and colour_id and display.GetColorNodeID() != colour_id:
        display.SetAndObserveColorNodeID(colour_id)


def _display(scene: Any, map_id: str) -> Any:
    node = scene.GetNodeByID(map_id) if map_id else None
    return node.GetDisplayNode() if node is not None else None
