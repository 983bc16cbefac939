"""The panel's section Refine: what it costs and gains with the chosen model, and how far it has come."""

from __future__ import annotations

from typing import Any

from ..Protocols.LogicProtocol import Logic
from ..ResultTexts import mode_of, refine_text
from ..Translation import tr as _
from ..Types.ModelTypes import Model
from ..Views import Run
from .Plot import Line, Plot


class RefineSection:
    """Open of itself only with a model that gains by it.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
    """

    def __init__(self, ui: Any, logic: Logic) -> None:
        self._ui = ui
        self._logic = logic
        self._shown: tuple[Any, ...] | None = None
        self._misfit = Plot(ui.lossPlot, _("step {place}"))
        self._showing = False
        ui.stepsSpinBox.connect("valueChanged(int)", self._on_steps)
        logic.choices.changed.connect(self.show)
        logic.connection_changed.connect(self._on_connection)
        self.show()

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.choices.changed.disconnect(self.show)
        self._logic.connection_changed.disconnect(self._on_connection)

    def show(self) -> None:
        """Show what Refine costs and gains, and the steps that are chosen."""
        model = self._logic.chosen_model()
        mode = mode_of(model, "refine")
        ui = self._ui
        ui.refineLabel.setText(refine_text(model))
        self._showing = True
        try:
            ui.stepsSpinBox.setValue(self._logic.choices.steps or 0)
        finally:
            self._showing = False
        ui.refineSection.setVisible(model is None or mode is not None)
        kind = _kind(model)
        if kind != self._shown:  # between, it is the user's
            self._shown = kind
            ui.refineSection.collapsed = not (mode is not None and mode.worth_it)

    def show_run(self, run: Run | None) -> None:
        """Show how the model has come closer to the scan."""
        loss = run.job.loss if run is not None and run.job is not None else ()
        points = [(float(step + 1), value) for step, value in enumerate(loss)]
        self._misfit.show([Line(_("Difference to the scan (no unit)"), points, "#3b82c4")])

    def _on_connection(self, _connection: Any) -> None:
        self.show()

    def _on_steps(self, steps: int) -> None:
        if not self._showing:
            self._logic.choices.steps = steps or None


def _kind(model: Model | None) -> tuple[Any, ...]:
    """Tell models apart, whatever has been measured since."""
    return () if model is None else (model.name, model.version, model.sha256)
