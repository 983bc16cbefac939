"""The panel's section Correct: strokes, prompts, reach, locks, undo, and the list of corrections."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.CorrectionProtocol import BOX, LASSO, POINT, SCRIBBLE, Correcting, StructureChoice
from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from ..Views import Outcome, Run
from .CorrectionTable import CorrectionTable
from .LongWords import wrapped
from .SectionKeys import SectionKeys
from .WidgetCorrectReach import ReachPart
from .WidgetCorrectStructures import StructurePart
from .WidgetCorrectTools import CorrectTools, Target


class CorrectSection:
    """Corrects the newest result of the chosen volume.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        scene: the MRML scene.

    Attributes:
        keys: what the keys of the section do.
    """

    def __init__(self, ui: Any, logic: Logic, scene: Any) -> None:
        self._ui = ui
        self._logic = logic
        self._scene = scene
        self._corrections = logic.corrections
        self._begun: tuple[str, str] | None = None
        self._structures = StructurePart(ui, self._on_structure, self._on_lock)
        self._reach = ReachPart(ui, logic)
        self._table = CorrectionTable(ui.correctionsTable, self._on_row)
        self._tools = CorrectTools(ui, scene, self._target, self._on_placed, self._on_rest, self._writing)
        self.keys = self._actions()
        self._keys = SectionKeys(ui.correctSection, self.keys)
        ui.correctSection.connect("contentsCollapsed(bool)", self._on_collapsed)
        ui.applyButton.connect("clicked()", self.apply)
        ui.undoButton.connect("clicked()", self._corrections.undo)
        ui.redoButton.connect("clicked()", self._corrections.redo)
        ui.asItCameButton.connect("clicked()", self._on_as_it_came)
        ui.cancelCorrectionButton.connect("clicked()", self._corrections.cancel)
        self._corrections.changed.connect(self._on_changed)
        logic.outcome_changed.connect(self._on_outcome)
        logic.run_changed.connect(self._on_run)
        logic.choices.changed.connect(self.follow)
        logic.connection_changed.connect(self._on_connection)
        self.show()

    @property
    def effect(self) -> str:
        """Slicer's effect that is in use, as its Segment Editor says; empty for none."""
        return self._tools.effect

    def close(self) -> None:
        """Put the tools away and disconnect from the logic."""
        self._keys.remove()
        self._tools.close()
        self._corrections.changed.disconnect(self._on_changed)
        self._logic.outcome_changed.disconnect(self._on_outcome)
        self._logic.run_changed.disconnect(self._on_run)
        self._logic.choices.changed.disconnect(self.follow)
        self._logic.connection_changed.disconnect(self._on_connection)

    def enter(self) -> None:
        """Let the keys work where the section is open: the module is shown."""
        if not self._ui.correctSection.collapsed:
            self._on_collapsed(False)

    def leave(self) -> None:
        """Put the tools away: another module is shown, which may have the same ones."""
        self._keys.remove()
        self._tools.stop()

    def forget(self) -> None:
        """Let go of the scene's nodes: it is being closed."""
        self._tools.forget()
        self._begun = None

    def follow(self) -> None:
        """Correct the newest result of the chosen volume while the section is open."""
        outcome = self._outcome()
        found = (outcome.volume_id, outcome.segmentation_id) if outcome is not None else None
        if found != self._begun or self._has_ended():
            self._tools.drop()
            if self._begun is not None:
                self._begun = None
                self._corrections.end()
            if found is not None and not self._ui.correctSection.collapsed and not self._segmenting():
                self._begun = found  # before: the logic tells at once how it stands
                if not self._corrections.begin(self._logic.choices.volume):
                    self._begun = None
        self.show()

    def apply(self) -> None:
        """Correct by what was painted or erased since the last correction."""
        self._corrections.send_edits(None, self._reach.choices())

    def show(self) -> None:
        """Show where the corrections stand."""
        state = self._state()
        ui = self._ui
        self._structures.show(self._corrections.structures() if self._begun is not None else [])
        chosen = self._structures.chosen()
        locked = chosen is not None and chosen.locked
        self._tools.show(state.ready and self._target() is not None and not locked)
        ui.applyButton.setEnabled(state.ready)
        ui.undoButton.setEnabled(state.can_undo)
        ui.redoButton.setEnabled(state.can_redo)
        ui.cancelCorrectionButton.setVisible(state.busy or state.waiting > 0)
        ui.correctBar.setVisible(state.busy)
        ui.correctBar.setRange(0, 100 if state.fraction is not None else 0)  # to and fro while it cannot be told
        ui.correctBar.setValue(round(100 * (state.fraction or 0.0)))
        self._say(self._stands(state, locked))
        self._show_history()
        self._reach.show()

    # what strokes are about

    def _outcome(self) -> Outcome | None:
        volume = self._logic.choices.volume
        return self._logic.outcome(volume) if volume is not None else None

    def _segmenting(self) -> bool:
        """Whether a run of the chosen volume is under way, whose result would take the place of this one."""
        volume = self._logic.choices.volume
        run = self._logic.run(volume) if volume is not None else None
        return run is not None and run.active

    def _has_ended(self) -> bool:
        """Whether the logic has left what was begun here, as when the result of a run has taken its place."""
        return self._begun is not None and self._corrections.state.volume_id != self._begun[0]

    def _state(self) -> Correcting:
        """Where the corrections of the chosen volume stand; those of others are not told."""
        state: Correcting = self._corrections.state
        return state if self._begun is not None and state.volume_id == self._begun[0] else Correcting()

    def _target(self) -> Target | None:
        chosen = self._structures.chosen()
        if chosen is None or self._begun is None:
            return None
        volume, segmentation = (self._scene.GetNodeByID(node) for node in self._begun)
        if volume is None or segmentation is None or not self._state().ready or chosen.locked:
            return None
        return Target(volume, segmentation, chosen.segment)

    def _writing(self) -> bool:
        return bool(self._corrections.writing)

    # what is shown

    def _show_history(self) -> None:
        rows = self._corrections.history() if self._begun is not None else []
        self._table.show(rows)
        whole = bool(rows) and rows[0].number == 0  # else the oldest ones have been dropped
        self._ui.asItCameButton.setEnabled(whole and self._state().can_undo)
        told = [row.warning for row in rows if not row.undone][-1:]
        text = f"\u26a0 {told[0]}" if told and told[0] else ""
        self._ui.correctWarningLabel.setText(wrapped(text))
        self._ui.correctWarningLabel.setVisible(bool(text))

    def _stands(self, state: Correcting, locked: bool) -> str:
        if self._outcome() is None:
            return _("There is no result to correct: press Preview first.")
        if state.text:
            return state.text
        if self._begun is None and self._segmenting():
            return _("This volume is being segmented: its result can be corrected when it is there.")
        return _("Locked: no correction changes it. Press Locked to open it again.") if locked else ""

    def _say(self, text: str) -> None:
        self._ui.correctLabel.setText(wrapped(text))
        self._ui.correctLabel.setVisible(bool(text))

    # keys

    def _actions(self) -> dict[str, Callable[[], None]]:
        ui, tools = self._ui, self._tools
        return {
            "P": lambda: tools.choose(POINT),
            "S": lambda: tools.choose(SCRIBBLE),
            "L": lambda: tools.choose(LASSO),
            "B": lambda: tools.choose(BOX),
            "T": tools.toggle_sign,
            "E": lambda: self._structures.move(1),
            "Shift+E": lambda: self._structures.move(-1),
            "V": self._toggle_visibility,
            "K": ui.lockButton.click,
            "A": ui.applyButton.click,
            "O": ui.onlySliceCheckBox.click,
            "R": ui.asItCameButton.click,
            "Ctrl+Z": ui.undoButton.click,
            "Ctrl+Y": ui.redoButton.click,
        }

    def _toggle_visibility(self) -> None:
        chosen = self._structures.chosen()
        node = self._scene.GetNodeByID(self._begun[1]) if self._begun is not None else None
        display = node.GetDisplayNode() if node is not None else None
        if chosen is not None and display is not None:
            display.SetSegmentVisibility(chosen.segment, not display.GetSegmentVisibility(chosen.segment))

    # what happens

    def _on_collapsed(self, collapsed: bool) -> None:
        if collapsed:
            self.leave()
            return
        taken = self._keys.install()
        text = _("Keys that something else in this window has: {keys}.").format(keys=", ".join(taken)) if taken else ""
        self._ui.keysLabel.setText(text)
        self._ui.keysLabel.setVisible(bool(taken))
        self.follow()

    def _on_structure(self) -> None:
        self._tools.follow()
        self.show()

    def _on_lock(self, chosen: StructureChoice, locked: bool) -> None:
        self._corrections.set_locked(chosen.segment, locked)
        self.show()
        self._tools.follow()

    def _on_rest(self) -> None:
        if self._ui.autoApplyCheckBox.checked and self._state().ready:
            self._corrections.send_edits(None, self._reach.choices(), quietly=True)

    def _on_placed(self, kind: str, markup: Any, view: Any) -> None:
        chosen = self._structures.chosen()
        if chosen is not None:
            self._corrections.add_prompt(
                kind, self._tools.positive, chosen.segment, markup, self._reach.choices(), view
            )

    def _on_row(self, number: int) -> None:
        self._corrections.revert_to(number)

    def _on_as_it_came(self) -> None:
        self._corrections.revert_to(0)

    def _on_changed(self, _state: Correcting) -> None:
        self.show()
        if self._tools.tool and self._target() is None:
            self._tools.stop()

    def _on_outcome(self, _outcome: Outcome) -> None:
        self.follow()

    def _on_run(self, run: Run) -> None:
        if not run.active:
            self.follow()

    def _on_connection(self, _connection: Any) -> None:
        self.show()
