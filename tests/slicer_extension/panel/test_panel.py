"""The panel, driven by clicks and keys under Qt off-screen, on a logic that answers as the test says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.Types.ModelTypes import Code, Label
from SemGANLib.Views import Connection, Message

from tests.phantoms import STRUCTURES
from tests.slicer_extension.panel.conftest import add_volume, dispose
from tests.slicer_extension.panel.fake_logic import COLOURS, FakeLogic, job, model
from tests.slicer_extension.panel.qt_actions import click, click_at, key, shown, unfold
from tests.slicer_extension.session import MemorySettings


def test_says_that_it_is_for_research_only(panel: SimpleNamespace) -> None:
    assert panel.ui.researchLabel.text == "Research use only, not for clinical use."
    assert shown(panel.ui.researchLabel)


def test_every_widget_that_can_be_used_has_a_tooltip(panel: SimpleNamespace) -> None:
    kinds = ("Button", "Edit", "Box", "Selector", "Slider", "Widget", "List", "Table", "Plot")
    bare = [
        name
        for name, widget in vars(panel.ui).items()
        if any(name.lower().endswith(kind.lower()) for kind in kinds) and not widget.toolTip
    ]
    assert not bare


def test_what_a_server_says_is_never_read_as_html(panel: SimpleNamespace, logic: FakeLogic) -> None:
    from PySide6.QtCore import Qt

    fixed = {"researchLabel", "lossPlot", "slicesPlot"}
    labels = {name for name, widget in vars(panel.ui).items() if widget.className() == "QLabel"}
    shown_texts = {name for name in labels - fixed if not name.endswith("Title")}
    assert len(shown_texts) == 21
    assert all(getattr(panel.ui, name).textFormat == Qt.PlainText for name in shown_texts)
    logic.connected(replace(model(), description="<img src='file:///etc/passwd'>"))
    assert "<img" not in panel.ui.modelComboBox.toolTip and "&lt;img" in panel.ui.modelComboBox.toolTip


def test_it_fits_into_a_narrow_dock(panel: SimpleNamespace, logic: FakeLogic) -> None:
    logic.connected()
    assert panel.widget.minimumSizeHint().width() <= 400


def test_without_a_main_window_there_is_no_comparison(application: Any, scene: Any) -> None:
    from SemGANLib.Panel.Widget import Panel

    application.use_scene(None)
    logic = FakeLogic(scene)
    panel = Panel(logic, MemorySettings())
    panel.maps.compare(True)
    panel.leave()
    assert not panel.layout.shown
    panel.close()
    dispose(panel.widget)


class TestInput:
    def test_the_volume_that_is_chosen_is_kept_in_the_choices(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        panel.ui.inputSelector.setCurrentNode(volume)
        assert logic.choices.volume is volume

    def test_choices_of_a_scene_are_shown(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.connected()
        logic.choices.volume = volume
        logic.choices.steps = 25
        logic.choices.labels = ("liver", "spleen")
        logic.choices.slice_range_mm = (-50.0, 20.0)
        logic.choices.maps = False
        ui = panel.ui
        assert ui.inputSelector.currentNode() is volume
        assert ui.stepsSpinBox.value == 25
        assert not ui.mapsCheckBox.checked
        assert ui.rangeCheckBox.checked and (ui.rangeWidget.minimumValue, ui.rangeWidget.maximumValue) == (-50, 20)
        ticked = [ui.labelsList.item(i).text() for i in range(4) if ui.labelsList.item(i).checkState().value]
        assert ticked == ["liver", "spleen"]

    def test_structures_can_be_left_out(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.connected()
        assert logic.choices.labels is None
        unfold(panel.ui.optionsSection)
        tick(panel, "spleen")
        assert logic.choices.labels == ("liver", "right kidney", "left kidney")
        tick(panel, "spleen")
        assert logic.choices.labels is None

    def test_thirteen_structures_can_be_scrolled_to_and_tell_how_well_they_are_found(
        self, panel: SimpleNamespace, logic: FakeLogic
    ) -> None:
        import qt

        kind = Code("SCT", "1", "Organ")
        labels = tuple(
            Label(index, name, (10 * index, 200, 30), kind, kind, dice={"CT": 0.5 + index / 100, "MR": 0.4})
            for index, name in STRUCTURES.items()
        )
        logic.set_connection(Connection("on", "", "", models=(replace(model(), labels=labels),)))
        widget = panel.ui.labelsList
        assert [widget.item(row).text() for row in range(widget.count)] == list(STRUCTURES.values())
        assert "CT 0.60, MR 0.40" in widget.item(9).toolTip()
        assert 150 < widget.height < 200 and widget.verticalScrollBarPolicy != qt.Qt.ScrollBarAlwaysOff
        rows = widget.sizeHintForRow(0) * widget.count
        assert rows > widget.height, "all do not fit: they are scrolled to"

    def test_without_a_structure_nothing_is_started(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        logic.connected()
        logic.choices.volume = volume
        unfold(panel.ui.optionsSection)
        for name in COLOURS:
            tick(panel, name)
        click(panel.ui.previewButton)
        assert "Tick at least one structure" in panel.ui.messageLabel.text
        assert not logic.asked

    def test_a_range_of_slices_is_given_in_mm_along_the_models_axis(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        logic.connected()
        logic.choices.volume = volume
        assert (panel.ui.rangeWidget.minimum, panel.ui.rangeWidget.maximum) == (-100, 80)
        panel.ui.rangeCheckBox.click()
        panel.ui.rangeWidget.setValues(-30.0, 12.5)
        assert logic.choices.slice_range_mm == (-30.0, 12.5)
        panel.ui.rangeCheckBox.click()
        assert logic.choices.slice_range_mm is None

    def test_no_steps_means_as_many_as_the_model_suggests(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        panel.ui.stepsSpinBox.setValue(30)
        assert logic.choices.steps == 30
        panel.ui.stepsSpinBox.setValue(0)
        assert logic.choices.steps is None
        assert panel.ui.stepsSpinBox.text == "as the model suggests"

    def test_results_go_to_a_new_segmentation_unless_one_is_chosen(
        self, panel: SimpleNamespace, logic: FakeLogic, scene: Any
    ) -> None:
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
        assert panel.ui.targetSelector.currentNode() is None and logic.choices.segmentation is None
        panel.ui.targetSelector.setCurrentNode(node)
        assert logic.choices.segmentation is node

    def test_limits_are_told_while_their_section_is_closed(
        self, panel: SimpleNamespace, logic: FakeLogic, scene: Any, volume: Any
    ) -> None:
        logic.connected()
        logic.choices.volume = volume
        assert not shown(panel.ui.limitsLabel) and panel.ui.optionsSection.collapsed
        logic.choices.labels = ("liver", "spleen", "of another model")
        logic.choices.slice_range_mm = (-50.0, 20.4)
        logic.choices.maps = False
        logic.choices.segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
        told = "Options: 2 of 4 structures, slices -50 to 20 mm, no maps, replaces a segmentation."
        assert shown(panel.ui.limitsLabel) and panel.ui.limitsLabel.text == told
        panel.ui.mapsCheckBox.click()
        assert "no maps" not in panel.ui.limitsLabel.text

    def test_label_maps_and_colour_images_are_not_offered(self, panel: SimpleNamespace, scene: Any) -> None:
        add_volume("scan")
        scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
        scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photograph")
        assert [node.GetName() for node in panel.ui.inputSelector.nodes()] == ["scan"]

    def test_a_volume_that_cannot_be_segmented_says_why(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        logic.trouble = "This is a sequence of volumes: choose one of its frames."
        logic.choices.volume = volume
        assert shown(panel.ui.problemLabel) and "one of its frames" in panel.ui.problemLabel.text

    def test_the_volume_of_the_slice_views_is_proposed(
        self, panel: SimpleNamespace, logic: FakeLogic, scene: Any, volume: Any
    ) -> None:
        import slicer

        other = add_volume("MR")
        slicer.util.setSliceViewerLayers(background=other)
        panel.panel.enter()
        assert logic.choices.volume is other


class TestRun:
    def test_preview_and_refine_start_for_the_chosen_volume(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        logic.connected()
        logic.choices.volume = volume
        click(panel.ui.previewButton)
        unfold(panel.ui.refineSection)
        click(panel.ui.refineButton)
        assert logic.asked == [("preview", "CT abdomen"), ("refine", "CT abdomen")]

    def test_without_a_volume_it_says_what_to_do(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        unfold(panel.ui.refineSection)
        click(panel.ui.refineButton)
        assert "No volume is chosen" in panel.ui.messageLabel.text and shown(panel.ui.messageFrame)
        assert not logic.asked

    def test_what_was_in_the_way_goes_when_it_no_longer_is(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        for news in ("", "Something else happened."):
            logic.choices.volume = None
            click(panel.ui.previewButton)
            assert shown(panel.ui.messageFrame)
            if news:
                logic.message.emit(Message("error", news))
            logic.choices.volume = volume
            assert shown(panel.ui.messageFrame) is bool(news) and news in panel.ui.messageLabel.text

    def test_progress_tells_step_slices_and_time(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.choices.volume = volume
        unfold(panel.ui.refineSection)
        text = "Step 12 of 60, 31 of 90 slices done, about 40 s left"
        logic.goes_on(volume, text=text, fraction=0.2, job=job())
        ui = panel.ui
        assert ui.progressLabel.text == text and ui.progressBar.value == 20
        assert shown(ui.progressBar) and shown(ui.lossPlot)
        assert not ui.previewButton.enabled and not ui.refineButton.enabled and ui.cancelButton.enabled

    def test_unknown_length_moves_to_and_fro(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.choices.volume = volume
        logic.goes_on(volume, phase="queued", text="Waiting: 2 jobs before this one", fraction=None)
        assert (panel.ui.progressBar.minimum, panel.ui.progressBar.maximum) == (0, 0)

    def test_after_cancel_the_panel_is_ready(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.choices.volume = volume
        logic.goes_on(volume, fraction=0.2)
        click(panel.ui.cancelButton)
        assert logic.asked == [("cancel", "CT abdomen")]
        logic.goes_on(volume, phase="cancelled", active=False, text="Cancelled: the result so far is in the scene.")
        ui = panel.ui
        assert ui.previewButton.enabled and ui.refineButton.enabled and not ui.cancelButton.enabled
        assert not shown(ui.progressBar) and "Cancelled" in ui.progressLabel.text

    def test_jobs_of_other_volumes_are_told_and_do_not_block(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        other = add_volume("MR abdomen")
        logic.choices.volume = volume
        logic.goes_on(other, text="Step 3 of 60", fraction=0.05)
        assert panel.ui.otherRunsLabel.text == "MR abdomen: Step 3 of 60"
        assert panel.ui.previewButton.enabled
        panel.ui.inputSelector.setCurrentNode(other)
        assert panel.ui.progressLabel.text == "Step 3 of 60" and not panel.ui.previewButton.enabled

    @pytest.mark.parametrize(
        ("keys", "asked"),
        [("Ctrl+Shift+P", "preview"), ("Ctrl+Shift+R", "refine"), ("Ctrl+Shift+X", "cancel")],
    )
    def test_keys_do_what_the_buttons_do(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, keys: str, asked: str
    ) -> None:
        logic.connected()
        logic.choices.volume = volume
        key(panel.widget, keys)
        assert logic.asked == [(asked, "CT abdomen")]

    def test_keys_do_nothing_while_another_module_is_shown(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        logic.choices.volume = volume
        panel.widget.hide()
        key(panel.widget, "Ctrl+Shift+P")
        assert not logic.asked


def test_a_message_is_shown_until_it_is_dismissed(panel: SimpleNamespace, logic: FakeLogic) -> None:
    logic.fails("The server does not answer: is it still running?")
    assert shown(panel.ui.messageFrame) and "is it still running?" in panel.ui.messageLabel.text
    click(panel.ui.dismissButton)
    assert not shown(panel.ui.messageFrame)


def test_the_next_action_takes_the_message_away(panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
    logic.connected()
    logic.choices.volume = volume
    logic.fails("The server was busy.")
    click(panel.ui.previewButton)
    assert not shown(panel.ui.messageFrame)


def test_nothing_is_called_after_the_panel_was_closed(scene: Any) -> None:
    from SemGANLib.Panel.Widget import Panel

    logic = FakeLogic(scene)
    panel = Panel(logic, MemorySettings())
    panel.close()
    dispose(panel.widget)
    signals = [value for value in vars(logic).values() if hasattr(value, "_slots")] + [logic.choices.changed]
    assert [signal for signal in signals if signal._slots] == []


def tick(panel: SimpleNamespace, name: str) -> None:
    """Click the box of a structure."""
    widget = panel.ui.labelsList
    item = next(widget.item(index) for index in range(widget.count) if widget.item(index).text() == name)
    place = widget.visualItemRect(item)
    click_at(widget.viewport(), place.left() + 8, place.center().y())
