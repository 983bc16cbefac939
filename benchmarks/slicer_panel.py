"""How long a click on Preview takes in the panel of the 3D Slicer extension, and how long the main thread is held.

    semgan serve FOLDER                                                      # prints its address
    .venv-slicer/bin/python benchmarks/slicer_panel.py http://127.0.0.1:PORT [--mode refine --steps 5]

Slicer's Qt side is the stand-in of the tests, all else is real: panel, logic, threads, HTTP, MRML scene. The scan is
the synthetic CT that comes with the extension, repeated to 512 x 512 x 90 voxels. A timer of the main thread ticks
every 2 ms; the longest gaps between two ticks are what a user would feel.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "slicer_extension" / "SemGAN")]

SHAPE = (90, 512, 512)
"""Slices, rows, columns."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="of a running server")
    parser.add_argument("--mode", choices=("preview", "refine"), default="preview")
    parser.add_argument("--steps", type=int, default=5, help="of a refinement")
    parser.add_argument("--runs", type=int, default=3, help="the first one sends the scan, the others do not")
    parser.add_argument("--no-maps", action="store_true", help="fetch the label only")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, {SHAPE[2]} x {SHAPE[1]} x {SHAPE[0]} voxels")
    logic, panel, volume = open_panel(arguments)
    print("run | click to segmentation s | server's total s | rest s | click to end s | longest gaps s")
    for number in range(arguments.runs):
        shown, end, gaps = press(arguments.mode, logic, panel, volume)
        server = logic.outcome(volume).result.latencies.get("total", float("nan"))
        longest = ", ".join(f"{gap:.3f}" for gap in sorted(gaps)[-1:-4:-1])
        print(f"{number + 1} | {shown:.2f} | {server:.2f} | {shown - server:.2f} | {end:.2f} | {longest}")
    panel.close()
    logic.close()


def open_panel(arguments: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Logic and panel, connected; the scan, chosen."""
    from tests.slicer_extension.standin.application import install

    application = install()
    import slicer
    from SemGANLib.Compose import compose
    from SemGANLib.Widget import Panel

    from tests.slicer_extension.session import MemorySettings

    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    core = slicer.vtkSlicerApplicationLogic()
    core.SetMRMLScene(scene)
    core.GetColorLogic().SetMRMLScene(scene)
    core.GetColorLogic().AddDefaultColorNodes()
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
    segmentations.SetMRMLScene(scene)
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    application.use_scene(scene)
    logic = compose(scene, MemorySettings(), lambda *_: True)
    logic.kept_alive = (core, segmentations)
    panel = Panel(logic, MemorySettings())
    panel.widget.show()
    panel.ui.addressEdit.setText(arguments.address)
    panel.ui.connectButton.click()
    wait(lambda: logic.connection.state != "connecting")
    if logic.connection.state != "on":
        sys.exit(logic.connection.text)
    logic.choices.volume = volume = scan()
    logic.choices.steps = arguments.steps
    logic.choices.maps = not arguments.no_maps
    return logic, panel, volume


def scan() -> Any:
    """The synthetic CT, voxels repeated, in the scene."""
    import numpy as np
    import slicer
    from SemGANLib.Geometry import as_matrix
    from SemGANLib.Nrrd import decode
    from SemGANLib.SampleScan import SCAN

    small = decode(SCAN.read_bytes())
    places = [np.linspace(0, n - 1, m).round().astype(int) for n, m in zip(small.array.shape, SHAPE, strict=True)]
    array = np.ascontiguousarray(small.array[np.ix_(*places)])
    node = slicer.util.addVolumeFromArray(array, nodeClassName="vtkMRMLScalarVolumeNode", name="synthetic CT")
    steps = [small.array.shape[2] / SHAPE[2], small.array.shape[1] / SHAPE[1], small.array.shape[0] / SHAPE[0]]
    affine = small.affine.copy()
    affine[:3, :3] = affine[:3, :3] * steps
    node.SetIJKToRASMatrix(as_matrix(affine))
    node.CreateDefaultDisplayNodes()
    return node


def press(mode: str, logic: Any, panel: Any, volume: Any) -> tuple[float, float, list[float]]:
    """Click, and wait: seconds until the segmentation is in the scene and until the end with all maps; gaps between two
    ticks of the main thread."""
    import qt

    ticks: list[float] = []
    shown: list[float] = []

    def note(_outcome: Any) -> None:
        shown.append(time.perf_counter())

    logic.outcome_changed.connect(note)
    timer = qt.QTimer()
    timer.connect("timeout()", lambda: ticks.append(time.perf_counter()))
    timer.start(2)
    start = time.perf_counter()
    (panel.ui.previewButton if mode == "preview" else panel.ui.refineButton).click()
    wait(lambda: logic.run(volume) is not None and not logic.run(volume).active)
    seconds = time.perf_counter() - start
    timer.stop()
    logic.outcome_changed.disconnect(note)
    if not shown:
        sys.exit(logic.run(volume).text)
    return shown[0] - start, seconds, [b - a for a, b in zip(ticks, ticks[1:], strict=False)]


def wait(reached: Any) -> None:
    """Let Qt work until something is so."""
    import slicer

    while not reached():
        slicer.app.processEvents()
        time.sleep(0.001)


if __name__ == "__main__":
    main()
