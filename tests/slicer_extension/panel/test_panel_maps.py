"""Maps over the scan and the comparison, on real view nodes; the user's own views come back."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.Views import Outcome

from tests.slicer_extension.panel.conftest import add_volume
from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.panel.qt_actions import click, key, settle, shown, unfold

VIEWS = ("SemGANScan", "SemGANReconstruction", "SemGANUncertainty")


@pytest.fixture
def outcome(logic: FakeLogic, panel: SimpleNamespace, volume: Any, with_result: Callable[..., Outcome]) -> Outcome:
    """A result of the chosen volume; the user has an atlas over the scan."""
    import slicer

    atlas = add_volume("atlas")
    slicer.util.setSliceViewerLayers(background=volume, foreground=atlas, foregroundOpacity=0.2)
    logic.choices.volume = volume
    unfold(panel.ui.detailsSection)
    return with_result()


def composite(scene: Any, name: str) -> Any:
    """Find what a slice view shows."""
    return scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{name}")


def names_in(scene: Any, name: str) -> tuple[str, str]:
    """Name background and foreground of a view."""
    view = composite(scene, name)
    ids = (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID())
    return tuple(scene.GetNodeByID(one).GetName() if one else "" for one in ids)  # type: ignore[return-value]


def choose(panel: SimpleNamespace, index: int) -> None:
    """Choose a map: 0 none, then reconstruction, residual, uncertainty."""
    panel.ui.mapComboBox.setCurrentIndex(index)
    settle()


def test_there_is_nothing_to_choose_without_maps(panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
    logic.choices.volume = volume
    assert not shown(panel.ui.mapsArea)


def test_a_map_lies_over_the_scan_and_is_mixed_by_the_slider(
    panel: SimpleNamespace, scene: Any, outcome: Outcome
) -> None:
    choose(panel, 3)
    for name in ("Red", "Green", "Yellow"):
        assert names_in(scene, name) == ("CT abdomen", "CT abdomen uncertainty")
        assert composite(scene, name).GetForegroundOpacity() == pytest.approx(0.5)
    panel.ui.blendSlider.value = 80
    assert composite(scene, "Red").GetForegroundOpacity() == pytest.approx(0.8)
    choose(panel, 1)
    assert names_in(scene, "Red") == ("CT abdomen", "CT abdomen reconstruction")


def test_what_the_user_had_over_the_scan_comes_back(panel: SimpleNamespace, scene: Any, outcome: Outcome) -> None:
    choose(panel, 2)
    choose(panel, 3)
    choose(panel, 0)
    assert names_in(scene, "Red") == ("CT abdomen", "atlas")
    assert composite(scene, "Red").GetForegroundOpacity() == pytest.approx(0.2)


def test_another_scan_in_a_view_comes_back_too(panel: SimpleNamespace, scene: Any, outcome: Outcome) -> None:
    composite(scene, "Green").SetBackgroundVolumeID(add_volume("MR").GetID())
    choose(panel, 3)
    assert names_in(scene, "Green") == ("CT abdomen", "CT abdomen uncertainty")
    choose(panel, 0)
    assert names_in(scene, "Green") == ("MR", "atlas") and names_in(scene, "Red") == ("CT abdomen", "atlas")


def test_what_the_user_changed_meanwhile_stays(panel: SimpleNamespace, scene: Any, outcome: Outcome) -> None:
    choose(panel, 2)
    composite(scene, "Green").SetForegroundVolumeID(None)
    choose(panel, 0)
    assert names_in(scene, "Green") == ("CT abdomen", "") and names_in(scene, "Red") == ("CT abdomen", "atlas")


def test_another_table_of_colours(panel: SimpleNamespace, scene: Any, outcome: Outcome) -> None:
    choose(panel, 3)
    display = scene.GetNodeByID(outcome.maps["uncertainty"]).GetDisplayNode()
    assert panel.ui.colourSelector.currentNodeID == display.GetColorNodeID()
    panel.ui.colourSelector.setCurrentNodeID("vtkMRMLColorTableNodeIron")
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeIron"
    choose(panel, 2)  # the other map keeps its own
    assert scene.GetNodeByID(outcome.maps["residual"]).GetDisplayNode().GetColorNodeID() != "vtkMRMLColorTableNodeIron"


def test_a_map_that_is_deleted_is_no_longer_offered(
    panel: SimpleNamespace, logic: FakeLogic, scene: Any, outcome: Outcome
) -> None:
    scene.RemoveNode(scene.GetNodeByID(outcome.maps["residual"]))
    logic.outcome_changed.emit(outcome)
    assert panel.ui.mapComboBox.count == 3


class TestComparison:
    def test_three_linked_views_with_the_window_of_the_modality(
        self, panel: SimpleNamespace, scene: Any, volume: Any, outcome: Outcome
    ) -> None:
        click(panel.ui.compareButton)
        expected = [("CT abdomen", ""), ("CT abdomen reconstruction", ""), ("CT abdomen", "CT abdomen uncertainty")]
        assert [names_in(scene, name) for name in VIEWS] == expected
        assert all(composite(scene, name).GetLinkedControl() for name in VIEWS)
        for node in (volume, scene.GetNodeByID(outcome.maps["reconstruction"])):
            display = node.GetDisplayNode()
            assert (display.GetWindow(), display.GetLevel()) == (350, 40)

    def test_the_users_layout_views_and_window_come_back(
        self, panel: SimpleNamespace, application: Any, scene: Any, volume: Any, outcome: Outcome
    ) -> None:
        manager = application.layoutManager()
        manager.setLayout(manager.node.SlicerLayoutOneUpRedSliceView)
        volume.GetDisplayNode().AutoWindowLevelOff()
        volume.GetDisplayNode().SetWindowLevel(1500, -600)
        click(panel.ui.compareButton)
        assert panel.ui.compareButton.checked and manager.layout == 5706
        click(panel.ui.compareButton)
        assert not panel.ui.compareButton.checked
        assert manager.layout == manager.node.SlicerLayoutOneUpRedSliceView
        assert (volume.GetDisplayNode().GetWindow(), volume.GetDisplayNode().GetLevel()) == (1500, -600)
        assert names_in(scene, "Red") == ("CT abdomen", "atlas")

    def test_a_new_result_is_compared_as_it_comes(
        self, panel: SimpleNamespace, scene: Any, outcome: Outcome, with_result: Callable[..., Outcome]
    ) -> None:
        click(panel.ui.compareButton)
        maps = with_result().maps
        assert composite(scene, "SemGANReconstruction").GetBackgroundVolumeID() == maps["reconstruction"]
        assert composite(scene, "SemGANUncertainty").GetForegroundVolumeID() == maps["uncertainty"]
        assert maps["uncertainty"] != outcome.maps["uncertainty"]

    def test_a_layout_that_the_user_chooses_ends_it(
        self, panel: SimpleNamespace, application: Any, volume: Any, outcome: Outcome
    ) -> None:
        before = volume.GetDisplayNode().GetAutoWindowLevel()
        click(panel.ui.compareButton)
        application.layoutManager().setLayout(4)
        settle()
        assert not panel.ui.compareButton.checked
        assert volume.GetDisplayNode().GetAutoWindowLevel() == before

    def test_leaving_the_module_ends_it(self, panel: SimpleNamespace, application: Any, outcome: Outcome) -> None:
        before = application.layoutManager().layout
        key(panel.widget, "Ctrl+Shift+L")
        assert application.layoutManager().layout == 5706
        panel.panel.leave()
        assert application.layoutManager().layout == before

    def test_a_closed_scene_ends_it(
        self, panel: SimpleNamespace, logic: FakeLogic, application: Any, scene: Any, outcome: Outcome
    ) -> None:
        click(panel.ui.compareButton)
        logic.outcomes.clear()
        scene.Clear(0)
        logic.choices.volume = None
        settle()
        assert application.layoutManager().layout != 5706
        assert not panel.ui.compareButton.checked and not shown(panel.ui.mapsArea)
