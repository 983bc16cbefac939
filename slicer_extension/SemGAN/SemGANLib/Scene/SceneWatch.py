"""What happens to the scene while work is under way."""

from __future__ import annotations

from typing import Any, Callable


class SceneWatch:
    """Tells when volumes go, and when the whole scene is closed or loaded.

    Args:
        removed: called with a node that has just left the scene, not while all of it goes.
        closing: called before the scene is emptied.
        loaded: called when it was emptied, or filled from a file.
    """

    def __init__(
        self,
        scene: Any,
        removed: Callable[[Any], None],
        closing: Callable[[], None],
        loaded: Callable[[], None],
    ) -> None:
        import slicer
        import vtk

        self._scene = scene
        self._removed, self._closing, self._loaded = removed, closing, loaded

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def on_removed(_scene: Any, _event: Any, node: Any) -> None:
            if not scene.IsClosing():
                self._removed(node)

        events = slicer.vtkMRMLScene
        self._tags = [
            scene.AddObserver(events.NodeRemovedEvent, on_removed),
            scene.AddObserver(events.StartCloseEvent, lambda *_: self._closing()),
            scene.AddObserver(events.EndCloseEvent, lambda *_: self._loaded()),
            scene.AddObserver(events.EndImportEvent, lambda *_: self._loaded()),
        ]

    def close(self) -> None:
        """Tell nothing any more."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags.clear()
