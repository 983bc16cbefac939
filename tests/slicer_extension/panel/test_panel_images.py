"""Images of the server in the panel: opening, the next sample, many at once, and jobs that were left."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.Views import Batch, Connection, Images, LeftJob, StoredLabel, StoredLabels

from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.panel.qt_actions import click, shown, type_into, unfold


class TestImages:
    @pytest.fixture(autouse=True)
    def _open(self, panel: SimpleNamespace) -> None:
        unfold(panel.ui.imagesSection)

    def test_lists_and_opens_the_images_of_the_server(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected()
        click(panel.ui.listImagesButton)
        logic.images_changed.emit(Images(("case_1", "case_2"), {"case_2": ("final",)}))
        box = panel.ui.imagesComboBox
        assert [box.itemText(index) for index in range(box.count)] == ["case_1", "case_2 (label: final)"]
        stored = StoredLabels("v", "case_1", (StoredLabel("final"), StoredLabel("original")))
        logic.labels_changed.emit(stored)  # as after a submission
        assert box.itemText(0) == "case_1 (label: final, original)"
        box.setCurrentIndex(1)
        click(panel.ui.openImageButton)
        assert ("open_image", "case_2") in logic.asked

    def test_the_next_sample_becomes_the_volume(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.connected()
        unfold(panel.ui.submitSection)
        type_into(panel.ui.userEdit, "A. Reader")
        click(panel.ui.nextSampleButton)
        assert logic.asked[-1] == ("next_sample", "", "A. Reader")
        logic.image_opened.emit(volume)
        assert panel.ui.inputSelector.currentNode() is volume

    def test_images_of_one_server_are_not_offered_at_another(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected()
        logic.images_changed.emit(Images(("case_1",)))
        logic.connected()  # the same one, warm now
        assert panel.ui.imagesComboBox.count == 1
        count = logic.asked.count(("list_images",))
        logic.set_connection(replace(logic.connection, address="http://elsewhere:8000"))
        assert panel.ui.imagesComboBox.count == 0 and not panel.ui.openImageButton.enabled
        assert logic.asked.count(("list_images",)) == count + 1
        logic.set_connection(Connection())
        assert panel.ui.imagesComboBox.count == 0


class TestBatch:
    @pytest.fixture(autouse=True)
    def _open(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected()
        unfold(panel.ui.imagesSection, panel.ui.batchSection)

    def test_all_images_without_a_label_are_previewed_unless_one_is_chosen(
        self, panel: SimpleNamespace, logic: FakeLogic
    ) -> None:
        click(panel.ui.batchButton)
        assert logic.asked[-1] == ("start_batch", None)
        panel.ui.batchComboBox.setCurrentIndex(1)
        click(panel.ui.batchButton)
        assert "No image is chosen" in panel.ui.messageLabel.text and logic.asked[-1] == ("start_batch", None)
        logic.images_changed.emit(Images(("case_1", "case_2")))
        panel.ui.imagesComboBox.setCurrentIndex(1)
        click(panel.ui.batchButton)
        assert logic.asked[-1] == ("start_batch", ("case_2",))

    def test_progress_is_shown_and_it_can_be_stopped(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        ui = panel.ui
        logic.batch_goes_on(Batch(running=True, text="Counting the images"))
        assert (ui.batchBar.minimum, ui.batchBar.maximum) == (0, 0) and not ui.batchButton.enabled
        logic.batch_goes_on(Batch(12, 1, 40, True, "12 of 40 images done, 1 failed."))
        assert shown(ui.batchBar) and (ui.batchBar.value, ui.batchBar.maximum) == (12, 40)
        assert ui.batchLabel.text == "12 of 40 images done, 1 failed."
        click(ui.stopBatchButton)
        assert logic.asked[-1] == ("stop_batch",)
        logic.batch_goes_on(Batch(13, 1, 40, False, "Stopped after 13 of 40 images."))
        assert not shown(ui.batchBar) and ui.batchButton.enabled and not ui.stopBatchButton.enabled
        assert logic.asked[-1] == ("list_images",), "they have labels now"

    def test_one_that_runs_already_is_shown_without_a_click(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        panel.ui.imagesSection.collapsed = True
        logic.batch_goes_on(Batch(1, 0, 40, True, "1 of 40 images done."))
        assert shown(panel.ui.stopBatchButton)


class TestLeftJobs:
    def test_the_oldest_is_offered_to_be_taken_up_or_ended(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        ui = panel.ui
        assert not shown(ui.leftJobsFrame)
        logic.leaves(LeftJob("b", "case_8", "preview", "queued", 2e9), LeftJob("a", "case_7", "refine", "running", 1e9))
        assert shown(ui.leftJobsFrame)
        assert "refinement of case_7" in ui.leftJobsLabel.text and "1 more" in ui.leftJobsLabel.text
        click(ui.takeUpButton)
        click(ui.endLeftButton)
        assert logic.asked == [("take_up", "a"), ("end_left", "a")]
        logic.leaves()
        assert not shown(ui.leftJobsFrame)

    def test_without_an_image_it_can_only_be_ended(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.leaves(LeftJob("a", "", "refine", "running", 1e9))
        assert not panel.ui.takeUpButton.enabled and panel.ui.endLeftButton.enabled
