"""From a structure in the table to its place in the slice views, and to the Segment Editor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from SemGANLib.Scene import Geometry, OrganPlaces, SegmentationImport
from SemGANLib.Scene.Records import record_for

from tests.slicer_extension.nodes import add_transform, imported, label_of
from tests.slicer_extension.scans import GRIDS, add_scan


def with_result(scene: Any, kind: str = "axial") -> tuple[Any, Any]:
    """Add a scan with a result."""
    volume = add_scan(scene, kind)
    node, _mark = imported(volume)
    record_for(volume).segmentation = node
    return volume, node


def slice_views(scene: Any) -> list[Any]:
    """Add the three slice views."""
    import slicer

    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    views = []
    for name, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
        view = slicer.vtkMRMLSliceNode()
        view.SetName(name)
        view.SetLayoutName(name)
        scene.AddNode(view)
        view.SetOrientation(orientation)
        views.append(view)
    return views


def value_at(volume: Any, array: np.ndarray, place: Any) -> int:
    """Look up a (K, J, I) array of a volume at a place in the world."""
    i, j, k = np.round(np.linalg.solve(Geometry.ijk_to_world(volume), [*place, 1.0])[:3]).astype(int)
    return int(array[k, j, i])


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize(("organ", "number"), [("liver", 1), ("right kidney", 2), ("spleen", 4)])
def test_the_place_of_a_structure_lies_in_it(scene, kind, organ, number, moved):
    volume, node = with_result(scene, kind)
    if moved:
        matrix = np.eye(4)
        matrix[:3, 3] = (10.0, -40.0, 300.0)
        for one in (volume, node):
            one.SetAndObserveTransformNodeID(add_transform(scene, matrix).GetID())
    place = OrganPlaces.place_of(node, organ)
    assert value_at(volume, label_of(volume), place) == number


def test_all_slice_views_show_the_middle_of_a_structure(scene):
    volume, node = with_result(scene, "LAS")
    views = slice_views(scene)
    place = OrganPlaces.place_of(node, "spleen")
    assert OrganPlaces.jump_to(volume, "spleen")
    for view in views:
        matrix = Geometry.as_array(view.GetSliceToRAS())
        np.testing.assert_allclose(matrix[:3, 3], place, atol=1e-6)


def test_nothing_happens_without_such_a_structure(scene):
    volume, node = with_result(scene)
    (view, *_others) = slice_views(scene)
    before = Geometry.as_array(view.GetSliceToRAS())
    SegmentationImport.fill(node, volume, np.zeros((16, 28, 40), np.uint8), ())
    node.GetSegmentation().AddEmptySegment("own", "own")
    for organ in ("own", "liver", ""):
        assert not OrganPlaces.jump_to(volume, organ)
    assert not OrganPlaces.jump_to(add_scan(scene), "liver")
    np.testing.assert_array_equal(Geometry.as_array(view.GetSliceToRAS()), before)


class TestEditor:
    """The Segment Editor is opened with segmentation and scan."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
        """Note what the application would be told, in order."""
        import slicer
        import slicer.util

        asked: list[tuple[Any, ...]] = []
        editor = SimpleNamespace(
            setSegmentationNode=lambda node: asked.append(("segmentation", node)),
            setSourceVolumeNode=lambda node: asked.append(("source", node)),
        )
        widget = SimpleNamespace(self=lambda: SimpleNamespace(editor=editor))
        module = SimpleNamespace(widgetRepresentation=lambda: widget)
        monkeypatch.setattr(slicer, "modules", SimpleNamespace(segmenteditor=module), raising=False)
        monkeypatch.setattr(slicer.util, "selectModule", lambda name: asked.append(("module", name)), raising=False)
        return asked

    def test_the_newest_result_is_opened_on_its_scan(self, scene, asked):
        volume, node = with_result(scene)
        assert OrganPlaces.open_editor(volume)
        assert asked == [("module", "SegmentEditor"), ("segmentation", node), ("source", volume)]

    def test_a_scan_without_a_result_opens_nothing(self, scene, asked):
        assert not OrganPlaces.open_editor(add_scan(scene))
        assert asked == []
