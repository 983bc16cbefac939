"""Results in the panel, driven by clicks under Qt off-screen, on a logic that answers as the test says."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.Types.ResultTypes import Domain
from SemGANLib.Views import Outcome

from tests.slicer_extension.panel.conftest import add_volume
from tests.slicer_extension.panel.fake_logic import FakeLogic, result
from tests.slicer_extension.panel.qt_actions import click, click_at, shown, unfold


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
        assert "semgan_abdomen 0.1.0" in panel.ui.outcomeLabel.text and "abababababab" in panel.ui.detailsLabel.text

    def test_the_table_can_be_copied(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        import qt

        logic.choices.volume = volume
        with_result()
        unfold(panel.ui.detailsSection)
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

    def test_a_scan_without_a_score_reads_as_one_of_which_nothing_can_be_told(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any, with_result: Callable[..., Outcome]
    ) -> None:
        logic.choices.volume = volume
        with_result()
        assert "Scan: cannot tell" in panel.ui.outcomeLabel.text and "in domain" not in panel.ui.outcomeLabel.text
        with_result("", Domain(0.1, "in domain"))
        assert "cannot tell" not in panel.ui.outcomeLabel.text

    def test_notes_are_told_once_and_only_in_the_end(
        self, panel: SimpleNamespace, logic: FakeLogic, volume: Any
    ) -> None:
        logic.choices.volume = volume
        domain = Domain(0.3, "unusual", "Check every slice.")
        notes = ("Out-of-domain score 0.30: Check every slice.", "The body was wider than the field.")
        for partial, told in ((True, 0), (False, 1)):
            found = result(domain, partial=partial, notes=notes)
            logic.arrives(Outcome(volume.GetID(), "", {}, "Unusual. Check every slice.", "a" * 32, found))
            told_texts = panel.ui.outcomeLabel.text + panel.ui.detailsLabel.text
            assert told_texts.count("wider than the field") == told
            assert "Check every slice" not in told_texts

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
        from SemGANLib.Panel.Plot import LEFT, RIGHT

        logic.choices.volume = volume
        with_result()
        unfold(panel.ui.detailsSection)
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
        unfold(panel.ui.detailsSection)
        click(panel.ui.reportButton)
        assert logic.asked == [("fetch_report", "CT abdomen", "/somewhere/report.html")]
