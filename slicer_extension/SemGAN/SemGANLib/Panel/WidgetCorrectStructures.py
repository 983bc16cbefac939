"""The structure that strokes are about, and its lock, in the panel's section Correct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from ..Protocols.CorrectionProtocol import StructureChoice
from ..Translation import tr as _
from .VolumeTable import swatch


class StructurePart:
    """The list of structures that the model finds; the user's own segments cannot be corrected.

    Args:
        ui: widgets by name.
        chosen: called when the user has chosen another one.
        locked: called with the chosen structure, and whether it is to be locked.
    """

    def __init__(self, ui: Any, chosen: Callable[[], None], locked: Callable[[StructureChoice, bool], None]) -> None:
        self._ui = ui
        self._chosen = chosen
        self._locked = locked
        self._choices: list[StructureChoice] = []
        self._showing = False
        ui.correctStructureComboBox.connect("currentIndexChanged(int)", self._on_structure)
        ui.lockButton.connect("clicked(bool)", self._on_lock)

    def chosen(self) -> StructureChoice | None:
        """Tell which one is chosen; None where there are none."""
        index = self._ui.correctStructureComboBox.currentIndex
        return self._choices[index] if 0 <= index < len(self._choices) else None

    def show(self, structures: Sequence[StructureChoice]) -> None:
        """Offer structures; the one that is chosen stays chosen."""
        found = [one for one in structures if one.known]
        if found != self._choices:
            before = self.chosen()
            self._choices = found
            self._fill(before.segment if before is not None else "")
        self._show_lock()

    def move(self, step: int) -> None:
        """Choose the next structure, or one before; after the last comes the first."""
        if self._choices:
            box = self._ui.correctStructureComboBox
            box.setCurrentIndex((box.currentIndex + step) % len(self._choices))

    def _fill(self, segment: str) -> None:
        box = self._ui.correctStructureComboBox
        self._showing = True
        try:
            box.clear()
            for one in self._choices:
                name = _("{name} (locked)").format(name=one.name) if one.locked else one.name
                box.addItem(swatch(one.colour), name)
            segments = [one.segment for one in self._choices]
            if segment in segments:
                box.setCurrentIndex(segments.index(segment))
        finally:
            self._showing = False

    def _show_lock(self) -> None:
        chosen = self.chosen()
        locked = chosen is not None and chosen.locked
        self._ui.lockButton.setEnabled(chosen is not None)
        self._ui.lockButton.setChecked(locked)
        self._ui.lockButton.setText(_("Locked") if locked else _("Lock"))

    def _on_structure(self, _index: int) -> None:
        if not self._showing:
            self._show_lock()
            self._chosen()

    def _on_lock(self, locked: bool) -> None:
        chosen = self.chosen()
        if chosen is not None:
            self._locked(chosen, locked)
