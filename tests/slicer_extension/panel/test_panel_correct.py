"""Correcting a result by strokes, driven by clicks under Qt off-screen, on a logic that answers as told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6 import QtCore
from SemGANLib.Protocols.CorrectionProtocol import CorrectionChoices, CorrectionRow
from SemGANLib.Views import Outcome

from tests.slicer_extension.panel import fake_logic
from tests.slicer_extension.panel.conftest import add_volume
from tests.slicer_extension.panel.fake_correcting import CAME
from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.panel.qt_actions import click, settle, shown, unfold, wait_until
from tests.slicer_extension.standin.qmrml_widgets import qMRMLSegmentEditorWidget

REST = 1
"""Milliseconds until a stroke counts as ended."""


@pytest.fixture(autouse=True)
def quick(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send strokes soon."""
    monkeypatch.setattr("SemGANLib.Panel.SegmentEditing.REST_MILLISECONDS", REST)


def paint(segmentation: Any) -> None:
    """Change voxels of a segment, as an effect does."""
    segmentation.GetSegmentation().GetSegment("s1").GetRepresentation("Binary labelmap").Modified()


def rest() -> None:
    """Let the mouse rest until a stroke counts as ended."""
    ended: list[bool] = []
    QtCore.QTimer.singleShot(50 * REST, lambda: ended.append(True))
    wait_until(lambda: bool(ended))


def sent(logic: FakeLogic, what: str) -> list[tuple[Any, ...]]:
    """List what the panel asked for of one kind."""
    return [asked for asked in logic.asked if asked[0] == what]


def editor() -> qMRMLSegmentEditorWidget:
    """The one Segment Editor of the panel."""
    (made,) = qMRMLSegmentEditorWidget.made
    return made


