"""The panel's section Learn: what the server learns from submitted labels, and the versions that come of it."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.LogicProtocol import Logic
from ..Protocols.TrainingProtocol import Learning
from ..Translation import tr as _
from ..Types.TrainingTypes import STRUCTURE, TUNE, LabelledStructure, TrainingRequest
from ..Views import Message, Submit
from .LongWords import wrapped
from .VersionTable import VersionTable

KINDS = (STRUCTURE, TUNE)

SECONDS = 60.0
"""Of a minute."""


class LearnSection:
    """Begins a training, shows how far it is, and chooses versions.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        show_message: shows a `Message`, or takes the last one away when it is called with None.
    """

    def __init__(self, ui: Any, logic: Logic, show_message: Callable[[Message | None], None]) -> None:
        self._ui = ui
        self._logic = logic
        self._trainings = logic.trainings
        self._show_message = show_message
        self._offered: list[LabelledStructure] = []
        self._looked: tuple[str, str] | None = None
        self._table = VersionTable(ui.versionsTable)
        ui.learnKindComboBox.addItems([_("a new structure"), _("fine-tune the model")])
        ui.learnKindComboBox.connect("currentIndexChanged(int)", self._on_kind)
        ui.learnStructureComboBox.connect("editTextChanged(QString)", self._on_structure)
        ui.trainButton.connect("clicked()", self.train)
        ui.cancelTrainingButton.connect("clicked()", self._trainings.cancel)
        ui.resumeTrainingButton.connect("clicked()", self._trainings.resume)
        ui.useVersionButton.connect("clicked()", self._on_use)
        ui.versionsTable.connect("itemSelectionChanged()", self._on_version)
        ui.learnSection.connect("contentsCollapsed(bool)", self._on_collapsed)
        self._trainings.changed.connect(self._on_changed)
        logic.connection_changed.connect(self._on_connection)
        logic.submit_changed.connect(self._on_submit)
        logic.choices.changed.connect(self._look)
        self.show()

    def close(self) -> None:
        """Disconnect from the logic."""
        self._trainings.changed.disconnect(self._on_changed)
        self._logic.connection_changed.disconnect(self._on_connection)
        self._logic.submit_changed.disconnect(self._on_submit)
        self._logic.choices.changed.disconnect(self._look)

    def train(self) -> None:
        """Begin a training."""
        chosen = self._labelled()
        name = _shown(chosen) if chosen is not None else self._typed()
        label = chosen.label if chosen is not None and not chosen.name else None
        seconds = SECONDS * self._ui.learnMinutesSpinBox.value
        self._show_message(None)
        self._trainings.train(TrainingRequest(self._kind(), name, self._model(), label, seconds))

    def show(self) -> None:
        """Show what can be learnt, how far the server is, and the versions."""
        state: Learning = self._trainings.state
        ui = self._ui
        self._offer(state)
        ui.learnLabelsLabel.setText(wrapped(self._labels_text(state)))
        on = self._logic.connection.state == "on"
        ui.trainButton.setEnabled(on and bool(state.available) and not state.active and self._can_learn(state))
        ui.cancelTrainingButton.setVisible(state.active)
        ended = state.training.state if state.training is not None else ""
        ui.resumeTrainingButton.setVisible(ended in ("interrupted", "failed"))
        ui.learnBar.setVisible(state.active)
        ui.learnBar.setRange(0, 100 if state.fraction is not None else 0)  # to and fro while it cannot be told
        ui.learnBar.setValue(round(100 * (state.fraction or 0.0)))
        ui.learnLabel.setText(wrapped(state.text))
        ui.learnLabel.setVisible(bool(state.text))
        self._table.show(state.versions)
        ui.useVersionButton.setVisible(state.versions is not None and len(state.versions.versions) > 1)
        self._on_version()

    # what is chosen

    def _kind(self) -> str:
        return KINDS[max(0, self._ui.learnKindComboBox.currentIndex)]

    def _model(self) -> str:
        model = self._logic.chosen_model()
        return model.name if model is not None else ""

    def _typed(self) -> str:
        return str(self._ui.learnStructureComboBox.currentText).strip()

    def _labelled(self) -> LabelledStructure | None:
        """Find what is chosen or typed among the structures that labels hold."""
        typed = self._typed().casefold()
        return next((one for one in self._offered if _shown(one).casefold() == typed), None)

    def _can_learn(self, state: Learning) -> bool:
        if self._kind() == TUNE and not self._typed():
            return state.labels is not None and bool(state.labels.images)
        chosen = self._labelled()
        return chosen is not None and bool(chosen.images)

    # what is shown

    def _offer(self, state: Learning) -> None:
        """Offer the structures of the labels: new ones for a new structure, all for fine-tuning."""
        found = state.labels.structures if state.labels is not None else ()
        offered = [one for one in found if self._kind() == TUNE or not one.known]
        if offered == self._offered and self._ui.learnStructureComboBox.count == len(offered):
            return
        self._offered = offered
        box = self._ui.learnStructureComboBox
        typed = self._typed()
        names = [_shown(one) for one in offered]
        box.blockSignals(True)
        try:
            box.clear()
            box.addItems(names)
            kept = typed if typed or self._kind() == TUNE or not names else names[0]
            box.setEditText(kept)
        finally:
            box.blockSignals(False)

    def _labels_text(self, state: Learning) -> str:
        if self._logic.connection.state != "on":
            return _("Connect to a server first.")
        if state.available is False:
            return _("This server cannot learn: it is older. Update it and start it again.")
        if state.labels is None:
            return _("What the labels of the server hold is not known yet.")
        total, chosen = len(state.labels.images), self._labelled()
        if self._kind() == TUNE and not self._typed():
            return _("All structures of the model, from {total} final labels.").format(total=total)
        if not self._typed():
            return _("Name the structure that the model should learn.")
        if chosen is not None and chosen.images:
            return _("{count} of {total} final labels hold it.").format(count=len(chosen.images), total=total)
        return self._missing_text(state)

    def _missing_text(self, state: Learning) -> str:
        """Say why there is nothing to learn from, and what to do."""
        typed = self._typed()
        known = [one.name or "" for one in state.labels.structures if one.known] if state.labels is not None else []
        if self._kind() == STRUCTURE and typed.casefold() in [name.casefold() for name in known]:
            return _("The model knows {name}: choose fine-tune to make it better.").format(name=typed)
        text = _("No final label holds {name}. Draw it as a segment of this name, and submit the label as final.")
        return text.format(name=typed)

    # what happens

    def _look(self) -> None:
        """Ask what can be learnt, once for a server and a model while the section is open."""
        connection = self._logic.connection
        address = connection.address if connection.state == "on" else ""
        wanted = (address, self._model())
        if not address or self._ui.learnSection.collapsed or self._trainings.state.available is not True:
            self._looked = None
        elif wanted != self._looked:
            self._looked = wanted
            self._trainings.look(self._model())

    def _look_again(self) -> None:
        self._looked = None
        self._look()

    def _on_collapsed(self, _collapsed: bool) -> None:
        self._look_again()
        self.show()

    def _on_changed(self, state: Learning) -> None:
        self._look()
        self.show()

    def _on_connection(self, _connection: Any) -> None:
        self._look()
        self.show()

    def _on_submit(self, submit: Submit) -> None:
        if not submit.active:  # there may be one more label to learn from
            self._look_again()

    def _on_kind(self, _index: int) -> None:
        self._ui.learnStructureComboBox.setEditText("")
        self.show()

    def _on_structure(self, _text: str) -> None:
        self.show()

    def _on_version(self) -> None:
        self._ui.useVersionButton.setEnabled(self._table.chosen() is not None)

    def _on_use(self) -> None:
        version = self._table.chosen()
        if version is not None:
            self._trainings.use_version(version)


def _shown(structure: LabelledStructure) -> str:
    return structure.name or _numbered(structure)


def _numbered(structure: LabelledStructure) -> str:
    """Name a structure that no label names, by its number there."""
    return _("structure {number}").format(number=structure.label)
