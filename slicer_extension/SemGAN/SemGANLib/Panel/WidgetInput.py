"""What is segmented, by which model, and where the result goes: the first rows of Segment, and its Options."""

from __future__ import annotations

from typing import Any

import qt

from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from ..Types.ModelTypes import Label, Model, names
from .LongWords import wrapped
from .TableLook import FRAME, ROW_HEIGHT
from .ToolTips import tooltip
from .VolumeTable import MOST_ROWS, swatch

FEWEST_ROWS = 4
"""Height of the list of structures, though there are fewer; it grows to as many rows as the table of results has."""

MODALITIES = ("CT", "MR")


class InputSection:
    """Shows the choices of the scene and changes them.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
    """

    def __init__(self, ui: Any, logic: Logic) -> None:
        self._ui = ui
        self._logic = logic
        self._showing = False
        self._listed: Model | None = None
        ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_volume)
        ui.modalityComboBox.addItems([_("guessed from its values"), *MODALITIES])
        ui.modelComboBox.connect("currentIndexChanged(int)", self._on_model)
        ui.modalityComboBox.connect("currentIndexChanged(int)", self._on_modality)
        ui.labelsList.connect("itemChanged(QListWidgetItem*)", self._on_labels)
        ui.rangeCheckBox.connect("toggled(bool)", self._on_range)
        ui.rangeWidget.connect("valuesChanged(double,double)", self._on_range)
        ui.mapsCheckBox.connect("toggled(bool)", self._on_maps)
        ui.targetSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_target)
        logic.choices.changed.connect(self.show)
        logic.connection_changed.connect(self._on_connection)
        self.show()

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.choices.changed.disconnect(self.show)
        self._logic.connection_changed.disconnect(self._on_connection)

    def error(self) -> str:
        """Say why nothing can be segmented now, and what to do; empty if it can."""
        if self._ui.labelsList.count and not self._ticked():
            return _("Tick at least one structure under Options.")
        if self._logic.choices.volume is None:
            return _("No volume is chosen: load a CT or MRI scan and choose it as Volume.")
        return self._logic.problem(self._logic.choices.volume)

    def show(self) -> None:
        """Show the choices as they are."""
        if self._showing:
            return
        self._showing = True
        try:
            choices, ui = self._logic.choices, self._ui
            _choose(ui.inputSelector, choices.volume)
            _choose(ui.targetSelector, choices.segmentation)
            self._show_models()
            self._show_labels()
            self._show_range()
            ui.modalityComboBox.setCurrentIndex(
                MODALITIES.index(choices.modality) + 1 if choices.modality in MODALITIES else 0
            )
            ui.mapsCheckBox.setChecked(choices.maps)
        finally:
            self._showing = False
        self._show_problem()
        self._show_limits()

    def _show_limits(self) -> None:
        """Say what is chosen under Options and differs from the usual: it counts while the section is closed, too."""
        choices, model = self._logic.choices, self._logic.chosen_model()
        limits = []
        if choices.labels is not None and model is not None:
            found = len(set(choices.labels) & set(names(model.labels)))
            limits.append(_("{count} of {all} structures").format(count=found, all=len(model.labels)))
        if choices.slice_range_mm is not None:
            low, high = choices.slice_range_mm
            limits.append(_("slices {low:.0f} to {high:.0f} mm").format(low=low, high=high))
        if not choices.maps:
            limits.append(_("no maps"))
        if choices.segmentation is not None:
            limits.append(_("replaces a segmentation"))
        self._ui.limitsLabel.setText(_("Options: {limits}.").format(limits=", ".join(limits)) if limits else "")
        self._ui.limitsLabel.setVisible(bool(limits))

    def _show_problem(self) -> None:
        volume = self._logic.choices.volume
        problem = self._logic.problem(volume) if volume is not None else ""
        self._ui.problemLabel.setText(wrapped(problem))
        self._ui.problemLabel.setVisible(bool(problem))

    def _show_models(self) -> None:
        box, models = self._ui.modelComboBox, self._logic.connection.models
        wanted = [model.name for model in models]
        if [box.itemText(index) for index in range(box.count)] != wanted:
            box.clear()
            box.addItems(wanted)
        model = self._logic.chosen_model()
        box.setCurrentIndex(wanted.index(model.name) if model is not None and model.name in wanted else -1)
        about = _describe(model) if model is not None else _("Connect to a server to see its models.")
        box.setToolTip(about)
        self._ui.connectionLabel.setToolTip(about)
        for widget in (box, self._ui.modelComboBoxTitle):
            widget.setVisible(len(wanted) > 1)

    def _show_labels(self) -> None:
        model, widget = self._logic.chosen_model(), self._ui.labelsList
        if model != self._listed:
            self._listed = model
            widget.clear()
            for label in model.labels if model is not None else ():
                item = qt.QListWidgetItem(label.name)
                item.setIcon(swatch(label.colour))
                item.setToolTip(_how_well(label))
                widget.addItem(item)
        chosen = self._logic.choices.labels
        for index in range(widget.count):
            item = widget.item(index)
            ticked = chosen is None or item.text() in chosen
            item.setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        widget.setEnabled(bool(widget.count))
        widget.setFixedHeight(FRAME + ROW_HEIGHT * min(max(widget.count, FEWEST_ROWS), MOST_ROWS))

    def _show_range(self) -> None:
        choices, ui = self._logic.choices, self._ui
        possible = choices.volume is not None and self._logic.chosen_model() is not None
        ui.rangeCheckBox.setEnabled(possible)
        ui.rangeCheckBox.setChecked(choices.slice_range_mm is not None)
        ui.rangeWidget.setEnabled(possible and choices.slice_range_mm is not None)
        if possible:
            low, high = self._logic.slice_bounds(choices.volume)
            ui.rangeWidget.setRange(low, high)
            ui.rangeWidget.setValues(*(choices.slice_range_mm or (low, high)))

    def _ticked(self) -> list[str]:
        widget = self._ui.labelsList
        items = [widget.item(index) for index in range(widget.count)]
        return [item.text() for item in items if item.checkState() == qt.Qt.Checked]

    def _on_connection(self, _connection: Any) -> None:
        self.show()

    def _on_volume(self, node: Any) -> None:
        if not self._showing:
            self._logic.choices.volume = node
            self.show()

    def _on_target(self, node: Any) -> None:
        if not self._showing:
            self._logic.choices.segmentation = node

    def _on_model(self, index: int) -> None:
        if not self._showing and index >= 0:
            self._logic.choices.model = self._ui.modelComboBox.itemText(index)
            self.show()

    def _on_labels(self, _item: Any) -> None:
        if self._showing or self._listed is None:
            return
        ticked = self._ticked()
        if ticked:
            self._logic.choices.labels = None if ticked == names(self._listed.labels) else tuple(ticked)

    def _on_range(self, *_values: Any) -> None:
        if self._showing:
            return
        ui = self._ui
        chosen = ui.rangeCheckBox.checked
        ui.rangeWidget.setEnabled(chosen)
        low, high = ui.rangeWidget.minimumValue, ui.rangeWidget.maximumValue
        self._logic.choices.slice_range_mm = (low, high) if chosen and low < high else None

    def _on_modality(self, index: int) -> None:
        if not self._showing and index >= 0:
            self._logic.choices.modality = MODALITIES[index - 1] if index else ""

    def _on_maps(self, wanted: bool) -> None:
        if not self._showing:
            self._logic.choices.maps = wanted


def _choose(selector: Any, node: Any) -> None:
    if selector.currentNode() is not node:
        selector.setCurrentNode(node)


def _how_well(label: Label) -> str:
    """Write how well a structure is found, as measured, for its tooltip; empty where it was not."""
    if not label.dice:
        return ""
    dice = ", ".join(f"{modality} {value:.2f}" for modality, value in label.dice.items())
    return tooltip([_("Mean Dice of the preview, as measured: {dice}").format(dice=dice)])


def _describe(model: Model) -> str:
    """Write what is known of a model, for its tooltip."""
    lines = [model.description, _("Learnt from: {modalities}").format(modalities=", ".join(model.modalities))]
    for mode in model.modes:
        if mode.dice:
            dice = ", ".join(f"{modality} {value:.3f}" for modality, value in mode.dice.items())
            lines.append(_("Mean Dice of {mode}, as measured: {dice}").format(mode=mode.name, dice=dice))
    return tooltip(lines)
