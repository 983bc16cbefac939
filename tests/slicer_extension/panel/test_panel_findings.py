"""What is told of a result: warnings with their reasons, the verdict on the scan, the Dice to be expected."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.ResultTexts import refine_text, unlike, verdict_text, warnings
from SemGANLib.Types.ModelTypes import Mode
from SemGANLib.Types.ResultTypes import Domain, Finding
from SemGANLib.Views import Outcome

from tests.slicer_extension.panel.fake_logic import FakeLogic, model, result
from tests.slicer_extension.panel.qt_actions import click_at, shown, unfold
from tests.slicer_extension.panel.states import CUT, IN_DOMAIN, OUT_OF_DOMAIN, SWAPPED

UNLEARNT = Finding("modality_unlearnt", "warning", text="The scan is MR, the model has learnt from CT: check.")


def arrives(logic: FakeLogic, volume: Any, domain: Domain | None = None, *findings: Finding, **changes: Any) -> None:
    """Let a result with findings arrive."""
    logic.choices.volume = volume
    found = result(domain, findings=findings, **changes)
    logic.arrives(Outcome(volume.GetID(), "", {}, "", "a" * 32, found))


def test_warnings_are_listed_and_remarks_stand_apart(panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
    arrives(logic, volume, OUT_OF_DOMAIN, SWAPPED, CUT)
    lines = panel.ui.warningLabel.text.splitlines()
    assert len(lines) == 2 and all(line.startswith("\u26a0 ") for line in lines)
    assert "unlike those the model has learnt from" in lines[0] and "other side of the body" in lines[1]
    assert CUT.text in panel.ui.outcomeLabel.text and CUT.text not in panel.ui.warningLabel.text
    arrives(logic, volume, IN_DOMAIN)
    assert not shown(panel.ui.warningLabel)


def test_findings_of_a_kind_that_is_not_known_are_told(panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
    others = (Finding("new_kind", "warning", text="Look twice."), Finding("other", "info", text="By the way."))
    arrives(logic, volume, None, *others)
    assert "Look twice." in panel.ui.warningLabel.text and "By the way." in panel.ui.outcomeLabel.text


def test_a_structure_with_a_finding_says_so_in_the_table(panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
    arrives(logic, volume, IN_DOMAIN, replace(CUT, text="Cut <b>here</b>."))
    table = panel.ui.volumesTable
    assert "Cut &lt;b&gt;here&lt;/b&gt;." in table.item(0, 0).toolTip()
    assert table.item(1, 0).toolTip() == "<p>right kidney</p>", "all of a name that a narrow column cuts"


@pytest.mark.parametrize("findings", [(), (UNLEARNT,)], ids=["older server", "finding"])
@pytest.mark.parametrize("learnt", [("CT",), ("CT", "DX")])
def test_in_domain_never_stands_beside_an_unlearnt_modality_without_the_reason(
    findings: tuple[Finding, ...], learnt: tuple[str, ...]
) -> None:
    found = result(IN_DOMAIN, modality="MR", findings=findings)
    told = replace(model(), modalities=learnt)
    assert len(warnings(found, told)) == 1 and "has learnt from CT" in warnings(found, told)[0]
    verdict = verdict_text(found, told)
    assert "in domain" not in verdict and "has not learnt from MR" in verdict


def test_what_is_called_ct_and_is_none_is_not_called_in_domain_and_not_final_in_one_click() -> None:
    found = Finding("not_in_hu", "warning", text="No value of this CT is as low as fat or air.")
    called_ct = replace(result(IN_DOMAIN), findings=(found,))
    assert "in domain" not in verdict_text(called_ct, model()) and warnings(called_ct, model()) == [found.text]
    assert unlike(called_ct) and not unlike(result(IN_DOMAIN))
    assert warnings(replace(called_ct, domain=OUT_OF_DOMAIN), model())[0] == found.text, "the cause comes first"


def test_a_learnt_modality_is_plainly_in_domain() -> None:
    found = result(IN_DOMAIN, modality="CT")
    assert warnings(found, model()) == [] and "in domain" in verdict_text(found, model())
    assert warnings(result(IN_DOMAIN, modality="MR"), None) == []  # of a model that is not known nothing is claimed


def test_the_dice_to_be_expected_stands_beside_each_structure(
    panel: SimpleNamespace, logic: FakeLogic, volume: Any
) -> None:
    table = panel.ui.volumesTable
    arrives(logic, volume, OUT_OF_DOMAIN)
    assert not table.isColumnHidden(3)
    assert [table.item(row, 3).text() for row in range(4)] == ["0.71", "0.35", "0.40", "0.21"]
    arrives(logic, volume, None)
    assert table.isColumnHidden(3)


def test_a_click_on_a_structure_goes_there(panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
    arrives(logic, volume, IN_DOMAIN)
    table = panel.ui.volumesTable
    place = table.visualItemRect(table.item(2, 1)).center()
    click_at(table.viewport(), place.x(), place.y())
    assert ("jump_to", "CT abdomen", "left kidney") in logic.asked


def test_the_result_is_opened_in_the_segment_editor(panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
    assert not shown(panel.ui.editorButton)
    arrives(logic, volume, IN_DOMAIN)
    panel.ui.editorButton.click()
    assert logic.asked == [("open_editor", "CT abdomen")]


def test_doubt_is_left_out_of_the_plot_where_it_is_undefined(
    panel: SimpleNamespace, logic: FakeLogic, volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [replace(value, uncertainty=None if value.position < 0 else 0.4) for value in logic.slice_values(volume)]
    monkeypatch.setattr(logic, "slice_values", lambda _volume: values)
    arrives(logic, volume, IN_DOMAIN)
    unfold(panel.ui.detailsSection)
    doubt = panel.panel.details._plot.lines[1]
    assert doubt.name == "Doubt (0 to 1)" and len(doubt.finite) == sum(value.position >= 0 for value in values)


def test_a_label_that_was_opened_is_not_taken_for_a_result(
    panel: SimpleNamespace, logic: FakeLogic, volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logic.choices.volume = volume
    found = result(None, job="", mode="label", modality="")
    rows = [replace(row, server_ml=None) for row in logic.organ_volumes(volume)]
    monkeypatch.setattr(logic, "organ_volumes", lambda _volume: rows)
    logic.arrives(Outcome(volume.GetID(), "", {}, "", "", found))
    assert panel.ui.volumesTable.isColumnHidden(2)
    assert panel.ui.outcomeLabel.text == "Label from the server, made with semgan_abdomen 0.1.0."
    assert not panel.ui.reportButton.enabled and panel.ui.volumesTable.rowCount == 4


class TestRefine:
    @pytest.mark.parametrize(
        ("worth_it", "words"),
        [(True, "better than Preview"), (False, "Preview is enough"), (None, "not measured")],
    )
    def test_it_says_what_it_costs_and_gains_and_is_open_only_if_it_gains(
        self, panel: SimpleNamespace, logic: FakeLogic, worth_it: bool | None, words: str
    ) -> None:
        modes = (
            Mode("preview", seconds=4.0, dice={"CT": 0.9}),
            Mode("refine", seconds=190.0, gain={"CT": 0.02, "MR": -0.001}, worth_it=worth_it),
        )
        logic.connected(replace(model(), modes=modes))
        text = panel.ui.refineLabel.text
        assert words in text and "3 min" in text and "4 s" in text
        assert "CT 0.900 \u2192 0.920 (+0.020)" in text and "MR -0.001" in text
        assert shown(panel.ui.refineButton) == (worth_it is True)
        assert shown(panel.ui.previewButton)

    def test_what_the_user_opened_stays_open(self, panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
        logic.connected()
        unfold(panel.ui.refineSection)
        logic.choices.volume = volume
        measured = (Mode("preview", seconds=4.0), Mode("refine", seconds=190.0))
        logic.connected(replace(model(), modes=measured))  # as after a run
        assert shown(panel.ui.refineButton) and "took 3 min" in panel.ui.refineLabel.text

    def test_a_model_without_it_does_not_offer_it(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected(replace(model(), modes=(Mode("preview"),)))
        assert not shown(panel.ui.refineSection)

    def test_before_the_first_time_no_time_is_claimed(self) -> None:
        assert "known after the first time" in refine_text(model())


class TestModality:
    def test_it_is_guessed_unless_it_is_chosen(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        box = panel.ui.modalityComboBox
        assert [box.itemText(index) for index in range(box.count)] == ["guessed from its values", "CT", "MR"]
        box.setCurrentIndex(2)
        assert logic.choices.modality == "MR"
        box.setCurrentIndex(0)
        assert logic.choices.modality == ""

    def test_a_choice_of_the_scene_is_shown(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.choices.modality = "MR"
        assert panel.ui.modalityComboBox.currentText == "MR"
        logic.choices.modality = "PT"  # of a scene that somebody wrote by hand
        assert panel.ui.modalityComboBox.currentIndex == 0

    def test_models_are_offered_where_there_are_several(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected(model())
        assert not shown(panel.ui.modelComboBox)
        logic.connected(model(), model("semgan_thorax"))
        assert shown(panel.ui.modelComboBox)
        panel.ui.modelComboBox.setCurrentIndex(1)
        assert logic.choices.model == "semgan_thorax"
