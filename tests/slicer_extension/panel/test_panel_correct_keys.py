"""Keys of the section Correct: as nnInteractive's users know them, while it is open, and where nobody else has them."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.Protocols.CorrectionProtocol import CorrectionRow

from tests.slicer_extension.conftest import REPOSITORY
from tests.slicer_extension.panel.fake_correcting import CAME
from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.panel.qt_actions import key, settle, shown, unfold

KEYS = ("P", "S", "L", "B", "T", "E", "Shift+E", "V", "K", "A", "O", "R", "Ctrl+Z", "Ctrl+Y")


@pytest.mark.parametrize(("pressed", "name"), [("P", "point"), ("S", "scribble"), ("L", "lasso"), ("B", "box")])
def test_a_key_takes_a_tool_and_puts_it_away(correcting: SimpleNamespace, pressed: str, name: str) -> None:
    button = getattr(correcting.ui, f"{name}Button")
    key(correcting.widget, pressed)
    assert button.checked
    key(correcting.widget, pressed)
    assert not button.checked


def test_t_changes_the_sign(correcting: SimpleNamespace) -> None:
    key(correcting.widget, "T")
    assert correcting.ui.negativeButton.checked
    key(correcting.widget, "T")
    assert correcting.ui.positiveButton.checked


def test_e_takes_the_next_structure_and_shift_e_the_one_before(correcting: SimpleNamespace) -> None:
    box = correcting.ui.correctStructureComboBox
    seen = []
    for pressed in ("E", "E", "E", "Shift+E"):
        key(correcting.widget, pressed)
        seen.append(box.currentText)
    assert seen == ["right kidney", "spleen", "liver", "spleen"]


def test_v_hides_and_shows_the_structure(correcting: SimpleNamespace, segmentation: Any) -> None:
    display = segmentation.GetDisplayNode()
    key(correcting.widget, "V")
    assert not display.GetSegmentVisibility("s1") and display.GetSegmentVisibility("s2")
    key(correcting.widget, "V")
    assert display.GetSegmentVisibility("s1")


@pytest.mark.parametrize(
    ("pressed", "asked"),
    [("Ctrl+Z", ("undo",)), ("Ctrl+Y", ("redo",)), ("R", ("revert_to", 0)), ("K", ("set_locked", "s1", True))],
)
def test_a_key_does_what_the_button_does(
    correcting: SimpleNamespace, logic: FakeLogic, pressed: str, asked: tuple[Any, ...]
) -> None:
    logic.corrections.stands(can_undo=True, can_redo=True)
    key(correcting.widget, pressed)
    assert logic.asked[-1] == asked


def test_a_key_does_nothing_where_the_button_could_not_be_pressed(
    correcting: SimpleNamespace, logic: FakeLogic
) -> None:
    asked = list(logic.asked)
    logic.corrections.stands(ready=False)
    for pressed in ("Ctrl+Z", "R", "A", "P"):
        key(correcting.widget, pressed)
    assert logic.asked == asked and not correcting.ui.pointButton.checked


def test_a_and_o_apply_and_keep_to_the_slice(correcting: SimpleNamespace, logic: FakeLogic) -> None:
    key(correcting.widget, "O")
    key(correcting.widget, "A")
    assert logic.asked[-1][0] == "send_edits" and logic.asked[-1][2].only_slice


def test_keys_work_only_while_the_section_is_open(correcting: SimpleNamespace) -> None:
    correcting.ui.correctSection.collapsed = True
    key(correcting.widget, "T")
    assert correcting.ui.positiveButton.checked
    unfold(correcting.ui.correctSection)
    key(correcting.widget, "T")
    assert correcting.ui.negativeButton.checked


def test_keys_rest_while_another_module_is_shown(correcting: SimpleNamespace) -> None:
    correcting.panel.leave()
    key(correcting.widget, "T")
    assert correcting.ui.positiveButton.checked
    correcting.panel.enter()
    key(correcting.widget, "T")
    assert correcting.ui.negativeButton.checked


def test_text_that_is_typed_is_text(correcting: SimpleNamespace) -> None:
    from PySide6 import QtTest

    unfold(correcting.ui.submitSection)
    correcting.widget.activateWindow()
    correcting.ui.userEdit.setFocus()
    settle()
    QtTest.QTest.keyClicks(correcting.ui.userEdit, "spelt")
    settle()
    assert correcting.ui.userEdit.text == "spelt"
    assert correcting.ui.positiveButton.checked and not correcting.ui.pointButton.checked


@pytest.mark.parametrize("kind", ["shortcut", "menu"])
def test_a_key_that_something_else_has_is_left_to_it_and_told(correcting: SimpleNamespace, kind: str) -> None:
    import qt

    correcting.ui.correctSection.collapsed = True
    pressed: list[str] = []
    if kind == "shortcut":  # another extension's, in the same window
        other = qt.QShortcut(qt.QKeySequence("T"), correcting.widget)
        other.connect("activated()", lambda: pressed.append("T"))
    else:
        other = qt.QAction("Something", correcting.widget)
        other.setShortcut(qt.QKeySequence("T"))
        other.connect("triggered()", lambda: pressed.append("T"))
        correcting.widget.addAction(other)
    unfold(correcting.ui.correctSection)
    assert shown(correcting.ui.keysLabel) and "T" in correcting.ui.keysLabel.text.split(": ")[1]
    key(correcting.widget, "T")
    assert pressed == ["T"] and correcting.ui.positiveButton.checked
    key(correcting.widget, "P")
    assert correcting.ui.pointButton.checked, "the others work"
    correcting.ui.correctSection.collapsed = True
    other.setEnabled(False)
    unfold(correcting.ui.correctSection)
    assert not shown(correcting.ui.keysLabel)
    key(correcting.widget, "T")
    assert correcting.ui.negativeButton.checked


def test_the_whole_section_is_reached_with_tab_from_above(correcting: SimpleNamespace) -> None:
    from PySide6 import QtCore, QtTest

    ui = correcting.ui
    correcting.widget.activateWindow()
    ui.correctStructureComboBox.setFocus()
    settle()
    reached = []
    for _ in range(16):
        reached.append(correcting.widget.focusWidget())
        QtTest.QTest.keyClick(reached[-1], QtCore.Qt.Key_Tab)
        settle()
    names = [widget.objectName for widget in reached if isinstance(widget.objectName, str)]
    wanted = "correctStructureComboBox lockButton positiveButton negativeButton scribbleButton pointButton lassoButton"
    further = "boxButton paintButton eraseButton drawButton scissorsButton autoApplyCheckBox applyButton"
    assert [name for name in names if name in f"{wanted} {further}".split()] == f"{wanted} {further}".split()


def test_a_button_is_pressed_with_space_and_a_row_with_enter(correcting: SimpleNamespace, logic: FakeLogic) -> None:
    from PySide6 import QtCore, QtTest

    ui = correcting.ui
    ui.negativeButton.setFocus()
    QtTest.QTest.keyClick(ui.negativeButton, QtCore.Qt.Key_Space)
    assert ui.negativeButton.checked
    logic.corrections.lists(CAME, CorrectionRow(1, 1.7e9, "liver: a point", current=True))
    ui.correctionsTable.setFocus()
    ui.correctionsTable.setCurrentCell(0, 1)
    QtTest.QTest.keyClick(ui.correctionsTable, QtCore.Qt.Key_Return)
    assert logic.asked[-1] == ("revert_to", 0)


def test_tooltips_and_the_readme_tell_the_keys(correcting: SimpleNamespace) -> None:
    tips = " ".join(widget.toolTip for widget in vars(correcting.ui).values())
    readme = (REPOSITORY / "slicer_extension" / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE)
    assert set(KEYS) == set(correcting.panel.correct.keys) == set(table)
    assert [one for one in KEYS if not re.search(rf"\b{re.escape(one)}\b", tips)] == []
