"""The panel's section for what is looked up rather than read: plot, surfaces, report, weights, notes of the server."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.LogicProtocol import Logic
from ..Scene.SliceViews import jump
from ..Translation import tr as _
from ..Views import Outcome, SliceValue
from .LongWords import wrapped
from .Plot import Line, Plot

HOUNSFIELD = "CT"


class DetailsSection:
    """Details of the newest result of the chosen volume. The maps are in `WidgetMaps`.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        scene: the MRML scene.
        choose_file: asks where to save: title, proposal and filter; an empty path if the user would rather not.
    """

    def __init__(self, ui: Any, logic: Logic, scene: Any, choose_file: Callable[[str, str, str], str]) -> None:
        self._ui = ui
        self._logic = logic
        self._scene = scene
        self._choose_file = choose_file
        self._plot = Plot(ui.slicesPlot, _("{place} mm"))
        self._slices: list[SliceValue] = []
        self._shown: str | None = None
        self._plot.clicked.connect(self._on_place)
        ui.reportButton.connect("clicked()", self._on_report)
        ui.surfacesCheckBox.connect("clicked(bool)", self._on_surfaces)
        logic.outcome_changed.connect(self._on_outcome)
        logic.choices.changed.connect(self._on_choices)
        self.show()

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.outcome_changed.disconnect(self._on_outcome)
        self._logic.choices.changed.disconnect(self._on_choices)

    def show(self) -> None:
        """Show the newest result of the chosen volume."""
        volume = self._logic.choices.volume
        outcome = self._logic.outcome(volume) if volume is not None else None
        self._shown = volume.GetID() if volume is not None else None
        ui = self._ui
        ui.surfacesCheckBox.setEnabled(outcome is not None)
        ui.reportButton.setEnabled(outcome is not None and bool(outcome.job))  # a label that was opened has none
        if outcome is None:
            ui.surfacesCheckBox.setChecked(False)
        text = _notes(outcome) if outcome is not None else ""
        ui.detailsLabel.setText(wrapped(text))
        ui.detailsLabel.setVisible(bool(text))
        self._show_slices(volume, outcome)

    def _show_slices(self, volume: Any, outcome: Outcome | None) -> None:
        self._slices = self._logic.slice_values(volume) if outcome is not None else []
        unit = "HU" if outcome is not None and outcome.result.modality == HOUNSFIELD else _("grey values")
        residual = [(value.position, value.residual) for value in self._slices]
        doubt = [(value.position, value.uncertainty) for value in self._slices]
        title = _("Residual ({unit})").format(unit=unit)
        self._plot.show([Line(title, residual, "#d9822b"), Line(_("Doubt (0 to 1)"), doubt, "#8a63d2")])

    def _on_place(self, position: float) -> None:
        if self._slices:
            jump(self._scene, min(self._slices, key=lambda value: abs(value.position - position)).centre)

    def _on_outcome(self, outcome: Outcome) -> None:
        volume = self._logic.choices.volume
        if volume is not None and outcome.volume_id == volume.GetID():
            self.show()

    def _on_choices(self) -> None:
        volume = self._logic.choices.volume
        if (volume.GetID() if volume is not None else None) != self._shown:
            self.show()

    def _on_surfaces(self, visible: bool) -> None:
        if self._logic.choices.volume is not None:
            self._logic.show_surfaces(self._logic.choices.volume, visible)

    def _on_report(self) -> None:
        path = self._choose_file(_("Save the report"), "report.html", "HTML (*.html)")
        if path:
            self._logic.fetch_report(self._logic.choices.volume, path)


def _notes(outcome: Outcome) -> str:
    """Write which weights made a result, and what the server noted beside what is told above."""
    result = outcome.result
    lines = [_("Weights: {digest}").format(digest=result.model.sha256[:12])] if result.model.sha256 else []
    if not result.partial:  # until then notes tell of an end that is none
        advice = result.domain.advice if result.domain is not None else ""
        told = [text for text in (advice, *(finding.text for finding in result.findings)) if text]
        lines += [note for note in outcome.notes or result.notes if not any(text in note for text in told)]
    return "\n".join(lines)
