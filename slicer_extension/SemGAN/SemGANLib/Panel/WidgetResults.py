"""The panel's section Results: warning, volumes, report, surfaces, slices. The maps are in `WidgetMaps`."""

from __future__ import annotations

from typing import Any, Callable

import qt

from ..Protocols import Logic
from ..Scene.SliceViews import jump
from ..Translation import tr as _
from ..Views import INFO, Message, Outcome, SliceValue
from .Plot import Line, Plot
from .VolumeTable import VolumeTable


class ResultsSection:
    """What was found in the chosen volume.

    Args:
        ui: widgets by name.
        logic: see `Protocols.Logic`.
        scene: the MRML scene.
        choose_file: asks where to save: title, proposal and filter; an empty path if the user would rather not.
        show_message: shows a `Message`.
    """

    def __init__(
        self,
        ui: Any,
        logic: Logic,
        scene: Any,
        choose_file: Callable[[str, str, str], str],
        show_message: Callable[[Message | None], None],
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._scene = scene
        self._choose_file = choose_file
        self._show_message = show_message
        self._table = VolumeTable(ui.volumesTable)
        self._plot = Plot(ui.slicesPlot, " mm")
        self._slices: list[SliceValue] = []
        self._plot.clicked.connect(self._on_place)
        ui.copyButton.connect("clicked()", self.copy)
        ui.measureButton.connect("clicked()", self.show_volumes)
        ui.reportButton.connect("clicked()", self._on_report)
        ui.surfacesCheckBox.connect("clicked(bool)", self._on_surfaces)
        logic.outcome_changed.connect(self._on_outcome)
        logic.choices.changed.connect(self._on_choices)
        self._shown: str | None = None
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
        ui.outcomeLabel.setText(_describe(outcome) if outcome is not None else _("No result yet."))
        ui.warningLabel.setText("\u26a0 " + outcome.warning if outcome is not None and outcome.warning else "")
        ui.warningLabel.setVisible(outcome is not None and bool(outcome.warning))
        for widget in (ui.copyButton, ui.measureButton, ui.reportButton, ui.surfacesCheckBox):
            widget.setEnabled(outcome is not None)
        if outcome is None:
            ui.surfacesCheckBox.setChecked(False)
        self.show_volumes()
        self._show_slices(volume if outcome is not None else None)

    def show_volumes(self) -> None:
        """Measure the segments and show the table."""
        volume = self._logic.choices.volume
        has_result = volume is not None and self._logic.outcome(volume) is not None
        self._table.show(self._logic.organ_volumes(volume) if has_result else [])

    def copy(self) -> None:
        """Put the table on the clipboard."""
        volume = self._logic.choices.volume
        if volume is not None and self._logic.outcome(volume) is not None:
            qt.QApplication.clipboard().setText(self._logic.volumes_csv(volume))
            self._show_message(Message(INFO, _("The table of volumes is on the clipboard, as CSV.")))

    def _show_slices(self, volume: Any) -> None:
        self._slices = self._logic.slice_values(volume) if volume is not None else []
        residual = [(value.position, value.residual) for value in self._slices]
        uncertainty = [(value.position, value.uncertainty) for value in self._slices]
        self._plot.show([Line(_("Residual"), residual, "#d9822b"), Line(_("Doubt"), uncertainty, "#8a63d2")])

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


def _describe(outcome: Outcome) -> str:
    """Write which model made a result, and how."""
    result = outcome.result
    parts = [_("Preview") if result.mode == "preview" else _("Refined")]
    if result.partial:
        parts.append(_("so far"))
    parts.append(_("by {name} {version}").format(name=result.model.name, version=result.model.version))
    if result.modality:
        parts.append(_("as {modality}").format(modality=result.modality))
    lines = [" ".join(parts) + "."]
    if result.model.sha256:
        lines.append(_("Weights: {digest}").format(digest=result.model.sha256[:12]))
    domain = result.domain
    if domain is not None:
        text = _("Scan: {verdict} (score {score})")
        lines.append(text.format(verdict=domain.verdict, score=f"{domain.score:.2f}"))
    elif not result.partial:
        lines.append(_("Scan: cannot tell whether the model knows its like."))
    if not result.partial:  # until then notes tell of an end that is none
        told = domain.advice if domain is not None else ""
        lines += [note for note in outcome.notes or result.notes if not (told and told in note)]
    return "\n".join(lines)
