"""Points, lassos and boxes that are placed in the views, on Slicer's own markups; no mouse but their points."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.Protocols.CorrectionProtocol import CorrectionChoices

from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.panel.qt_actions import click, settle

HOW = CorrectionChoices(25.0, False)


@pytest.fixture
def mode(scene: Any) -> Any:
    """What the mouse does in Slicer's views."""
    return scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")


def placing(scene: Any) -> Any:
    """The markup that Slicer would add the next click to; None if it adds it to none."""
    mode = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    if mode.GetCurrentInteractionMode() != mode.Place:
        return None
    return scene.GetNodeByID(scene.GetNodeByID("vtkMRMLSelectionNodeSingleton").GetActivePlaceNodeID())


def place(scene: Any, *points: tuple[float, float, float]) -> None:
    """Click, as Slicer's markups do."""
    node = placing(scene)
    for point in points:
        node.AddControlPointWorld(point)
    settle()


def prompts(logic: FakeLogic) -> list[tuple[Any, ...]]:
    """List what was sent."""
    return [asked for asked in logic.asked if asked[0] == "add_prompt"]


def markups(scene: Any) -> int:
    """Count the markups of the scene."""
    return int(scene.GetNumberOfNodesByClass("vtkMRMLMarkupsNode"))


def test_every_click_is_a_point(correcting: SimpleNamespace, logic: FakeLogic, scene: Any) -> None:
    click(correcting.ui.pointButton)
    place(scene, (3.0, 4.0, 5.0))
    place(scene, (6.0, 7.0, 5.0))
    assert prompts(logic) == [("add_prompt", "point", True, "s1", HOW)] * 2
    assert logic.corrections.shapes == [[(3.0, 4.0, 5.0)], [(6.0, 7.0, 5.0)]]
    assert correcting.ui.pointButton.checked and placing(scene) is not None, "and the next one can be placed"


def test_a_point_that_does_not_belong_to_it_says_so(correcting: SimpleNamespace, logic: FakeLogic, scene: Any) -> None:
    click(correcting.ui.pointButton)
    click(correcting.ui.negativeButton)
    correcting.ui.correctStructureComboBox.setCurrentIndex(2)
    place(scene, (3.0, 4.0, 5.0))
    assert prompts(logic) == [("add_prompt", "point", False, "s3", HOW)]


def test_a_box_is_two_corners(correcting: SimpleNamespace, logic: FakeLogic, scene: Any) -> None:
    click(correcting.ui.boxButton)
    place(scene, (3.0, 4.0, 5.0))
    assert not prompts(logic)
    place(scene, (9.0, 8.0, 5.0))
    assert [asked[1] for asked in prompts(logic)] == ["box"]
    assert logic.corrections.shapes == [[(3.0, 4.0, 5.0), (9.0, 8.0, 5.0)]]


def test_a_lasso_ends_when_the_curve_is_closed(
    correcting: SimpleNamespace, logic: FakeLogic, scene: Any, mode: Any
) -> None:
    click(correcting.ui.lassoButton)
    place(scene, (0.0, 0.0, 5.0), (9.0, 0.0, 5.0), (9.0, 9.0, 5.0))
    assert not prompts(logic)
    mode.SetCurrentInteractionMode(mode.ViewTransform)  # a double click or a right click does so
    settle()
    assert [asked[1] for asked in prompts(logic)] == ["lasso"] and len(logic.corrections.shapes[0]) == 3
    assert correcting.ui.lassoButton.checked and placing(scene) is not None, "and the next one can be drawn"


@pytest.mark.parametrize("name", ["point", "lasso", "box"])
def test_escape_puts_the_tool_away_and_sends_nothing(
    correcting: SimpleNamespace, logic: FakeLogic, scene: Any, mode: Any, name: str
) -> None:
    before = markups(scene)
    click(getattr(correcting.ui, f"{name}Button"))
    if name != "point":
        place(scene, (0.0, 0.0, 5.0))
    mode.SetCurrentInteractionMode(mode.ViewTransform)
    settle()
    assert not prompts(logic) and not getattr(correcting.ui, f"{name}Button").checked
    assert markups(scene) == before


def test_nothing_is_left_in_the_scene_and_nothing_of_it_is_saved(
    correcting: SimpleNamespace, scene: Any, mode: Any
) -> None:
    before = markups(scene)
    click(correcting.ui.pointButton)
    assert not placing(scene).GetSaveWithScene() and placing(scene).GetHideFromEditors()
    place(scene, (3.0, 4.0, 5.0))
    click(correcting.ui.pointButton)
    assert markups(scene) == before and mode.GetCurrentInteractionMode() == mode.ViewTransform


def test_slicer_keeps_the_markup_until_it_is_done_with_the_click(
    correcting: SimpleNamespace, logic: FakeLogic, scene: Any
) -> None:
    click(correcting.ui.pointButton)
    node = placing(scene)
    node.AddControlPointWorld((3.0, 4.0, 5.0))
    assert node.GetScene() is scene and not prompts(logic), "its own code goes on with it"
    settle()
    assert node.GetScene() is None and len(prompts(logic)) == 1


def test_leaving_the_module_gives_the_mouse_back(correcting: SimpleNamespace, scene: Any) -> None:
    click(correcting.ui.boxButton)
    correcting.panel.leave()
    assert placing(scene) is None and not correcting.ui.boxButton.checked


def test_a_scene_that_is_closed_in_the_middle_of_a_lasso_does_no_harm(
    correcting: SimpleNamespace, logic: FakeLogic, scene: Any
) -> None:
    click(correcting.ui.lassoButton)
    place(scene, (0.0, 0.0, 5.0))
    logic.outcomes.clear()
    scene.Clear(0)
    settle()
    assert not prompts(logic) and not correcting.ui.lassoButton.checked


def test_an_answer_that_comes_while_a_lasso_is_drawn_does_not_disturb_it(
    correcting: SimpleNamespace, scene: Any, logic: FakeLogic
) -> None:
    click(correcting.ui.lassoButton)
    place(scene, (0.0, 0.0, 5.0))
    node = placing(scene)
    logic.corrections.stands(busy=True, waiting=1, text="Correction 1: 4 of 11 slices")
    logic.arrives(logic.outcomes[correcting.ui.inputSelector.currentNodeID])
    assert placing(scene) is node and node.GetNumberOfControlPoints() == 1
