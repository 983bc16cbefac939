"""The panel's section Segment: the buttons, and where a job stands."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from ..Views import ERROR, Message, Run
from .LongWords import wrapped
from .ToolTips import tooltip
from .WidgetRefine import RefineSection


class RunSection:
    """Preview, Refine and Cancel for the chosen volume, and its progress.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        input_error: says why nothing can be segmented now; empty if it can.
        show_message: shows a `Message`, or takes the last one away when it is called with None.
    """

    def __init__(
        self,
        ui: Any,
        logic: Logic,
        input_error: Callable[[], str],
        show_message: Callable[[Message | None], None],
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._input_error = input_error
        self._show_message = show_message
        self._told = ""
        self._refine = RefineSection(ui, logic)
        ui.previewButton.connect("clicked()", self.preview)
        ui.refineButton.connect("clicked()", self.refine)
        ui.cancelButton.connect("clicked()", self.cancel)
        logic.run_changed.connect(self._on_run)
        logic.choices.changed.connect(self._on_choices)
        self.show()

    def close(self) -> None:
        """Disconnect from the logic."""
        self._refine.close()
        self._logic.run_changed.disconnect(self._on_run)
        self._logic.choices.changed.disconnect(self._on_choices)

    def preview(self) -> None:
        """Begin a preview, or say why not."""
        self._begin(self._logic.preview)

    def refine(self) -> None:
        """Begin a refinement, or say why not."""
        self._begin(self._logic.refine)

    def cancel(self) -> None:
        """End the run of the chosen volume."""
        if self._logic.choices.volume is not None:
            self._logic.cancel(self._logic.choices.volume)

    def show(self) -> None:
        """Show the run of the chosen volume, and which others there are."""
        volume = self._logic.choices.volume
        run = self._logic.run(volume) if volume is not None else None
        active = run is not None and run.active
        ui = self._ui
        ui.previewButton.setEnabled(not active)
        ui.refineButton.setEnabled(not active)
        ui.cancelButton.setEnabled(active)
        ui.progressBar.setVisible(active)
        if active and run.fraction is None:
            ui.progressBar.setRange(0, 0)  # moves to and fro
        else:
            ui.progressBar.setRange(0, 100)
            ui.progressBar.setValue(round(100 * (run.fraction or 0.0)) if run is not None else 0)
        text = _stands(run)
        ui.progressLabel.setText(wrapped(text))
        ui.progressLabel.setVisible(bool(text))
        ui.progressLabel.setToolTip(tooltip([run.text] if run is not None else []))
        self._refine.show_run(run)
        self._show_others(volume)

    def _begin(self, start: Callable[[Any], None]) -> None:
        self._told = problem = self._input_error()
        if problem:
            self._show_message(Message(ERROR, problem))
            return
        self._show_message(None)
        start(self._logic.choices.volume)

    def _on_run(self, _run: Run) -> None:
        self.show()

    def _on_choices(self) -> None:
        """Take what was in the way of a run off the panel when it no longer is, unless other news stands there."""
        self.show()
        if self._told and self._told != self._input_error():
            if wrapped(self._told) in self._ui.messageLabel.text:
                self._show_message(None)
            self._told = ""

    def _show_others(self, volume: Any) -> None:
        chosen = volume.GetID() if volume is not None else None
        others = [run for run in self._logic.runs() if run.active and run.volume_id != chosen]
        self._ui.otherRunsLabel.setText(wrapped("\n".join(f"{self._name(run)}: {run.text}" for run in others)))
        self._ui.otherRunsLabel.setVisible(bool(others))

    def _name(self, run: Run) -> str:
        node = self._ui.inputSelector.mrmlScene().GetNodeByID(run.volume_id)
        return node.GetName() if node is not None else _("A volume that is gone")


def _stands(run: Run | None) -> str:
    """Write where a run stands, in a sentence."""
    if run is None:
        return ""
    ends = {"done": _("Done: the result is in the scene."), "failed": _("It failed.")}  # the message tells why
    return ends.get(run.phase, run.text)
