"""Scans of both hands, in the files that servers and disks have: opened, segmented, edited and submitted in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from SemGANLib.Scene import Geometry, VolumeExport
from SemGANLib.Server.Nrrd import Grid, decode

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.nodes import add_transform, expected, load, merged, paint
from tests.slicer_extension.scan_files import SUFFIXES, file_of, phantom
from tests.slicer_extension.scans import GRIDS, LEFT_HANDED
from tests.slicer_extension.server_answers import segment
from tests.slicer_extension.session import Session


def store(server: FakeServer, monkeypatch: pytest.MonkeyPatch, grid: Grid, suffix: str) -> None:
    """Put a scan into the datastore as `case`; its jobs read it in the order of the file, as the real server does."""
    server.images["case"] = (suffix, file_of(grid, suffix))
    uploaded = server._source
    monkeypatch.setattr(server, "_source", lambda request: grid if "image" in request else uploaded(request))


def opened(session: Session) -> Any:
    """Open the scan of the datastore."""
    session.logic.open_image("case")
    session.settle()
    assert session.opened, session.messages
    return session.opened[-1]


def in_order_of(grid: Grid, array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Bring an array that has the same points into the order of a grid."""
    found = Geometry.same_points(grid.affine, grid.array.shape[::-1], affine, array.shape[::-1])
    assert found is not None, "on other points"
    return found.reordered(array)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", GRIDS)
def test_a_scan_of_the_server_is_segmented_where_it_lies(session, scene, server, monkeypatch, kind, suffix):
    grid = phantom(kind)
    store(server, monkeypatch, grid, suffix)
    volume = opened(session)
    np.testing.assert_array_equal(
        in_order_of(grid, VolumeExport.voxels(volume), Geometry.ijk_to_ras(volume)), grid.array
    )
    session.logic.choices.steps = 3
    assert session.refine(volume).phase == "done", session.messages
    np.testing.assert_array_equal(merged(session, volume), expected(volume))
    outcome = session.logic.outcome(volume)
    charted = scene.GetNodeByID(outcome.maps["reconstruction"])
    np.testing.assert_array_equal(VolumeExport.voxels(charted), VolumeExport.voxels(volume))
    np.testing.assert_array_equal(Geometry.ijk_to_ras(charted), Geometry.ijk_to_ras(volume))
    assert not server.asked("POST", "/semgan/uploads")
    for row in session.logic.organ_volumes(volume):
        assert row.measured_ml == pytest.approx(row.server_ml)
    low, high = session.logic.slice_bounds(volume)
    assert (low, high) == pytest.approx(Geometry.slice_positions(grid.affine, grid.array.shape[::-1], (0, 0, 1)))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", LEFT_HANDED)
def test_slicer_has_turned_the_slices_round(session, scene, server, monkeypatch, kind, suffix):
    grid = phantom(kind)
    store(server, monkeypatch, grid, suffix)
    volume = opened(session)
    assert np.linalg.det(Geometry.ijk_to_ras(volume)[:3, :3]) > 0 > np.linalg.det(grid.affine[:3, :3])


@pytest.mark.parametrize("kind", GRIDS)
def test_an_edited_label_reaches_the_points_that_were_painted(session, scene, server, monkeypatch, kind):
    grid = phantom(kind)
    store(server, monkeypatch, grid, ".nii.gz")
    volume = opened(session)
    session.preview(volume)
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    painted = np.zeros(VolumeExport.voxels(volume).shape, bool)
    painted[2:5, 4:9, 6:20] = True
    paint(node, volume, "spleen", painted)
    session.logic.submit(volume, "me")
    session.settle()
    ((image, _tag), (params, data)) = next(iter(server.labels.items()))
    assert image == "case" and params["edited"] is True
    stored = decode(data)
    wanted = segment(grid.array)
    wanted[wanted == 4] = 0
    wanted[in_order_of(grid, painted, Geometry.ijk_to_ras(volume))] = 4
    np.testing.assert_array_equal(in_order_of(grid, stored.array, stored.affine), wanted)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", GRIDS)
