"""Scan, reconstruction and uncertainty side by side, and the user's own layout afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..Signal import Signal
from .SliceViews import PREFIX

LAYOUT = 5706
"""Number of the layout; those of Slicer itself are below 1000."""

WINDOWS = {"CT": (350.0, 40.0)}
"""Width and centre by modality, in HU: soft tissue of the abdomen. Others take what the values suggest."""


@dataclass(frozen=True)
class View:
    """A slice view of the layout."""

    name: str
    label: str
    colour: str


SCAN = View(PREFIX + "Scan", "S", "#4A8FD6")
RECONSTRUCTION = View(PREFIX + "Reconstruction", "R", "#5FB36A")
UNCERTAINTY = View(PREFIX + "Uncertainty", "U", "#E0913A")
VIEWS = (SCAN, RECONSTRUCTION, UNCERTAINTY)


def description() -> str:
    """Write the layout as Slicer reads it."""
    items = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{view.name}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{view.label}</property>'
        f'<property name="viewcolor" action="default">{view.colour}</property></view></item>'
        for view in VIEWS
    )
    return f'<layout type="horizontal" split="true">{items}</layout>'


class ComparisonLayout:
    """Switches the layout of the application.

    Args:
        scene: the MRML scene.
        layout_manager: `slicer.app.layoutManager()`; None without a main window.
    """

    def __init__(self, scene: Any, layout_manager: Any) -> None:
        self.changed = Signal("shown")
        self._scene = scene
        self._manager = layout_manager
        self._before: int | None = None
        self._windows: dict[str, tuple[bool, float, float]] = {}
        self._tag = None
        self._node = layout_manager.layoutLogic().GetLayoutNode() if layout_manager is not None else None
        if self._node is not None:
            self._tag = self._node.AddObserver("ModifiedEvent", self._on_modified)
        self._was_shown = self.shown

    @property
    def shown(self) -> bool:
        """Whether this is the layout of the application now."""
        return self._node is not None and self._node.GetViewArrangement() == LAYOUT

    def show(self, volume: Any, maps: dict[str, str], modality: str) -> None:
        """Show a volume beside its maps (ids by name)."""
        if self._node is None:
            return
        if not self.shown:
            self._before = self._node.GetViewArrangement()
        if not self._node.IsLayoutDescription(LAYOUT):
            self._node.AddLayoutDescription(LAYOUT, description())
        self._manager.setLayout(LAYOUT)
        self._fill(SCAN, volume.GetID())
        self._fill(RECONSTRUCTION, maps.get("reconstruction"))
        self._fill(UNCERTAINTY, volume.GetID(), maps.get("uncertainty"))
        self._set_windows(volume, maps.get("reconstruction"), modality)

    def restore(self) -> None:
        """Give back the layout and the window that the user had."""
        if self.shown and self._before is not None:
            self._manager.setLayout(self._before)
        self._restore_windows()
        self._before = None

    def close(self) -> None:
        """Restore, and watch the layout no more."""
        self.restore()
        if self._tag is not None:
            self._node.RemoveObserver(self._tag)
            self._tag = None

    def _on_modified(self, *_: Any) -> None:
        if self.shown != self._was_shown:
            self._was_shown = self.shown
            if not self.shown:  # also when the user chose another layout
                self._restore_windows()
            self.changed.emit(self.shown)

    def _fill(self, view: View, background: str | None, foreground: str | None = None) -> None:
        widget = self._manager.sliceWidget(view.name)
        if widget is None:
            return
        composite = widget.mrmlSliceCompositeNode()
        composite.SetBackgroundVolumeID(background)
        composite.SetForegroundVolumeID(foreground)
        composite.SetForegroundOpacity(0.5 if foreground else 0.0)
        composite.SetLinkedControl(True)
        widget.sliceLogic().FitSliceToAll()

    def _set_windows(self, volume: Any, reconstruction_id: str | None, modality: str) -> None:
        display = volume.GetDisplayNode()
        if display is None:
            return
        self._remember(volume)
        preset = WINDOWS.get(modality)
        if preset is None:
            display.AutoWindowLevelOn()
        else:
            display.AutoWindowLevelOff()
            display.SetWindowLevel(*preset)
        reconstruction = self._scene.GetNodeByID(reconstruction_id) if reconstruction_id else None
        if reconstruction is not None and reconstruction.GetDisplayNode() is not None:
            reconstruction.GetDisplayNode().AutoWindowLevelOff()
            reconstruction.GetDisplayNode().SetWindowLevel(display.GetWindow(), display.GetLevel())

    def _remember(self, volume: Any) -> None:
        display = volume.GetDisplayNode()
        known = (bool(display.GetAutoWindowLevel()), display.GetWindow(), display.GetLevel())
        self._windows.setdefault(volume.GetID(), known)

    def _restore_windows(self) -> None:
        for volume_id, (automatic, window, level) in self._windows.items():
            volume = self._scene.GetNodeByID(volume_id)
            display = volume.GetDisplayNode() if volume is not None else None
            if display is not None:
                display.SetAutoWindowLevel(automatic)
                display.SetWindowLevel(window, level)
        self._windows.clear()
