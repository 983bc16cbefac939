"""Maps lie on the scan and show what matters."""

from __future__ import annotations

import numpy as np
import pytest
from SemGANLib.Scene import Geometry, MapImport, VolumeExport

from tests.slicer_extension.scans import GRIDS, add_scan


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("part", ["reconstruction", "residual", "uncertainty"])
def test_maps_lie_on_the_scan_with_all_their_values(scene, kind, part):
    volume = add_scan(scene, kind)
    array = np.random.default_rng(0).random((16, 28, 40)).astype(np.float32)
    node = MapImport.put(part, MapImport.prepare(part, array.copy()), volume)
    np.testing.assert_array_equal(VolumeExport.voxels(node), array)
    np.testing.assert_array_equal(Geometry.ijk_to_ras(node), Geometry.ijk_to_ras(volume))
    assert node.GetName() == f"CT {part}"
    assert node.GetDisplayNode().GetColorNode() is not None


def test_the_window_of_a_map_shows_what_matters(scene):
    volume = add_scan(scene)
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevelMinMax(-160, 240)
    array = np.zeros((16, 28, 40), np.float32)
    array[4:8] = 10.0
    array[0, 0, 0] = 3000.0  # a single bad voxel
    shown = {
        part: MapImport.put(part, MapImport.prepare(part, array), volume).GetDisplayNode() for part in MapImport.COLOURS
    }
    assert shown["reconstruction"].GetWindowLevelMin() == -160 and shown["reconstruction"].GetWindowLevelMax() == 240
    assert shown["residual"].GetWindowLevelMax() == pytest.approx(10.0)
    assert shown["residual"].GetLowerThreshold() == pytest.approx(0.5)
    assert shown["uncertainty"].GetWindowLevelMax() == 1.0
    assert all(display.GetAutoWindowLevel() == 0 for display in shown.values())


def test_a_newer_map_replaces_the_voxels_and_keeps_the_users_display(scene):
    volume = add_scan(scene)
    first = MapImport.put("residual", MapImport.prepare("residual", np.ones((16, 28, 40), "f4")), volume)
    first.GetDisplayNode().SetWindowLevelMinMax(3, 4)
    second = MapImport.put("residual", MapImport.prepare("residual", np.full((16, 28, 40), 2, "f4")), volume, first)
    assert second is first and first.GetDisplayNode().GetWindowLevelMax() == 4
    assert VolumeExport.voxels(first).min() == 2


def test_a_map_that_is_read_only_is_copied(scene):
    array = np.frombuffer(np.ones(60, "f4").tobytes(), "f4").reshape(3, 4, 5)
    data = MapImport.prepare("residual", array)
    assert data.array.flags.writeable
