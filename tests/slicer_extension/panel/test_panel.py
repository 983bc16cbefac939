"""The panel, driven by clicks and keys under Qt off-screen, on a logic that answers as the test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.Types import Domain
from SemGANLib.Views import Connection, Images, Outcome

from tests.slicer_extension.panel.conftest import add_volume, dispose
from tests.slicer_extension.panel.fake_logic import COLOURS, FakeLogic, job, model, result
from tests.slicer_extension.panel.qt_actions import click, click_at, key, shown, type_into
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
    assert len(shown_texts) == 8
    assert all(getattr(panel.ui, name).textFormat == Qt.PlainText for name in shown_texts)
    logic.connected(replace(model(), description="<img src='file:///etc/passwd'>"))
    assert "<img" not in panel.ui.modelComboBox.toolTip and "&lt;img" in panel.ui.modelComboBox.toolTip


def test_it_fits_into_a_narrow_dock(panel: SimpleNamespace, logic: FakeLogic) -> None:
    logic.connected()
    assert panel.widget.minimumSizeHint().width() <= 400


def test_without_a_main_window_there_is_no_comparison(application: Any, scene: Any) -> None:
    from SemGANLib.Widget import Panel

    application.use_scene(None)
    logic = FakeLogic(scene)
    panel = Panel(logic, MemorySettings())
    panel.maps.compare(True)
    panel.leave()
    assert not panel.layout.shown
    panel.close()
    dispose(panel.widget)


class TestServer:
    def test_address_and_key_that_were_remembered_are_there(self, scene: Any) -> None:
        from SemGANLib.Widget import Panel

        logic = FakeLogic(scene)
        logic.saved = ("http://localhost:8000", "secret")
        panel = Panel(logic, MemorySettings())
        assert (panel.ui.addressEdit.text, panel.ui.keyEdit.text) == ("http://localhost:8000", "secret")
        assert panel.ui.rememberKeyCheckBox.checked
        assert not [asked for asked in logic.asked if asked[0] == "connect"]  # only on a click
        panel.close()
        dispose(panel.widget)

    def test_connect_takes_what_is_typed(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        type_into(panel.ui.addressEdit, " http://127.0.0.1:8000 ")
        type_into(panel.ui.keyEdit, "k")
        click(panel.ui.connectButton)
        assert logic.asked == [("connect", "http://127.0.0.1:8000", "k", False)]

    def test_the_key_is_not_readable_on_the_screen(self, panel: SimpleNamespace) -> None:
        type_into(panel.ui.keyEdit, "secret")
        assert "secret" not in panel.ui.keyEdit.displayText

    def test_tells_what_it_is_connected_to_and_which_models_there_are(
        self, panel: SimpleNamespace, logic: FakeLogic
    ) -> None:
        logic.connected(model(), model("semgan_thorax", "2.0"))
        assert "http://127.0.0.1:8000" in panel.ui.connectionLabel.text
        assert panel.ui.connectButton.text == "Disconnect"
        box = panel.ui.modelComboBox
        assert [box.itemText(index) for index in range(box.count)] == ["semgan_abdomen", "semgan_thorax"]

    def test_a_server_elsewhere_is_pointed_out(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected(local=False)
        assert "another computer" in panel.ui.connectionLabel.text

    def test_disconnects_on_a_second_click(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected()
        click(panel.ui.connectButton)
        assert logic.asked == [("disconnect",)]
        assert panel.ui.connectionLabel.text == "Not connected."
        assert panel.ui.modelComboBox.count == 0

    def test_says_why_it_is_not_connected(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.set_connection(Connection("failed", "http://127.0.0.1:1", "Nobody answers at http://127.0.0.1:1."))
        assert "Nobody answers" in panel.ui.connectionLabel.text
        assert panel.ui.connectButton.text == "Connect"


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
        tick(panel, "spleen")
        assert logic.choices.labels == ("liver", "right kidney", "left kidney")
        tick(panel, "spleen")
        assert logic.choices.labels is None

    def test_without_a_structure_nothing_is_started(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        logic.connected()
        logic.choices.volume = volume
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
        click(panel.ui.refineButton)
        assert logic.asked == [("preview", "CT abdomen"), ("refine", "CT abdomen")]

    def test_without_a_volume_it_says_what_to_do(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        click(panel.ui.refineButton)
        assert "No volume is chosen" in panel.ui.messageLabel.text and shown(panel.ui.messageFrame)
        assert not logic.asked

    def test_progress_tells_step_slices_and_time(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.choices.volume = volume
        text = "Step 12 of 60, 31 of 90 slices converged, about 40 s left"
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


class TestResults:
    def test_table_of_volumes_and_where_they_come_from(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.choices.volume = volume
        assert panel.ui.outcomeLabel.text == "No result yet." and not shown(panel.ui.volumesTable)
        with_result()
        table = panel.ui.volumesTable
        rows = [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]
        assert rows[0] == ["liver", "1500.0", "1490.0"] and len(rows) == 4
        assert "semgan_abdomen 0.1.0" in panel.ui.outcomeLabel.text and "abababababab" in panel.ui.outcomeLabel.text

    def test_the_table_can_be_copied(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        import qt

        logic.choices.volume = volume
        with_result()
        click(panel.ui.copyButton)
        assert qt.QApplication.clipboard().text() == "structure,ml\nliver,1500.0\n"

    def test_a_scan_unlike_the_models_is_pointed_out(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.choices.volume = volume
        with_result()
        assert not shown(panel.ui.warningLabel)
        warning = "This scan is unlike what the model knows: check every slice."
        with_result(warning, Domain(0.91, "out of domain"))
        assert shown(panel.ui.warningLabel) and warning in panel.ui.warningLabel.text
        assert "out of domain (score 0.91)" in panel.ui.outcomeLabel.text

    def test_notes_are_told_once_and_only_in_the_end(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        logic.choices.volume = volume
        domain = Domain(0.3, "unusual", "Check every slice.")
        notes = ("Out-of-domain score 0.30: Check every slice.", "The body was wider than the field.")
        for partial, told in ((True, 0), (False, 1)):
            found = result(domain, partial=partial, notes=notes)
            logic.arrives(Outcome(volume.GetID(), "", {}, "Unusual. Check every slice.", "a" * 32, found))
            assert panel.ui.outcomeLabel.text.count("wider than the field") == told
            assert "Check every slice" not in panel.ui.outcomeLabel.text

    def test_a_result_of_another_volume_is_not_shown(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.choices.volume = add_volume("MR")
        with_result("warning")
        assert panel.ui.outcomeLabel.text == "No result yet." and not shown(panel.ui.warningLabel)
        logic.choices.volume = volume
        assert shown(panel.ui.warningLabel)

    def test_a_click_on_the_plot_goes_to_that_slice(
        self, panel: SimpleNamespace, logic: FakeLogic, scene: Any, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        from SemGANLib.Plot import LEFT, RIGHT

        logic.choices.volume = volume
        with_result()
        plot = panel.ui.slicesPlot
        assert shown(plot)
        red = scene.GetNodeByID("vtkMRMLSliceNodeRed")
        for share, expected in ((0.0, -100.0), (0.25, -55.0), (1.0, 80.0)):
            click_at(plot, round(LEFT + share * (plot.width - LEFT - RIGHT)), 40)
            assert red.GetSliceOffset() == pytest.approx(expected, abs=2.5)

    def test_surfaces_are_made_only_on_request(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.choices.volume = volume
        with_result()
        assert not logic.asked and not panel.ui.surfacesCheckBox.checked
        panel.ui.surfacesCheckBox.click()
        panel.ui.surfacesCheckBox.click()
        assert logic.asked == [("show_surfaces", "CT abdomen", True), ("show_surfaces", "CT abdomen", False)]

    def test_the_report_is_saved_where_the_user_says(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.choices.volume = volume
        with_result()
        click(panel.ui.reportButton)
        assert logic.asked == [("fetch_report", "CT abdomen", "/somewhere/report.html")]


class TestReview:
    @pytest.fixture(autouse=True)
    def _open(self, panel: SimpleNamespace) -> None:
        panel.ui.submitSection.collapsed = False

    def test_submits_with_the_users_name_and_remembers_it(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.connected()
        logic.choices.volume = volume
        with_result()
        type_into(panel.ui.userEdit, "A. Reader")
        click(panel.ui.submitButton)
        assert ("submit", "CT abdomen", "A. Reader", "final") in logic.asked
        assert panel.settings.stored == {"SemGAN/user": "A. Reader"}

    @pytest.mark.parametrize(("result", "name", "words"), [(False, "A", "no result"), (True, "", "name or initials")])
    def test_says_what_is_missing_for_a_submission(
        self,
        panel: SimpleNamespace,
        logic: FakeLogic,
        volume: Any,
        with_result: Callable[..., Outcome],
        result: bool,
        name: str,
        words: str,
    ) -> None:
        logic.connected()
        logic.choices.volume = volume
        if result:
            with_result()
        type_into(panel.ui.userEdit, name)
        click(panel.ui.submitButton)
        assert words in panel.ui.messageLabel.text
        assert not [asked for asked in logic.asked if asked[0] == "submit"]

    def test_says_whether_the_segmentation_was_edited(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.choices.volume = volume
        with_result()
        assert panel.ui.editedLabel.text.startswith("Not edited")
        logic.is_edited = True
        panel.ui.submitSection.collapsed = True
        panel.ui.submitSection.collapsed = False
        assert panel.ui.editedLabel.text.startswith("Edited")

    def test_lists_and_opens_the_images_of_the_server(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected()
        click(panel.ui.listImagesButton)
        logic.images_changed.emit(Images(("case_1", "case_2"), {"case_2": ("final",)}))
        box = panel.ui.imagesComboBox
        assert [box.itemText(index) for index in range(box.count)] == ["case_1", "case_2 (label: final)"]
        box.setCurrentIndex(1)
        click(panel.ui.openImageButton)
        assert ("open_image", "case_2") in logic.asked

    def test_the_next_sample_becomes_the_volume(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.connected()
        click(panel.ui.nextSampleButton)
        assert logic.asked[-1] == ("next_sample", "")
        logic.image_opened.emit(volume)
        assert panel.ui.inputSelector.currentNode() is volume


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
    from SemGANLib.Widget import Panel

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
