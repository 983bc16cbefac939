"""The panel's part for the maps: which is laid over the scan, its colours, the blend, and the comparison."""

from __future__ import annotations

from typing import Any

from ..Protocols.LogicProtocol import Logic
from ..Scene.ComparisonLayout import ComparisonLayout
from ..Scene.MapDisplay import MapDisplay, colour_of, recolour
from ..Translation import tr as _
from ..Types.ResultTypes import MAPS
from ..Views import Outcome


def map_title(name: str) -> str:
    """Name a map in words."""
    titles = {
        "reconstruction": _("Reconstruction: what the model made of the scan"),
        "residual": _("Residual: scan minus reconstruction"),
        "uncertainty": _("Uncertainty: 0 certain, 1 undecided"),
    }
    return titles[name]


class MapsSection:
    """Shows the maps of the chosen volume.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        scene: the MRML scene.
        layout: the comparison.
    """

    def __init__(self, ui: Any, logic: Logic, scene: Any, layout: ComparisonLayout) -> None:
        self._ui = ui
        self._logic = logic
        self._scene = scene
        self._layout = layout
        self._display = MapDisplay(scene)
        self._names: list[str] = []
        self._showing = False
        ui.mapComboBox.connect("currentIndexChanged(int)", self._on_map)
        ui.colourSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_colour)
        ui.blendSlider.connect("valueChanged(double)", self._on_blend)
        ui.compareButton.connect("clicked(bool)", self.compare)
        logic.outcome_changed.connect(self._on_outcome)
        logic.choices.changed.connect(self.show)
        layout.changed.connect(self._on_layout)
        self.show()

    def close(self) -> None:
        """Give the views back and disconnect from the logic."""
        self._display.hide()
        self._logic.outcome_changed.disconnect(self._on_outcome)
        self._logic.choices.changed.disconnect(self.show)
        self._layout.changed.disconnect(self._on_layout)

    def forget(self) -> None:
        """Forget the map that is shown: the scene has been closed."""
        self._display.forget()
        self.show()

    def show(self) -> None:
        """Offer the maps that there are; one that is shown stays."""
        maps = self._maps()
        names = [name for name in MAPS if name in maps]
        ui = self._ui
        self._showing = True
        try:
            ui.mapsArea.setVisible(bool(names))
            if names != self._names or ui.mapComboBox.count == 0:
                before = self._chosen()
                self._names = names
                ui.mapComboBox.clear()
                ui.mapComboBox.addItems([_("none"), *(map_title(name) for name in names)])
                ui.mapComboBox.setCurrentIndex(names.index(before) + 1 if before in names else 0)
            ui.compareButton.setEnabled("reconstruction" in maps or "uncertainty" in maps)
        finally:
            self._showing = False
        self._apply()

    def compare(self, wanted: bool) -> None:
        """Show scan, reconstruction and uncertainty side by side, or the user's own layout again."""
        volume = self._logic.choices.volume
        outcome = self._logic.outcome(volume) if volume is not None else None
        if wanted and outcome is not None:
            self._layout.show(volume, dict(outcome.maps), outcome.result.modality)
        else:
            self._layout.restore()
        self._on_layout(self._layout.shown)

    def toggle_comparison(self) -> None:
        """Show the comparison or give the layout back, as the button does; for the keyboard."""
        if self._ui.compareButton.enabled:
            self.compare(not self._layout.shown)

    def _maps(self) -> dict[str, str]:
        volume = self._logic.choices.volume
        outcome = self._logic.outcome(volume) if volume is not None else None
        found = dict(outcome.maps) if outcome is not None else {}
        return {name: map_id for name, map_id in found.items() if self._scene.GetNodeByID(map_id) is not None}

    def _chosen(self) -> str:
        index = self._ui.mapComboBox.currentIndex - 1
        return self._names[index] if 0 <= index < len(self._names) else ""

    def _opacity(self) -> float:
        return self._ui.blendSlider.value / 100.0

    def _apply(self) -> None:
        map_id = self._maps().get(self._chosen())
        for widget in (self._ui.colourSelector, self._ui.blendSlider):
            widget.setEnabled(map_id is not None)
        if map_id == self._display.map_id:
            return
        if self._display.map_id is not None:
            self._display.hide()
        if map_id is not None:
            self._display.show(self._logic.choices.volume, map_id, self._opacity())
            self._showing = True
            try:
                self._ui.colourSelector.setCurrentNodeID(colour_of(self._scene, map_id) or "")
            finally:
                self._showing = False

    def _on_map(self, _index: int) -> None:
        if not self._showing:
            self._apply()

    def _on_colour(self, node: Any) -> None:
        map_id = self._maps().get(self._chosen())
        if not self._showing and node is not None and map_id is not None:
            recolour(self._scene, map_id, node.GetID())

    def _on_blend(self, _value: float) -> None:
        self._display.blend(self._opacity())

    def _on_outcome(self, outcome: Outcome) -> None:
        volume = self._logic.choices.volume
        if volume is not None and outcome.volume_id == volume.GetID():
            self.show()
            if self._layout.shown and self._maps():
                self.compare(True)

    def _on_layout(self, shown: bool) -> None:
        self._ui.compareButton.setChecked(shown)
