"""The tools of the panel's section Correct: strokes by Slicer's effects, prompts by its markups, and their sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

import qt

from ..Protocols.CorrectionProtocol import BOX, LASSO, POINT, SCRIBBLE
from .Placing import Placing
from .SegmentEditing import SegmentEditing

EFFECTS = {"paint": "Paint", "erase": "Erase", "draw": "Draw", "scissors": "Scissors"}
"""Slicer's own effects by the tool that uses them; a scribble is painted or erased, by its sign."""

TOOLS = (SCRIBBLE, POINT, LASSO, BOX, *EFFECTS)


@dataclass(frozen=True)
class Target:
    """What strokes are about: scan, segmentation and segment."""

    volume: Any
    segmentation: Any
    segment: str


class CorrectTools:
    """One tool at a time, and whether strokes say that something belongs to the structure or does not.

    Args:
        ui: widgets by name.
        scene: the MRML scene.
        target: tells what strokes are about; None for nothing.
        placed: called with kind, markups node and slice node of the view, when a prompt has been placed.
        rested: called when the user has edited and the mouse rests.
        writing: tells whether results are being written at this moment: they are no edits.

    Attributes:
        tool: in use, one of `TOOLS`; empty for none.
        positive: the sign.
    """

    def __init__(
        self,
        ui: Any,
        scene: Any,
        target: Callable[[], Target | None],
        placed: Callable[[str, Any, Any], None],
        rested: Callable[[], None],
        writing: Callable[[], bool],
    ) -> None:
        self.tool = ""
        self.positive = True
        self._ui = ui
        self._target = target
        self._placing = Placing(scene, placed, self._on_stopped)
        self._editing = SegmentEditing(scene, ui.correctSection, rested, self._on_stopped, writing)
        for name in TOOLS:
            self._button(name).connect("clicked()", self._chooser(name))
        ui.positiveButton.connect("clicked()", self._on_positive)
        ui.negativeButton.connect("clicked()", self._on_negative)
        self.show()

    @property
    def effect(self) -> str:
        """Slicer's effect that is in use, as its Segment Editor says; empty for none."""
        return self._editing.active()

    def choose(self, name: str) -> None:
        """Use a tool, or put it away if it is in use; for the keyboard too."""
        target = self._target()
        if name == self.tool or target is None:
            self.stop()
            return
        self._use(name, target)

    def toggle_sign(self) -> None:
        """Change the sign of the next strokes."""
        self.set_sign(not self.positive)

    def set_sign(self, positive: bool) -> None:
        """Say whether the next strokes belong to the structure; a scribble under way changes at once."""
        changed, self.positive = positive != self.positive, positive
        if changed and self.tool == SCRIBBLE:
            self.follow()
        self.show()

    def follow(self) -> None:
        """Go on with the same tool on what strokes are about now, such as another structure."""
        target, tool = self._target(), self.tool
        if target is None:
            self.stop()
        elif tool == SCRIBBLE or tool in EFFECTS:
            self._use(tool, target)

    def stop(self) -> None:
        """Put the tool away, and give the mouse back."""
        self._placing.stop()
        self._editing.stop()
        self.tool = ""
        self.show()

    def drop(self) -> None:
        """Put the tool away, and a stroke that was not sent yet: what it was drawn on is no longer there."""
        self.stop()
        self._editing.drop()

    def forget(self) -> None:
        """Let go of the scene's nodes: it is being closed."""
        self.stop()
        self._editing.forget()

    def close(self) -> None:
        """Stop, for good."""
        self.stop()
        self._editing.close()

    def show(self, enabled: bool | None = None) -> None:
        """Show which tool is in use, and whether there is something to use them on."""
        for name in TOOLS:
            button = self._button(name)
            _mark(button, name == self.tool)
            if enabled is not None:
                button.setEnabled(enabled)
        _mark(self._ui.positiveButton, self.positive)
        _mark(self._ui.negativeButton, not self.positive)

    def _use(self, name: str, target: Target) -> None:
        self._placing.stop()
        self._editing.stop()
        self.tool = name
        if name in (POINT, LASSO, BOX):
            begun = self._placing.start(name)
        else:
            effect = EFFECTS.get(name) or ("Paint" if self.positive else "Erase")
            nodes = (target.segmentation, target.volume, target.segment)
            begun = self._editing.start(effect, *nodes, scribble=name == SCRIBBLE)
        if not begun:
            self.tool = ""
        self.show()

    def _button(self, name: str) -> Any:
        return getattr(self._ui, f"{name}Button")

    def _chooser(self, name: str) -> Callable[[], None]:
        return lambda: self.choose(name)

    def _on_positive(self) -> None:
        self.set_sign(True)

    def _on_negative(self) -> None:
        self.set_sign(False)

    def _on_stopped(self) -> None:
        self.tool = ""
        self.show()


def _mark(button: Any, checked: bool) -> None:
    """Show a button as pressed; bold too, since some dark themes draw pressed buttons as all others."""
    button.setChecked(checked)
    font = qt.QFont(button.font)
    font.setBold(checked)
    button.setFont(font)
