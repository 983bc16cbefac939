"""The panel's section Results: what to look at, which model made it, and the table of structures."""

from __future__ import annotations

from typing import Any, Callable

import qt

from ..Protocols.LogicProtocol import Logic
from ..ResultTexts import about_structures, made_by, remarks, verdict_text, warnings
from ..Translation import tr as _
from ..Types.ModelTypes import Model
from ..Views import INFO, Message, Outcome
from .LongWords import wrapped
from .VolumeTable import VolumeTable

WARNING_SIGN, REMARK_SIGN = "\u26a0", "\u2022"


class ResultsSection:
    """What was found in the chosen volume. Maps, plot and details are in `WidgetDetails`.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        show_message: shows a `Message`.
    """

    def __init__(self, ui: Any, logic: Logic, show_message: Callable[[Message | None], None]) -> None:
        self._ui = ui
        self._logic = logic
        self._show_message = show_message
        self._table = VolumeTable(ui.volumesTable, self._on_structure)
        ui.copyButton.connect("clicked()", self.copy)
        ui.measureButton.connect("clicked()", self.show_volumes)
        ui.editorButton.connect("clicked()", self._on_editor)
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
        outcome = self._outcome()
        self._shown = volume.GetID() if volume is not None else None
        ui = self._ui
        found = warnings(outcome.result, self._model_of(outcome)) if outcome is not None else []
        if outcome is not None and outcome.warning and outcome.warning not in found:
            found.insert(0, outcome.warning)
        ui.warningLabel.setText(wrapped("\n".join(f"{WARNING_SIGN} {text}" for text in found)))
        ui.warningLabel.setVisible(bool(found))
        ui.outcomeLabel.setText(wrapped(self._describe(outcome) if outcome is not None else _("No result yet.")))
        ui.copyButton.setEnabled(outcome is not None)
        for widget in (ui.measureButton, ui.editorButton):
            widget.setVisible(outcome is not None)
        self.show_volumes()

    def show_volumes(self) -> None:
        """Measure the segments and show the table."""
        outcome = self._outcome()
        if outcome is None:
            self._table.show([])
            return
        domain = outcome.result.domain
        expected = dict(domain.expected_dice) if domain is not None else {}
        rows = self._logic.organ_volumes(self._logic.choices.volume)
        self._table.show(rows, expected, about_structures(outcome.result))

    def copy(self) -> None:
        """Put the table on the clipboard."""
        if self._outcome() is not None:
            qt.QApplication.clipboard().setText(self._logic.volumes_csv(self._logic.choices.volume))
            self._show_message(Message(INFO, _("The table of volumes is on the clipboard, as CSV.")))

    def _outcome(self) -> Outcome | None:
        volume = self._logic.choices.volume
        return self._logic.outcome(volume) if volume is not None else None

    def _model_of(self, outcome: Outcome) -> Model | None:
        models = self._logic.connection.models
        return next((model for model in models if model.name == outcome.result.model.name), None)

    def _describe(self, outcome: Outcome) -> str:
        result = outcome.result
        parts = [made_by(result), verdict_text(result, self._model_of(outcome))]
        return "\n".join([" ".join(filter(None, parts)), *(f"{REMARK_SIGN} {text}" for text in remarks(result))])

    def _on_structure(self, name: str) -> None:
        self._logic.jump_to(self._logic.choices.volume, name)

    def _on_editor(self) -> None:
        self._logic.open_editor(self._logic.choices.volume)

    def _on_outcome(self, outcome: Outcome) -> None:
        volume = self._logic.choices.volume
        if volume is not None and outcome.volume_id == volume.GetID():
            self.show()

    def _on_choices(self) -> None:
        volume = self._logic.choices.volume
        if (volume.GetID() if volume is not None else None) != self._shown:
            self.show()
