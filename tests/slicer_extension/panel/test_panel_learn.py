"""Learning from submitted labels, driven by clicks under Qt off-screen, on a logic that answers as told."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from SemGANLib.Protocols.TrainingProtocol import Learning
from SemGANLib.Types.TrainingTypes import (
    STRUCTURE,
    TUNE,
    LabelledStructure,
    ModelVersion,
    ModelVersions,
    TrainingJob,
    TrainingLabels,
    TrainingRequest,
)
from SemGANLib.Views import Submit

from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.panel.qt_actions import click, settle, shown, type_into, unfold

IMAGES = tuple(f"case_{number}" for number in range(5))
LABELS = TrainingLabels(
    "semgan_abdomen",
    IMAGES,
    (
        LabelledStructure("liver", 1, True, IMAGES),
        LabelledStructure("aorta", 8, False, IMAGES[:3]),
        LabelledStructure(None, 12, False, IMAGES[:1]),
    ),
)
VERSIONS = ModelVersions(
    "semgan_abdomen",
    1,
    (
        ModelVersion(0, None, "shipped", 1.7e9, ("liver", "spleen")),
        ModelVersion(1, 0, STRUCTURE, 1.8e9, ("aorta",), IMAGES[:3], {"aorta": 0.713, "liver": 0.95}),
    ),
)
TRAINING = TrainingJob("a" * 32, "running", STRUCTURE, "semgan_abdomen", ("aorta",), IMAGES[:3], IMAGES[:1])


@pytest.fixture
def learning(panel: SimpleNamespace, logic: FakeLogic) -> SimpleNamespace:
    """The section, open, with labels to learn from."""
    logic.connected()
    unfold(panel.ui.learnSection)
    logic.trainings.stands(labels=LABELS)
    return panel


def asked_for(logic: FakeLogic) -> TrainingRequest:
    """What was asked for last."""
    name, request = logic.asked[-1]
    assert name == "train"
    return request


class TestWhatToLearn:
    def test_the_labels_are_asked_for_once_while_the_section_is_open(
        self, panel: SimpleNamespace, logic: FakeLogic
    ) -> None:
        logic.connected()
        assert not logic.asked
        unfold(panel.ui.learnSection)
        logic.trainings.stands(labels=LABELS)
        logic.connected()
        assert logic.asked == [("look", "semgan_abdomen")]

    def test_a_label_that_was_submitted_is_counted(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        logic.submit_changed.emit(Submit())
        assert logic.asked == [("look", "semgan_abdomen")] * 2

    def test_structures_that_labels_hold_and_the_model_lacks_are_offered(self, learning: SimpleNamespace) -> None:
        box = learning.ui.learnStructureComboBox
        assert [box.itemText(index) for index in range(box.count)] == ["aorta", "structure 12"]
        assert learning.ui.learnLabelsLabel.text == "3 of 5 final labels hold it."

    def test_a_new_structure_is_learnt_for_some_minutes(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        learning.ui.learnMinutesSpinBox.setValue(7)
        click(learning.ui.trainButton)
        assert asked_for(logic) == TrainingRequest(STRUCTURE, "aorta", "semgan_abdomen", None, 420.0)

    def test_one_that_no_label_names_is_learnt_by_its_number(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        learning.ui.learnStructureComboBox.setCurrentIndex(1)
        assert "1 of 5" in learning.ui.learnLabelsLabel.text
        click(learning.ui.trainButton)
        assert asked_for(logic) == TrainingRequest(STRUCTURE, "structure 12", "semgan_abdomen", 12)

    @pytest.mark.parametrize(
        ("typed", "told", "possible"),
        [
            ("Aorta", "3 of 5 final labels hold it.", True),
            ("bladder", "Draw it as a segment of this name", False),
            ("liver", "choose fine-tune", False),
            ("", "Name the structure", False),
        ],
    )
    def test_a_name_can_be_typed_and_what_is_missing_is_told(
        self, learning: SimpleNamespace, typed: str, told: str, possible: bool
    ) -> None:
        type_into(learning.ui.learnStructureComboBox.lineEdit(), typed)
        assert told in learning.ui.learnLabelsLabel.text and learning.ui.trainButton.enabled is possible
        assert learning.ui.learnStructureComboBox.currentText == typed, "what is typed stays"

    def test_it_is_named_as_the_labels_name_it(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        type_into(learning.ui.learnStructureComboBox.lineEdit(), "AORTA")
        click(learning.ui.trainButton)
        assert asked_for(logic).structure == "aorta"

    def test_the_model_is_tuned_with_all_labels_unless_a_structure_is_chosen(
        self, learning: SimpleNamespace, logic: FakeLogic
    ) -> None:
        learning.ui.learnKindComboBox.setCurrentIndex(1)
        assert "from 5 final labels" in learning.ui.learnLabelsLabel.text
        click(learning.ui.trainButton)
        assert asked_for(logic) == TrainingRequest(TUNE, "", "semgan_abdomen")
        type_into(learning.ui.learnStructureComboBox.lineEdit(), "liver")
        click(learning.ui.trainButton)
        assert asked_for(logic) == TrainingRequest(TUNE, "liver", "semgan_abdomen")

    def test_an_older_server_says_so(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.trainings.stands(available=False)
        logic.connected()
        unfold(panel.ui.learnSection)
        assert "older" in panel.ui.learnLabelsLabel.text and not panel.ui.trainButton.enabled
        assert not logic.asked

    def test_without_a_server_nothing_is_asked(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        unfold(panel.ui.learnSection)
        assert "Connect" in panel.ui.learnLabelsLabel.text and not panel.ui.trainButton.enabled and not logic.asked


class TestTraining:
    def test_progress_is_shown_and_it_can_be_cancelled(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        ui = learning.ui
        assert not shown(ui.learnBar) and not shown(ui.cancelTrainingButton)
        logic.trainings.goes_on(TrainingJob("a", "running", step=3, steps=12, eta_seconds=200.0, message="learning"))
        assert shown(ui.learnBar) and ui.learnBar.value == 25 and not ui.trainButton.enabled
        assert ui.learnLabel.text == "Learning, step 3 of 12, about 3 min left"
        click(ui.cancelTrainingButton)
        assert logic.asked[-1] == ("cancel_training",)

    def test_before_the_steps_are_known_the_bar_moves_to_and_fro(
        self, learning: SimpleNamespace, logic: FakeLogic
    ) -> None:
        logic.trainings.goes_on(TrainingJob("a", "queued"))
        assert learning.ui.learnBar.maximum == 0 and "Waiting" in learning.ui.learnLabel.text

    def test_it_gives_way_to_results_and_says_so(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        logic.trainings.goes_on(TrainingJob("a", "paused", step=3, steps=12))
        assert "results go first" in learning.ui.learnLabel.text

    def test_the_end_tells_how_good_it_is(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        done = TrainingJob(
            "a", "done", structures=("aorta",), held_out=("case_1",), figures={"aorta": 0.713}, version=1
        )
        logic.trainings.goes_on(done)
        assert "Learnt: aorta. Version 1" in learning.ui.learnLabel.text
        assert "aorta Dice 0.71" in learning.ui.learnLabel.text
        assert learning.ui.trainButton.enabled and not shown(learning.ui.resumeTrainingButton)

    def test_a_version_that_was_not_taken_into_use_is_told_as_such(
        self, learning: SimpleNamespace, logic: FakeLogic
    ) -> None:
        told = "version 2 is there; version 0, which was chosen meanwhile, stays in use"
        logic.trainings.goes_on(TrainingJob("a", "done", structures=("aorta",), version=2, message=told))
        text = " ".join(learning.ui.learnLabel.text.split())
        assert "Version 2 is there; version 0" in text and "2 is in use" not in text

    @pytest.mark.parametrize("state", ["interrupted", "failed"])
    def test_one_that_broke_off_can_go_on(self, learning: SimpleNamespace, logic: FakeLogic, state: str) -> None:
        logic.trainings.goes_on(TrainingJob("a", state, message="the disk is full"))
        click(learning.ui.resumeTrainingButton)
        assert logic.asked[-1] == ("resume_training",)


class TestVersions:
    def test_they_are_listed_with_what_they_have_learnt(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        table = learning.ui.versionsTable
        assert not shown(table)
        logic.trainings.stands(versions=VERSIONS)
        rows = [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]
        assert rows == [["1 (in use)", "aorta", "0.71"], ["0", "as shipped", ""]]
        assert table.item(0, 0).font().bold() and not table.item(1, 0).font().bold()

    def test_an_earlier_one_is_used_again(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        logic.trainings.stands(versions=VERSIONS)
        ui = learning.ui
        assert not ui.useVersionButton.enabled
        ui.versionsTable.selectRow(0)
        assert not ui.useVersionButton.enabled, "it is in use"
        ui.versionsTable.selectRow(1)
        settle()
        click(ui.useVersionButton)
        assert logic.asked[-1] == ("use_version", 0)

    def test_one_that_is_damaged_cannot_be_chosen_and_says_why(
        self, learning: SimpleNamespace, logic: FakeLogic
    ) -> None:
        damaged = ModelVersion(2, 1, structures=("aorta",), problem="its weights are not those that were written")
        logic.trainings.stands(versions=ModelVersions("semgan_abdomen", 1, (*VERSIONS.versions, damaged)))
        ui = learning.ui
        assert ui.versionsTable.item(0, 0).text() == "2 (damaged)"
        assert "not those" in " ".join(ui.versionsTable.item(0, 0).toolTip().split())
        ui.versionsTable.selectRow(0)
        assert not ui.useVersionButton.enabled

    def test_a_model_that_has_learnt_nothing_has_nothing_to_choose(
        self, learning: SimpleNamespace, logic: FakeLogic
    ) -> None:
        logic.trainings.stands(versions=ModelVersions("semgan_abdomen", 0, VERSIONS.versions[:1]))
        assert not shown(learning.ui.useVersionButton)

    def test_those_of_another_server_are_not_shown(self, learning: SimpleNamespace, logic: FakeLogic) -> None:
        logic.trainings.stands(versions=VERSIONS)
        logic.trainings.state = Learning()
        logic.trainings.stands(available=True)
        assert not shown(learning.ui.versionsTable) and learning.ui.learnStructureComboBox.count == 0
