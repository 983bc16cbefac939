"""Slicer's own effects (Paint, Erase, Draw, Scissors) on one segment of a result, without leaving the module."""

from __future__ import annotations

from typing import Any, Callable

import qt
import slicer

SCRIBBLE_VOXELS = 2.0
"""Width of a scribble, in voxels of the scan's finest spacing."""

REST_MILLISECONDS = 400
"""Edits that come faster than this belong to the same stroke."""


class SegmentEditing:
    """A Segment Editor of the module's own; only its effects are used, in the views.

    Args:
        scene: the MRML scene.
        parent: widget that it belongs to.
        rested: called when the user has edited and the mouse rests.
        stopped: called when an effect has been ended by something else, such as another tool.
        writing: tells whether results are being written at this moment: they are no edits.

    Attributes:
        effect: name of the one in use; empty for none.
    """

    def __init__(
        self,
        scene: Any,
        parent: Any,
        rested: Callable[[], None],
        stopped: Callable[[], None],
        writing: Callable[[], bool],
    ) -> None:
        self.effect = ""
        self._scene = scene
        self._parent = parent
        self._stopped = stopped
        self._writing = writing
        self._editor: Any = None
        self._node: Any = None
        self._tags: list[tuple[Any, int]] = []
        self._timer = qt.QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MILLISECONDS)
        self._timer.connect("timeout()", rested)

    def start(self, effect: str, segmentation: Any, volume: Any, segment: str, scribble: bool = False) -> bool:
        """Use an effect on a segment.

        Args:
            effect: as Slicer names it.
            scribble: with a thin brush.

        Returns:
            False where the application has no such effect.
        """
        self.stop()
        editor = self._ready()
        editor.setSegmentationNode(segmentation)
        editor.setSourceVolumeNode(volume)
        editor.setCurrentSegmentID(segment)
        editor.setActiveEffectByName(effect)
        active = editor.activeEffect()
        if active is None:
            return False
        if effect in ("Paint", "Erase"):
            self._set_brush(active, volume, scribble)
        self.effect = effect
        segments = segmentation.GetSegmentation()
        self._observe(segments, slicer.vtkSegmentation.SourceRepresentationModified, self._on_edit)
        self._observe(self._node, "ModifiedEvent", self._on_editor)
        return True

    def active(self) -> str:
        """Ask the editor which effect is in use; empty for none."""
        effect = self._editor.activeEffect() if self._editor is not None else None
        return str(effect.name) if effect is not None else ""

    def stop(self) -> None:
        """Give the mouse back."""
        if self._end():
            self._editor.setActiveEffectByName("")

    def drop(self) -> None:
        """Wait no more for the mouse to rest: what has changed is no edit."""
        self._timer.stop()

    def forget(self) -> None:
        """Let go of the scene's nodes: it is being closed."""
        self.stop()
        self.drop()
        if self._editor is not None:
            self._editor.setSegmentationNode(None)
            self._editor.setMRMLSegmentEditorNode(None)
        if self._node is not None and self._node.GetScene() is not None:
            self._scene.RemoveNode(self._node)
        self._node = None

    def close(self) -> None:
        """Stop, for good."""
        self.forget()
        if self._editor is not None:
            self._editor.setMRMLScene(None)
            self._editor = None

    def _ready(self) -> Any:
        """Make the editor where there is none, and give it a node where the scene has been closed meanwhile."""
        if self._editor is None:
            self._editor = slicer.qMRMLSegmentEditorWidget(self._parent)
            self._editor.setVisible(False)
            self._editor.setMaximumNumberOfUndoStates(0)  # corrections have an undo of their own
            self._editor.setMRMLScene(self._scene)
        if self._node is None:
            self._node = slicer.vtkMRMLSegmentEditorNode()
            self._node.SetSaveWithScene(False)
            self._node.SetHideFromEditors(True)
            self._scene.AddNode(self._node)
            self._editor.setMRMLSegmentEditorNode(self._node)
        return self._editor

    def _set_brush(self, effect: Any, volume: Any, scribble: bool) -> None:
        effect.setCommonParameter("BrushSphere", "0")
        if scribble:
            effect.setCommonParameter("BrushDiameterIsRelative", "0")
            effect.setCommonParameter("BrushAbsoluteDiameter", str(SCRIBBLE_VOXELS * min(volume.GetSpacing())))

    def _observe(self, node: Any, event: Any, call: Callable[..., None]) -> None:
        self._tags.append((node, node.AddObserver(event, call)))

    def _end(self) -> bool:
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags = []
        was, self.effect = self.effect, ""
        return bool(was)

    def _on_edit(self, *_arguments: Any) -> None:
        if not self._writing():
            self._timer.start()

    def _on_editor(self, *_arguments: Any) -> None:
        if self.effect and self._node.GetActiveEffectName() != self.effect:
            self._end()
            self._stopped()