class TestSession:
    def test_nothing_is_begun_before_the_section_is_opened(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.choices.volume = volume
        with_result()
        assert not sent(logic, "begin")

    def test_without_a_result_it_says_what_to_do(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.choices.volume = volume
        unfold(panel.ui.correctSection)
        assert "press Preview first" in panel.ui.correctLabel.text
        assert not panel.ui.paintButton.enabled and not panel.ui.applyButton.enabled

    def test_the_result_of_the_chosen_volume_is_corrected(self, correcting: SimpleNamespace, logic: FakeLogic) -> None:
        assert sent(logic, "begin") == [("begin", "CT abdomen")]
        assert correcting.ui.paintButton.enabled and correcting.ui.pointButton.enabled

    def test_a_result_that_is_still_to_come_is_waited_for(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.choices.volume = volume
        logic.goes_on(volume, phase="running")
        unfold(panel.ui.correctSection)
        with_result()  # a part of it
        assert not sent(logic, "begin") and "being segmented" in panel.ui.correctLabel.text
        logic.goes_on(volume, phase="done", active=False)
        assert sent(logic, "begin") == [("begin", "CT abdomen")]

    def test_another_volume_takes_the_place_of_the_first(self, correcting: SimpleNamespace, logic: FakeLogic) -> None:
        logic.choices.volume = add_volume("MR")
        assert sent(logic, "end") and not correcting.ui.paintButton.enabled
        assert "press Preview first" in correcting.ui.correctLabel.text

    def test_folding_the_section_puts_the_tool_away_and_goes_on_with_the_corrections(
        self, correcting: SimpleNamespace, logic: FakeLogic
    ) -> None:
        click(correcting.ui.paintButton)
        correcting.ui.correctSection.collapsed = True
        assert editor().activeEffect() is None and not sent(logic, "end")

    def test_what_is_in_the_way_is_told_and_nothing_can_be_drawn(
        self, correcting: SimpleNamespace, logic: FakeLogic
    ) -> None:
        logic.corrections.stands(ready=False, text="The result was made by another model: press Preview again.")
        assert "another model" in correcting.ui.correctLabel.text and not correcting.ui.scribbleButton.enabled

    def test_while_the_server_computes_more_can_be_drawn(self, correcting: SimpleNamespace, logic: FakeLogic) -> None:
        logic.corrections.stands(busy=True, waiting=2, text="Correction 3: 4 of 11 slices", fraction=0.36)
        ui = correcting.ui
        assert shown(ui.correctBar) and ui.correctBar.value == 36 and ui.paintButton.enabled
        assert ui.correctLabel.text == "Correction 3: 4 of 11 slices"
        click(ui.cancelCorrectionButton)
        assert logic.asked[-1] == ("cancel_correction",)
        logic.corrections.stands(busy=False, waiting=0, text="", fraction=None)
        assert not shown(ui.correctBar) and not shown(ui.cancelCorrectionButton) and not shown(ui.correctLabel)


class TestStructures:
    def test_those_that_the_model_finds_are_offered_with_their_colours(self, correcting: SimpleNamespace) -> None:
        box = correcting.ui.correctStructureComboBox
        assert [box.itemText(index) for index in range(box.count)] == ["liver", "right kidney", "spleen"]
        assert not box.itemIcon(0).isNull()

    def test_a_locked_one_says_so_and_is_not_drawn_on(self, correcting: SimpleNamespace, logic: FakeLogic) -> None:
        ui = correcting.ui
        click(ui.paintButton)
        click(ui.lockButton)
        assert sent(logic, "set_locked") == [("set_locked", "s1", True)]
        assert ui.correctStructureComboBox.itemText(0) == "liver (locked)" and ui.lockButton.text == "Locked"
        assert not ui.paintButton.enabled and editor().activeEffect() is None and "Locked" in ui.correctLabel.text
        ui.correctStructureComboBox.setCurrentIndex(1)
        assert ui.paintButton.enabled and not ui.lockButton.checked and ui.lockButton.text == "Lock"

    def test_another_structure_goes_on_with_the_same_effect(self, correcting: SimpleNamespace) -> None:
        click(correcting.ui.eraseButton)
        correcting.ui.correctStructureComboBox.setCurrentIndex(2)
        assert (
            editor().segment == "s3" and editor().activeEffect().name == "Erase" and correcting.ui.eraseButton.checked
        )

    def test_the_chosen_one_stays_chosen_when_the_list_changes(
        self, correcting: SimpleNamespace, logic: FakeLogic
    ) -> None:
        correcting.ui.correctStructureComboBox.setCurrentIndex(2)
        logic.corrections.found = logic.corrections.found[1:]
        logic.corrections.stands(waiting=1)
        assert correcting.ui.correctStructureComboBox.currentText == "spleen"


class TestEffects:
    @pytest.mark.parametrize("name", ["paint", "erase", "draw", "scissors"])
    def test_slicers_own_effect_works_on_the_result(
        self, correcting: SimpleNamespace, volume: Any, segmentation: Any, name: str
    ) -> None:
        click(getattr(correcting.ui, f"{name}Button"))
        made = editor()
        assert made.activeEffect().name == name.capitalize()
        assert (made.segmentation, made.volume, made.segment) == (segmentation, volume, "s1")
        assert not shown(made), "only its effects are used"

    def test_pressed_again_the_mouse_is_given_back(self, correcting: SimpleNamespace) -> None:
        click(correcting.ui.paintButton)
        click(correcting.ui.paintButton)
        assert editor().activeEffect() is None and not correcting.ui.paintButton.checked

    def test_one_tool_at_a_time(self, correcting: SimpleNamespace, scene: Any) -> None:
        ui = correcting.ui
        tools = (ui.paintButton, ui.pointButton, ui.drawButton, ui.lassoButton, ui.scribbleButton)
        for tool in tools:
            click(tool)
            assert [one for one in tools if one.checked] == [one for one in tools if one.font.bold()] == [tool]
        mode = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        assert mode.GetCurrentInteractionMode() == mode.ViewTransform and editor().activeEffect() is not None

    def test_a_tool_that_slicer_has_ended_is_no_longer_shown(self, correcting: SimpleNamespace, scene: Any) -> None:
        click(correcting.ui.paintButton)
        mode = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        mode.SetCurrentInteractionMode(mode.Place)  # a markup is placed from Slicer's tool bar
        assert not correcting.ui.paintButton.checked

    def test_a_scribble_is_painted_or_erased_with_a_thin_brush_by_its_sign(
        self, correcting: SimpleNamespace, volume: Any
    ) -> None:
        volume.SetSpacing(0.8, 0.8, 5.0)
        click(correcting.ui.scribbleButton)
        assert editor().activeEffect().name == "Paint"
        assert float(editor().activeEffect().settings["BrushAbsoluteDiameter"]) == pytest.approx(1.6)
        click(correcting.ui.negativeButton)
        assert editor().activeEffect().name == "Erase" and correcting.ui.scribbleButton.checked
        assert correcting.ui.negativeButton.checked and not correcting.ui.positiveButton.checked

    def test_the_brush_of_paint_is_as_the_user_has_it(self, correcting: SimpleNamespace) -> None:
        click(correcting.ui.paintButton)
        assert "BrushAbsoluteDiameter" not in editor().activeEffect().settings

    def test_a_closed_scene_takes_the_tool_away_and_the_next_one_works(
        self, correcting: SimpleNamespace, logic: FakeLogic, scene: Any
    ) -> None:
        click(correcting.ui.paintButton)
        logic.outcomes.clear()
        scene.Clear(0)
        settle()
        assert editor().activeEffect() is None and editor().node is None
        assert not correcting.ui.paintButton.enabled


class TestSending:
    def test_a_stroke_is_sent_when_the_mouse_rests(
        self, correcting: SimpleNamespace, logic: FakeLogic, segmentation: Any
    ) -> None:
        click(correcting.ui.paintButton)
        paint(segmentation)
        paint(segmentation)
        assert not sent(logic, "send_edits"), "the stroke may go on"
        rest()
        assert sent(logic, "send_edits") == [("send_edits", None, CorrectionChoices(25.0, False))]

    def test_what_the_server_has_changed_is_no_stroke(
        self, correcting: SimpleNamespace, logic: FakeLogic, segmentation: Any
    ) -> None:
        click(correcting.ui.paintButton)
        logic.corrections.writing = True
        paint(segmentation)
        logic.corrections.writing = False
        rest()
        assert not sent(logic, "send_edits")
        paint(segmentation)
        rest()
        assert len(sent(logic, "send_edits")) == 1

    def test_strokes_wait_for_the_button_where_the_user_wants_it(
        self, correcting: SimpleNamespace, logic: FakeLogic, segmentation: Any
    ) -> None:
        ui = correcting.ui
        ui.autoApplyCheckBox.click()
        click(ui.paintButton)
        paint(segmentation)
        rest()
        assert not sent(logic, "send_edits")
        ui.reachSlider.value = 10.0
        ui.onlySliceCheckBox.click()
        click(ui.applyButton)
        assert logic.asked[-1] == ("send_edits", None, CorrectionChoices(10.0, True))


class TestReach:
    @pytest.mark.parametrize(
        ("spacing", "reach", "told"),
        [
            (5.0, 25.0, "5 slices on each side follow; they are 5.0 mm apart."),
            (3.0, 25.0, "8 slices on each side follow; they are 3.0 mm apart."),
            (5.0, 9.0, "1 slice on each side follows; they are 5.0 mm apart."),
            (5.0, 4.0, "Only the slices that you touch change."),
        ],
    )
    def test_it_is_told_in_slices(
        self, correcting: SimpleNamespace, volume: Any, spacing: float, reach: float, told: str
    ) -> None:
        volume.SetSpacing(1.0, 1.0, spacing)
        correcting.ui.reachSlider.value = 0.0
        correcting.ui.reachSlider.value = reach
        assert correcting.ui.reachLabel.text == told

    def test_slices_are_those_of_the_model(self, correcting: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        sagittal = replace(fake_logic.model(), slice_axis=(1.0, 0.0, 0.0))
        volume.SetSpacing(2.5, 1.0, 7.0)
        logic.connected(sagittal)
        assert correcting.ui.reachLabel.text.startswith("10 slices")

    def test_only_this_slice_sets_the_reach_aside(self, correcting: SimpleNamespace) -> None:
        correcting.ui.onlySliceCheckBox.click()
        assert not correcting.ui.reachSlider.enabled
        assert correcting.ui.reachLabel.text == "Only the slices that you touch change."


ROWS = (
    replace(CAME, current=False),
    CorrectionRow(1, 1.7e9 + 60, "liver: 214 voxels painted, 25 mm"),
    CorrectionRow(2, 1.7e9 + 90, "spleen: box, 25 mm", current=True),
    CorrectionRow(3, 1.7e9 + 99, "spleen: 12 voxels erased, this slice", undone=True),
)


STATES = [("waiting", "waiting"), ("running", "computing"), ("failed", "failed"), ("cancelled", "cancelled")]


class TestHistory:
    def test_there_is_no_list_before_the_first_correction(self, correcting: SimpleNamespace) -> None:
        assert not shown(correcting.ui.correctionsTable)

    def test_corrections_are_listed_with_time_text_and_state(
        self, correcting: SimpleNamespace, logic: FakeLogic
    ) -> None:
        logic.corrections.lists(*ROWS)
        table = correcting.ui.correctionsTable
        assert shown(table) and table.rowCount == 4
        assert [table.item(row, 2).text() for row in range(4)] == ["done", "done", "shown now", "undone"]
        assert table.item(1, 1).text() == "liver: 214 voxels painted, 25 mm" and len(table.item(1, 0).text()) == 8
        assert table.item(2, 1).font().bold() and table.item(3, 1).font().italic()

    def test_a_click_goes_back_to_a_correction(self, correcting: SimpleNamespace, logic: FakeLogic) -> None:
        logic.corrections.lists(*ROWS)
        correcting.ui.correctionsTable.cellClicked.emit(1, 1)
        assert logic.asked[-1] == ("revert_to", 1)

    @pytest.mark.parametrize(("state", "told"), STATES)
    def test_one_that_is_not_back_says_so(
        self, correcting: SimpleNamespace, logic: FakeLogic, state: str, told: str
    ) -> None:
        logic.corrections.lists(CAME, CorrectionRow(1, 1.7e9, "liver: a point, 25 mm", state))
        assert correcting.ui.correctionsTable.item(1, 2).text() == told

    def test_strokes_that_contradict_one_another_are_told(self, correcting: SimpleNamespace, logic: FakeLogic) -> None:
        said = "Strokes contradict one another in 4 voxels: the newest counts."
        logic.corrections.lists(CAME, CorrectionRow(1, 1.7e9, "liver", current=True, warning=said))
        assert shown(correcting.ui.correctWarningLabel) and said in correcting.ui.correctWarningLabel.text
        logic.corrections.lists(CAME, CorrectionRow(1, 1.7e9, "liver", undone=True, warning=said))
        assert not shown(correcting.ui.correctWarningLabel), "what was undone is of no interest"

    def test_where_the_oldest_ones_were_dropped_there_is_no_way_back_to_the_result_as_it_came(
        self, correcting: SimpleNamespace, logic: FakeLogic
    ) -> None:
        logic.corrections.stands(can_undo=True)
        logic.corrections.lists(CorrectionRow(7, 1.7e9, "earlier corrections"), CorrectionRow(8, 1.7e9, "liver"))
        assert correcting.ui.undoButton.enabled and not correcting.ui.asItCameButton.enabled

    def test_undo_redo_and_the_result_as_it_came(self, correcting: SimpleNamespace, logic: FakeLogic) -> None:
        ui = correcting.ui
        assert not (ui.undoButton.enabled or ui.redoButton.enabled or ui.asItCameButton.enabled)
        logic.corrections.stands(can_undo=True, can_redo=True)
        for button in (ui.undoButton, ui.redoButton, ui.asItCameButton):
            click(button)
        assert logic.asked[-3:] == [("undo",), ("redo",), ("revert_to", 0)]