def test_a_scan_from_the_disk_is_sent_and_submitted_where_it_lies(session, scene, server, tmp_path, kind, suffix):
    grid = phantom(kind)
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(file_of(grid, suffix))
    volume = load(scene, path)
    assert session.preview(volume).phase == "done", session.messages
    np.testing.assert_array_equal(merged(session, volume), expected(volume))
    session.logic.submit(volume, "me")
    session.settle()
    ((_suffix, scan),) = server.images.values()
    ((_params, label),) = server.labels.values()
    for data, array in ((scan, grid.array), (label, segment(grid.array))):
        sent = decode(data)
        np.testing.assert_array_equal(in_order_of(grid, sent.array, sent.affine), array)


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("kind", ["axial", "LAS"])
def test_a_scan_under_a_transform_is_segmented_where_it_was_moved(session, scene, server, monkeypatch, kind, mirror):
    store(server, monkeypatch, phantom(kind), ".nii.gz")
    volume = opened(session)
    matrix = np.diag([mirror, 1.0, 1.0, 1.0])
    matrix[:3, 3] = (0.0, 30.0, 400.0)
    volume.SetAndObserveTransformNodeID(add_transform(scene, matrix).GetID())
    assert session.preview(volume).phase == "done", session.messages
    assert server.asked("POST", "/semgan/uploads"), "the server has it elsewhere"
    np.testing.assert_array_equal(merged(session, volume), expected(volume))


@pytest.mark.parametrize("hardened", [False, True])
@pytest.mark.parametrize("kind", ["oblique", "LAS", "PSR"])
def test_a_label_goes_to_the_servers_image_wherever_the_scan_was_moved(
    session, scene, server, monkeypatch, kind, hardened
):
    grid = phantom(kind)
    store(server, monkeypatch, grid, ".nii.gz")
    volume = opened(session)
    matrix = np.eye(4)
    matrix[:3, 3] = (3.0, 4.0, 5.0)
    volume.SetAndObserveTransformNodeID(add_transform(scene, matrix).GetID())
    if hardened:
        assert volume.HardenTransform()
    session.preview(volume)
    session.logic.submit(volume, "me")
    session.settle()
    ((_params, data),) = server.labels.values()
    stored = decode(data)
    np.testing.assert_array_equal(in_order_of(grid, stored.array, stored.affine), segment(grid.array))


def test_a_result_on_other_points_is_not_loaded(session, scene, server, monkeypatch):
    grid = phantom("LAS")
    store(server, monkeypatch, grid, ".nii.gz")
    volume = opened(session)
    moved = grid.affine.copy()
    moved[:3, 3] += 4.0
    monkeypatch.setattr(server, "grid_of", lambda grid: Grid(grid.array, moved))
    run = session.preview(volume)
    assert run.phase == "failed" and "another grid" in run.text
    assert session.logic.outcome(volume) is None


@pytest.mark.parametrize("mode", ["preview", "refine"])
def test_a_scan_that_the_server_places_otherwise_is_sent_instead(session, scene, server, monkeypatch, mode):
    grid = phantom("LAS")
    elsewhere = grid.affine.copy()
    elsewhere[:3, 3] += 4.0  # as by the other one of the two places that a NIfTI file may tell
    store(server, monkeypatch, grid, ".nii.gz")
    uploaded = server._source
    other = Grid(grid.array, elsewhere)
    monkeypatch.setattr(server, "_source", lambda request: other if "image" in request else uploaded(request))
    volume = opened(session)
    assert getattr(session, mode)(volume).phase == "done", session.messages
    np.testing.assert_array_equal(merged(session, volume), expected(volume))
    assert len(server.uploads) == 1 and len(server.jobs) == 2
    session.wait(lambda: all(job["state"] in ("done", "cancelled") for job in server.jobs.values()))
    assert session.preview(volume).phase == "done"
    assert len(server.jobs) == 3, "what is known is not tried again"


def test_files_of_the_tests_are_read_by_slicer_in_their_place(scene, tmp_path: Path):
    for suffix in SUFFIXES:
        grid = phantom("oblique left-handed")
        path = tmp_path / f"scan{suffix}"
        path.write_bytes(file_of(grid, suffix))
        node = load(scene, path)
        array = in_order_of(grid, VolumeExport.voxels(node), Geometry.ijk_to_ras(node))
        np.testing.assert_array_equal(array, grid.array)
