"""Submitting labels and reviewing them, driven by clicks under Qt off-screen, on a logic that answers as told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.Views import Outcome, StoredLabel, StoredLabels, Submit

from tests.slicer_extension.panel.conftest import add_volume
from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.panel.qt_actions import click, type_into, unfold


class TestSubmit:
    @pytest.fixture(autouse=True)
    def _open(self, panel: SimpleNamespace) -> None:
        panel.ui.submitSection.collapsed = False

    @pytest.fixture
    def reader_with_result(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        """Make a result, and say the reader's name."""
        logic.connected()
        logic.choices.volume = volume
        with_result()
        type_into(panel.ui.userEdit, "A. Reader")

    @pytest.mark.usefixtures("reader_with_result")
    def test_submits_with_the_users_name_and_remembers_it(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
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

    @pytest.mark.usefixtures("reader_with_result")
    def test_shows_how_far_the_scan_is_and_stops_it(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.submit_changed.emit(Submit(True, "Sending the volume: 12 of 367 MB"))
        assert panel.ui.editedLabel.text == "Sending the volume: 12 of 367 MB"
        assert panel.ui.submitButton.text == "Stop sending"
        click(panel.ui.submitButton)
        assert logic.asked[-1] == ("stop_submit",)
        logic.submit_changed.emit(Submit())
        assert panel.ui.submitButton.text == "Submit label" and panel.ui.editedLabel.text.startswith("Not edited")

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

    @pytest.mark.usefixtures("reader_with_result")
    def test_a_label_can_be_submitted_as_preliminary(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        panel.ui.tagComboBox.setCurrentIndex(1)
        click(panel.ui.submitButton)
        assert ("submit", "CT abdomen", "A. Reader", "preliminary") in logic.asked


class TestSecondReader:
    @pytest.fixture(autouse=True)
    def _open(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.connected()
        logic.choices.volume = volume
        unfold(panel.ui.submitSection, panel.ui.reviewSection)

    def test_the_labels_of_the_image_are_asked_for_and_told(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        assert logic.asked == [("list_labels", "CT abdomen")]
        assert "no label" in panel.ui.reviewLabel.text and not panel.ui.acceptButton.enabled
        final = StoredLabel(
            "final", "2026-11-28T09:02:11Z", "A. Reader", "m", True, "rejected", "B. Reader", "too small"
        )
        logic.labels_changed.emit(StoredLabels(volume.GetID(), "case_07", (final,)))
        text = panel.ui.reviewLabel.text
        assert all(word in text for word in ("Final", "A. Reader", "2026-11-28 09:02", "edited"))
        assert "Rejected by B. Reader: too small" in text

    def test_labels_of_another_volume_are_not_told(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.labels_changed.emit(StoredLabels("vtkMRMLScalarVolumeNode99", "case_07", (StoredLabel("final"),)))
        assert "no label" in panel.ui.reviewLabel.text
        logic.choices.volume = add_volume("MR")
        assert logic.asked == [("list_labels", "CT abdomen"), ("list_labels", "MR")]

    @pytest.mark.parametrize(("name", "verdict"), [("acceptButton", "accepted"), ("rejectButton", "rejected")])
    def test_a_verdict_needs_a_name_and_takes_the_comment_along(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, name: str, verdict: str
    ) -> None:
        logic.labels_changed.emit(StoredLabels(volume.GetID(), "case_07", (StoredLabel("final"),)))
        click(getattr(panel.ui, name))
        assert "name or initials" in panel.ui.messageLabel.text and len(logic.asked) == 1
        type_into(panel.ui.userEdit, "B. Reader")
        type_into(panel.ui.commentEdit, "well done")
        click(getattr(panel.ui, name))
        assert logic.asked[-1] == ("review", "CT abdomen", "B. Reader", verdict, "well done")

    def test_a_comment_on_one_image_is_not_carried_over_to_another(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        type_into(panel.ui.commentEdit, "the spleen is too small")
        panel.ui.reviewSection.collapsed = True
        logic.choices.steps = 5  # another choice takes nothing away
        assert panel.ui.commentEdit.text
        logic.choices.volume = add_volume("MR")
        assert panel.ui.commentEdit.text == ""

    def test_another_server_is_asked_for_its_own_labels(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        logic.labels_changed.emit(StoredLabels(volume.GetID(), "case_07", (StoredLabel("final"),)))
        logic.connected()  # the same one
        assert logic.asked.count(("list_labels", "CT abdomen")) == 1 and panel.ui.acceptButton.enabled
        logic.set_connection(replace(logic.connection, address="http://elsewhere:8000"))
        assert logic.asked.count(("list_labels", "CT abdomen")) == 2 and not panel.ui.acceptButton.enabled
