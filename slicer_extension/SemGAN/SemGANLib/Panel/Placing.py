"""Points, lassos and boxes that the user places with the mouse in the views of Slicer, one markup after the other."""

from __future__ import annotations

from typing import Any, Callable

import qt
import slicer

from ..Protocols.CorrectionProtocol import BOX, LASSO, POINT

CLASSES = {POINT: "vtkMRMLMarkupsFiducialNode", LASSO: "vtkMRMLMarkupsClosedCurveNode", BOX: "vtkMRMLMarkupsLineNode"}
"""Kinds of markups. A box is the line between two corners: a ROI placed in one slice is as thick as it is wide."""

ENOUGH = {POINT: 1, LASSO: 3, BOX: 2}
"""Points that a prompt needs at least."""

SELECTION, INTERACTION = "vtkMRMLSelectionNodeSingleton", "vtkMRMLInteractionNodeSingleton"
CROSSHAIR = "vtkMRMLCrosshairNodedefault"


class Placing:
    """Lets the user place one kind of prompt again and again, until it is stopped here or by Slicer's own tools.

    Args:
        scene: the MRML scene.
        placed: called with kind, markups node and the slice node of the view (or None); the node is removed afterwards.
        stopped: called when the user has chosen another of Slicer's mouse modes.

    Attributes:
        kind: that is being placed; empty for none.
    """

    def __init__(self, scene: Any, placed: Callable[[str, Any, Any], None], stopped: Callable[[], None]) -> None:
        self.kind = ""
        self._scene = scene
        self._placed = placed
        self._stopped = stopped
        self._node: Any = None
        self._tags: list[tuple[Any, int]] = []
        self._timer = qt.QTimer()  # Slicer's own code goes on with the node after it has told of a click
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._look)

    def start(self, kind: str) -> bool:
        """Let the user place prompts of a kind.

        Returns:
            False where the application has no mouse modes to change.
        """
        self.stop()
        selection, interaction = self._singletons()
        if selection is None or interaction is None:
            return False
        self.kind = kind
        self._node = node = self._scene.AddNewNodeByClass(CLASSES[kind], "SemGAN prompt")
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        node.CreateDefaultDisplayNodes()
        events = slicer.vtkMRMLMarkupsNode
        self._observe(node, events.PointPositionDefinedEvent, self._on_event)
        selection.SetReferenceActivePlaceNodeClassName(CLASSES[kind])
        selection.SetActivePlaceNodeID(node.GetID())
        interaction.SetPlaceModePersistence(1 if kind == POINT else 0)
        interaction.SetCurrentInteractionMode(interaction.Place)
        self._observe(interaction, interaction.InteractionModeChangedEvent, self._on_event)
        return True

    def stop(self) -> None:
        """Give the mouse back, and remove what is not complete."""
        if not self.kind:
            return
        self._forget()
        _selection, interaction = self._singletons()
        if interaction is not None and interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)

    def _singletons(self) -> tuple[Any, Any]:
        return self._scene.GetNodeByID(SELECTION), self._scene.GetNodeByID(INTERACTION)

    def _observe(self, node: Any, event: Any, call: Callable[..., None]) -> None:
        self._tags.append((node, node.AddObserver(event, call)))

    def _forget(self) -> None:
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags = []
        self._timer.stop()
        node, self._node, self.kind = self._node, None, ""
        if node is not None and node.GetScene() is not None:
            self._scene.RemoveNode(node)

    def _complete(self) -> bool:
        return bool(self._node.GetNumberOfDefinedControlPoints() >= ENOUGH[self.kind])

    def _on_event(self, *_arguments: Any) -> None:
        self._timer.start()

    def _look(self) -> None:
        """Take what is complete: points and boxes at once, a lasso when the user has closed it."""
        if not self.kind:
            return
        _selection, interaction = self._singletons()
        placing = interaction.GetCurrentInteractionMode() == interaction.Place
        if self._complete() and (self.kind != LASSO or not placing):
            self._take()
        elif not placing:
            self._forget()
            self._stopped()

    def _take(self) -> None:
        """Hand the prompt over, and begin the next one unless that has been stopped meanwhile."""
        kind, node = self.kind, self._node
        self._node = None  # it stays until it has been read
        self._forget()
        self._placed(kind, node, self._view())
        if node.GetScene() is not None:
            self._scene.RemoveNode(node)
        if not self.kind:
            self.start(kind)

    def _view(self) -> Any:
        """Find the slice node of the view that the mouse is in; None where that is not known."""
        crosshair = self._scene.GetNodeByID(CROSSHAIR)
        return crosshair.GetCursorPositionXYZ([0.0, 0.0, 0.0]) if crosshair is not None else None
