"""The user's choices are kept in the scene."""

from __future__ import annotations

from SemGANLib.Scene.Parameters import Parameters

from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.session import Session


def test_choices_change_only_when_they_change(scene):
    choices = Parameters(scene)
    heard: list[int] = []
    choices.changed.connect(lambda: heard.append(1))
    choices.model = "a"
    choices.model = "a"
    assert len(heard) == 1
    volume = add_scan(scene)
    choices.volume = volume
    count = len(heard)
    choices.volume = volume
    assert len(heard) == count
    choices.close()
    choices.model = "b"
    assert len(heard) == count


def test_fresh_choices(scene):
    choices = Parameters(scene)
    assert choices.volume is None and choices.segmentation is None and choices.model == ""
    assert choices.slice_range_mm is None and choices.labels is None and choices.steps is None and choices.maps
    choices.close()


def test_choices_can_be_taken_back(scene):
    choices = Parameters(scene)
    choices.volume, choices.labels, choices.slice_range_mm, choices.steps = add_scan(scene), ("liver",), (1, 2), 5
    choices.volume = choices.labels = choices.slice_range_mm = choices.steps = None
    assert choices.volume is None and choices.labels is None
    assert choices.slice_range_mm is None and choices.steps is None
    choices.close()


def test_choices_that_somebody_has_broken_count_as_none(scene):
    choices = Parameters(scene)
    for name in ("SliceRange", "Labels", "Steps"):
        choices.node.SetParameter(name, "{broken")
    assert choices.slice_range_mm is None and choices.labels is None and choices.steps is None
    choices.close()


def test_choices_after_the_scene_was_closed_are_fresh(scene):
    session = Session(scene)
    session.logic.choices.model = "a"
    session.logic.choices.volume = add_scan(scene)
    scene.Clear(False)
    assert session.logic.choices.model == "" and session.logic.choices.volume is None
    heard: list[int] = []
    session.logic.choices.changed.connect(lambda: heard.append(1))
    session.logic.choices.model = "b"
    assert heard
