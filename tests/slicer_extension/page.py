"""A page in a browser that shows what the extension has brought into a scene: trame-slicer stands in for 3D Slicer.

    PYTHONPATH=slicer_extension/SemGAN python -m tests.slicer_extension.page SERVER KEY SCAN

Segments the scan with the server, shows it with its segments, and prints one line of JSON with the page's port and
where the organs are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from SemGANLib.Scene import Geometry, SegmentationExport
from trame.app import get_server
from trame.ui.vuetify3 import VAppLayout
from trame.widgets.vuetify3 import VMain
from trame_slicer import module
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.views import Layout, LayoutDirection, ViewLayoutDefinition

from tests.slicer_extension.nodes import load
from tests.slicer_extension.session import Session

SECONDS = 300.0


def main(address: str, key: str, path: str) -> None:
    """Segment, then serve the page until the process is ended."""
    application = SlicerApp()
    volume = load(application.scene, Path(path))
    volume.CreateDefaultDisplayNodes()
    session = Session(application.scene)
    session.connect(address, key)
    session.logic.preview(volume)
    run = session.finish(volume, SECONDS)
    assert run.phase == "done", run.text
    outcome = session.logic.outcome(volume)
    assert outcome is not None
    node = application.scene.GetNodeByID(outcome.segmentation_id)
    label = SegmentationExport.snapshot(node, volume).merged()
    session.logic.show_surfaces(volume, True)
    server = get_server(client_type="vue3")
    place = build(server, application, volume, node, label)
    facts = {"place": place, "notes": list(outcome.notes), "volumes_ml": dict(outcome.result.volumes_ml)}
    server.controller.on_server_ready.add(lambda **_: tell({"port": server.port, **facts}))
    server.start(port=0, host="127.0.0.1", open_browser=False, show_connection_info=False)


def tell(facts: dict[str, Any]) -> None:
    """Write one line of JSON for whoever started this."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def build(server: Any, application: SlicerApp, volume: Any, node: Any, label: np.ndarray) -> list[float]:
    """Build the page: an axial slice through liver and spleen, and the surfaces beside it.

    Returns:
        RAS mm that the slice goes through.
    """
    server.enable_module(module)
    register_rca_factories(application.view_manager, server, rca_encoder="png")
    layouts = LayoutManager(application.scene, application.view_manager, server)
    views = [ViewLayoutDefinition.axial_view(), ViewLayoutDefinition.threed_view()]
    layouts.register_layout("page", Layout(LayoutDirection.Horizontal, views))
    layouts.set_layout("page")
    with VAppLayout(server) as page, VMain(style="height: 100vh"):
        layouts.initialize_layout_grid(page)
    application.display_manager.show_volume_in_slice_background(volume)
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevelMinMax(-160, 240)
    node.GetDisplayNode().SetOpacity2DFill(1.0)  # so that colours on the screen are those of the segments
    application.display_manager.reset_views()
    place = slice_of_both(label, Geometry.ijk_to_ras(volume))
    slice_node = application.scene.GetFirstNodeByClass("vtkMRMLSliceNode")
    slice_node.JumpSliceByOffsetting(*place)
    return place


def slice_of_both(label: np.ndarray, affine: np.ndarray) -> list[float]:
    """Find the middle, in RAS mm, of the slice with most of both liver (1) and spleen (4)."""
    axis = int(np.argmax(np.abs(affine[2, :3])))  # of i, j, k: the one that goes up
    others = tuple(other for other in range(3) if other != 2 - axis)
    both = np.minimum((label == 1).sum(axis=others), (label == 4).sum(axis=others))
    index = (np.array(label.shape[::-1]) - 1) / 2
    index[axis] = int(np.argmax(both))
    return [float(value) for value in affine[:3, :3] @ index + affine[:3, 3]]


if __name__ == "__main__":
    main(*sys.argv[1:])
