"""The list of corrections lives in the scene: it is bounded, survives saving and loading, and goes back and forth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from SemGANLib.Scene import CorrectionHistory as Histories
from SemGANLib.Scene import LabelChange
from SemGANLib.Scene.CorrectionHistory import CorrectionHistory, Step
from SemGANLib.Scene.VolumeExport import voxels

from tests.slicer_extension.nodes import imported, label_of
from tests.slicer_extension.scans import GRIDS, add_scan
from tests.slicer_extension.scene.test_saved_scenes import FORMATS, load, node_named, save


def labels(volume: Any, count: int) -> list[np.ndarray]:
    """Make label maps that differ from one another in some voxels."""
    random, found = np.random.default_rng(7), [label_of(volume)]
    for _ in range(count):
        label = found[-1].copy()
        label[random.random(label.shape) < 0.02] = random.choice([0, 1, 2, 4])
        found.append(label)
    return found


def filled(volume: Any, states: list[np.ndarray]) -> tuple[CorrectionHistory, Any]:
    """Make a history of states."""
    node, _ = imported(volume, states[0])
    history = CorrectionHistory.begin(node, volume, states[0], "root")
    for number, label in enumerate(states[1:], 1):
        step = Step(0, 1000.0 + number, f"liver: “{number}” & <more>", "", "root", number)
        history.add(step, LabelChange.between(history.label, label))
    return history, node


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 9999), part=st.sampled_from([0.0, 0.001, 0.3, 1.0]))
def test_a_change_leads_from_one_label_to_the_other_and_back(seed, part):
    random = np.random.default_rng(seed)
    before = random.integers(0, 5, (3, 4, 5), dtype=np.uint8)
    after = np.where(random.random(before.shape) < part, random.integers(0, 5, before.shape), before).astype(np.uint8)
    change = LabelChange.between(before, after)
    np.testing.assert_array_equal(LabelChange.applied(before, change), after)
    np.testing.assert_array_equal(LabelChange.applied(after, change, backwards=True), before)


def test_a_damaged_change_is_an_error_in_words():
    with pytest.raises(ValueError, match="."):
        LabelChange.unpacked(b"nonsense")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("grid", GRIDS)
def test_the_history_of_a_loaded_scene_is_as_it_was(scene, tmp_path, grid, kind):
    volume = add_scan(scene, grid)
    states = labels(volume, 4)
    history, _ = filled(volume, states)
    history.undo()
    steps = list(history.steps)
    scan = voxels(volume).copy()
    load(scene, save(scene, tmp_path, kind))

    volume, node = node_named(scene, "CT"), node_named(scene, "organs")
    turned = not np.array_equal(voxels(volume), scan)  # Slicer's readers turn left-handed slices round
    wanted = [state[::-1] if turned else state for state in states]
    history = CorrectionHistory.find(node, volume)
    assert history is not None and history.steps == steps and history.current == steps[2]
    np.testing.assert_array_equal(history.label, wanted[3])
    history.redo()
    np.testing.assert_array_equal(history.label, wanted[4])
    assert not history.can_redo
    for number in (3, 2, 1, 0):
        history.undo()
        np.testing.assert_array_equal(history.label, wanted[number])
    assert not history.can_undo
    again = CorrectionHistory.find(node, volume)
    assert again is not None and again.steps == steps
    np.testing.assert_array_equal(again.label, wanted[0])


def test_a_correction_after_undo_takes_the_place_of_what_was_undone(scene):
    volume = add_scan(scene)
    states = labels(volume, 3)
    history, node = filled(volume, states[:3])
    history.go_to(1)
    history.add(Step(0), LabelChange.between(states[1], states[3]))
    assert [step.number for step in history.steps] == [1, 3], "a number never means another correction"
    np.testing.assert_array_equal(history.label, states[3])
    again = CorrectionHistory.find(node, volume)
    assert again is not None and again.steps == history.steps


@pytest.mark.parametrize(("name", "value"), [("MOST_STEPS", 3), ("MOST_BYTES", 1900)])
def test_the_oldest_go_where_there_are_too_many_or_too_large_ones(scene, monkeypatch, name, value):
    monkeypatch.setattr(Histories, name, value)
    volume = add_scan(scene)
    states = labels(volume, 9)
    history, node = filled(volume, states)
    assert 1 <= len(history.steps) <= 3 and history.steps[-1].number == 9
    for found in (history, CorrectionHistory.find(node, volume)):
        assert found is not None
        np.testing.assert_array_equal(found.label, states[9])
        while found.can_undo:
            found.undo()
            np.testing.assert_array_equal(found.label, states[found.current.number])
        assert found.current.number == 9 - len(found.steps)
        found.go_to(9)


def test_fifty_corrections_of_a_large_scan_take_little_of_a_saved_scene(scene, tmp_path):
    volume = add_scan(scene, shape=(160, 160, 90))
    node, _ = imported(volume)
    history = CorrectionHistory.begin(node, volume, label_of(volume), "root")
    for number in range(50):
        label = history.label.copy()
        label[number : number + 11, 40:80, 40 + number : 80 + number] = number % 2 * 4
        history.add(Step(0), LabelChange.between(history.label, label))
    path = save(scene, tmp_path, "folder")
    assert path.stat().st_size < 2_000_000
    assert sum(map(len, history._changes.values())) < Histories.MOST_BYTES


def test_a_history_goes_with_its_segmentation_and_a_damaged_one_is_none(scene):
    volume = add_scan(scene)
    history, node = filled(volume, labels(volume, 2))
    other, _ = imported(volume)
    assert CorrectionHistory.find(other, volume) is None
    history._node.SetParameter("Base", "AAAA")
    assert CorrectionHistory.find(node, volume) is None
    scene.RemoveNode(node)
    CorrectionHistory.begin(other, volume, label_of(volume), "")
    nodes = scene.GetNodesByClass("vtkMRMLScriptedModuleNode")
    nodes.UnRegister(None)
    modules = [nodes.GetItemAsObject(n).GetModuleName() for n in range(nodes.GetNumberOfItems())]
    assert modules.count(Histories.MODULE) == 1, "that of a segmentation that is gone goes with the next one"
