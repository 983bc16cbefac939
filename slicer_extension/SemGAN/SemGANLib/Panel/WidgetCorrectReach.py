"""The reach of corrections in the panel's section Correct, in mm and in slices."""

from __future__ import annotations

from typing import Any

from ..Protocols.CorrectionProtocol import CorrectionChoices
from ..Protocols.LogicProtocol import Logic
from ..Scene.Geometry import ijk_to_ras, slice_spacing
from ..Translation import tr as _

ALONG_BODY = (0.0, 0.0, 1.0)
"""Where no model says otherwise, slices are counted along the body."""


class ReachPart:
    """How far from the slices that the user touches others follow.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
    """

    def __init__(self, ui: Any, logic: Logic) -> None:
        self._ui = ui
        self._logic = logic
        ui.reachSlider.connect("valueChanged(double)", self._on_reach)
        ui.onlySliceCheckBox.connect("toggled(bool)", self._on_only_slice)

    def choices(self) -> CorrectionChoices:
        """Tell what is chosen."""
        ui = self._ui
        return CorrectionChoices(float(ui.reachSlider.value), bool(ui.onlySliceCheckBox.checked))

    def show(self) -> None:
        """Say what it means for the chosen volume."""
        self._ui.reachSlider.setEnabled(not self._ui.onlySliceCheckBox.checked)
        self._ui.reachLabel.setText(reach_text(self.choices(), self._spacing()))

    def _spacing(self) -> float | None:
        """Measure how far slices are apart, in mm along the model's slice axis; None without a volume."""
        volume = self._logic.choices.volume
        if volume is None or volume.GetImageData() is None:
            return None
        model = self._logic.chosen_model()
        return slice_spacing(ijk_to_ras(volume), model.slice_axis if model is not None else ALONG_BODY)

    def _on_reach(self, _value: float) -> None:
        self.show()

    def _on_only_slice(self, _checked: bool) -> None:
        self.show()


def reach_text(choices: CorrectionChoices, spacing: float | None) -> str:
    """Say what a reach means in slices.

    >>> reach_text(CorrectionChoices(25.0), 5.0)
    '5 slices on each side follow; they are 5.0 mm apart.'
    """
    count = int(choices.reach_mm / spacing + 1e-6) if spacing else None
    if choices.only_slice or count == 0:
        return _("Only the slices that you touch change.")
    if count is None:
        return ""
    if count == 1:
        return _("1 slice on each side follows; they are {spacing:.1f} mm apart.").format(spacing=spacing)
    text = _("{count} slices on each side follow; they are {spacing:.1f} mm apart.")
    return text.format(count=count, spacing=spacing)
