"""What the user has done is there again after the scene was saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from SemGANLib.Scene import Geometry, SegmentationExport, VolumeExport
from SemGANLib.Scene.SegmentationImport import segment_ids

from tests.slicer_extension.nodes import (
    expected,
    merged,
    paint,
    previewed,
)
from tests.slicer_extension.scans import LEFT_HANDED, add_scan
from tests.slicer_extension.session import Session

FORMATS = ("folder", "mrb")


def save(scene: Any, folder: Path, kind: str) -> Path:
    """Write the scene with all its data as Slicer does.

    Args:
        kind: `"folder"` with a .mrml file, or `"mrb"` (all in one file).
    """
    import slicer

    logic = slicer.vtkMRMLApplicationLogic()
    logic.SetMRMLScene(scene)
    if kind == "mrb":
        assert scene.WriteToMRB(str(folder / "saved.mrb"), None)
        return folder / "saved.mrb"
    (folder / "saved").mkdir()
    assert logic.SaveSceneToSlicerDataBundleDirectory(str(folder / "saved"))
    return next((folder / "saved").glob("*.mrml"))


def load(scene: Any, path: Path) -> None:
    """Close the scene and open the saved one."""
    import slicer

    scene.Clear(False)
    if path.suffix == ".mrb":
        (path.parent / "unpacked").mkdir()
        logic = slicer.vtkMRMLApplicationLogic()
        logic.SetMRMLScene(scene)
        assert logic.OpenSlicerDataBundle(str(path), str(path.parent / "unpacked"))
    else:
        scene.SetURL(str(path))
        assert scene.Connect()


def node_named(scene: Any, name: str) -> Any:
    """Find the node of a name."""
    node = scene.GetFirstNodeByName(name)
    assert node is not None, f"{name} is not there"
    return node


@pytest.mark.parametrize("kind", FORMATS)
def test_choices_results_and_edits_survive_save_and_load(scene, server, tmp_path, kind):
    session = Session(scene)
    session.connect(server.address)
    first, second = add_scan(scene, "oblique", "first"), add_scan(scene, "axial", "second")
    for volume in (first, second):
        session.refine(volume)
    node = scene.GetNodeByID(session.logic.outcome(second).segmentation_id)
    paint(node, second, "spleen", np.zeros((16, 28, 40)))
    before = {volume.GetName(): session.logic.outcome(volume) for volume in (first, second)}
    choices = session.logic.choices
    choices.volume, choices.labels, choices.slice_range_mm = second, ("liver",), (-1.5, 40.0)
    choices.steps, choices.maps, choices.model = 12, False, "semgan_abdomen"
    path = save(scene, tmp_path, kind)
    session.close()

    session = Session(scene)
    load(scene, path)
    session.settle()

    choices = session.logic.choices
    assert choices.volume is node_named(scene, "second")
    assert (choices.labels, choices.slice_range_mm, choices.steps) == (("liver",), (-1.5, 40.0), 12)
    assert not choices.maps and choices.model == "semgan_abdomen"
    for name, edited in (("first", False), ("second", True)):
        volume = node_named(scene, name)
        outcome = session.logic.outcome(volume)
        assert outcome.result == before[name].result and outcome.job == before[name].job
        assert set(outcome.maps) == {"reconstruction", "residual", "uncertainty"}
        assert outcome.result.model.sha256 == "ab" * 32 and outcome.result.mode == "refine"
        assert session.logic.edited(volume) is edited
        found = scene.GetNodeByID(outcome.segmentation_id)
        label = SegmentationExport.snapshot(found, volume).merged()
        wanted = np.where(np.abs(VolumeExport.voxels(volume) - 110) < 1, 1, 0)
        np.testing.assert_array_equal(label == 1, wanted == 1)
        assert (label == 4).any() is np.bool_(not edited)
        rows = {row.name: row for row in session.logic.organ_volumes(volume)}
        assert rows["liver"].measured_ml == pytest.approx(rows["liver"].server_ml, rel=1e-6)
        chart = scene.GetNodeByID(outcome.maps["residual"])
        np.testing.assert_allclose(Geometry.ijk_to_ras(chart), Geometry.ijk_to_ras(volume), atol=1e-4)
    assert len(session.logic.slice_values(node_named(scene, "first"))) == 16
    volume = node_named(scene, "first")
    paint(scene.GetNodeByID(session.logic.outcome(volume).segmentation_id), volume, "liver", np.ones((16, 28, 40)))
    assert session.logic.edited(volume), "edits after loading are noticed as well"


@pytest.mark.parametrize("kind", LEFT_HANDED)
def test_left_handed_scans_of_a_loaded_scene_are_as_they_were(scene, server, tmp_path, kind):
    session = Session(scene)
    session.connect(server.address)
    volume = add_scan(scene, kind)  # as a script may make it; Slicer turns its slices round on loading
    session.preview(volume)
    path = save(scene, tmp_path, "folder")
    session.close()
    session = Session(scene)
    load(scene, path)
    session.settle()
    volume = node_named(scene, "CT")
    assert np.linalg.det(Geometry.ijk_to_ras(volume)[:3, :3]) > 0
    np.testing.assert_array_equal(merged(session, volume), expected(volume))
    assert not session.logic.edited(volume)


def test_an_edited_label_of_a_loaded_scene_is_submitted_as_edited(scene, server, tmp_path):
    session, volume = previewed(scene, server)
    path = save(scene, tmp_path, "folder")
    session.close()
    session = Session(scene)
    session.connect(server.address)
    load(scene, path)
    volume = node_named(scene, "CT")
    session.logic.submit(volume, "me")
    session.settle()
    assert [params["edited"] for params, _ in server.labels.values()] == [False]
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    paint(node, volume, segment_ids(node)[0], np.ones((16, 28, 40)))
    session.logic.submit(volume, "me")
    session.settle()
    assert [params["edited"] for params, _ in server.labels.values()] == [True]


def test_a_loaded_scene_can_be_worked_on(scene, server, tmp_path):
    session, volume = previewed(scene, server)
    path = save(scene, tmp_path, "folder")
    load(scene, path)
    volume = node_named(scene, "CT")
    kept = session.logic.outcome(volume).segmentation_id
    assert session.refine(volume).phase == "done"
    assert session.logic.outcome(volume).segmentation_id != kept
    assert segment_ids(scene.GetNodeByID(kept)), "what was loaded is not touched"


def test_the_panel_hears_of_loaded_choices_and_results(scene, server, tmp_path):
    session, volume = previewed(scene, server)
    path = save(scene, tmp_path, "folder")
    heard: list[str] = []
    session.logic.choices.changed.connect(lambda: heard.append("choices"))
    session.logic.outcome_changed.connect(lambda outcome: heard.append(outcome.job))
    load(scene, path)
    assert "choices" in heard and heard[-1] == next(iter(server.jobs))
