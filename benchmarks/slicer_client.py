"""What the extension of 3D Slicer adds to the server's own time, and how long it holds up the main thread.

    .venv-slicer/bin/python benchmarks/slicer_client.py --out slicer_client.json

A CT of 512 x 512 x 90 voxels on loopback: from the click to the segmentation in the scene, less what the server took
(from the job's begin to its end); then a refinement of a few slices, whose maps are as large as the scan. The main
thread's longest stretch is told apart: with the import of a result, and without. Where other programs keep the machine
busy, the processor times mean more than those of the clock.

Run by the environment of the extension's tests; `semgan serve` runs in that of the label server
($SEMGAN_LABEL_PYTHON, or .venv-label).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
MODULE = REPOSITORY / "slicer_extension" / "SemGAN"
sys.path[:0] = [str(REPOSITORY), str(MODULE)]

SHAPE = (512, 512, 90)
SPACING = (0.7, 0.7, 3.0)
IMPORT = "import time; t = time.perf_counter(); import SemGANLib.Logic; print(time.perf_counter() - t)"
SECONDS = 580.0


def scan() -> Any:
    """(K, J, I) voxels of the phantom with noise, and their affine."""
    import numpy as np

    from tests.phantoms import CENTRE, points_of, values_at

    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    array = np.empty(SHAPE[::-1], np.int16)
    noise = np.random.default_rng(0)
    for k in range(SHAPE[2]):
        here = affine.copy()
        here[:3, 3] += k * affine[:3, 2]
        plane = values_at(points_of(here, (SHAPE[0], SHAPE[1], 1)))[..., 0].transpose()
        array[k] = plane + noise.normal(0, 15, plane.shape)
    return array, affine


def import_seconds(repeats: int = 7) -> float:
    """Median of importing the library in a fresh interpreter."""
    runs = [
        float(subprocess.run([sys.executable, "-c", IMPORT], cwd=MODULE, capture_output=True, check=True).stdout)
        for _ in range(repeats)
    ]
    return statistics.median(runs)


def main_thread() -> tuple[Any, Any]:
    """A session whose turns of the main thread are timed: those with an import, and the others."""
    import slicer

    from tests.slicer_extension.session import Session

    class Timed(Session):
        def __init__(self, scene: Any) -> None:
            super().__init__(scene)
            self.imports: list[float] = []
            self.others: list[float] = []

        def pump(self) -> None:
            known = len(self.outcomes)
            started = time.perf_counter()
            self.runner.pump()
            seconds = time.perf_counter() - started
            (self.imports if len(self.outcomes) > known else self.others).append(seconds)

    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    return Timed(scene), scene


def cpu_seconds(process: int) -> float:
    """Processor time that a process has taken, its children not counted; 0 where /proc does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def click(session: Any, volume: Any, mode: str, server_process: int) -> dict[str, float]:
    """One run, timed."""
    for former in (session.imports, session.others, session.outcomes):
        former.clear()
    phases: list[tuple[str, float]] = []
    session.logic.run_changed.connect(lambda view: phases.append((view.phase, time.perf_counter())))
    own, theirs = time.process_time(), cpu_seconds(server_process)
    started = time.perf_counter()
    getattr(session.logic, mode)(volume)
    clicked = time.perf_counter() - started
    session.wait(lambda: any(not outcome.result.partial for outcome in session.outcomes), SECONDS)
    shown = time.perf_counter() - started
    own, theirs = time.process_time() - own, cpu_seconds(server_process) - theirs
    run = session.finish(volume, SECONDS)
    if run.phase != "done":
        raise SystemExit(run.text)
    begun = dict(reversed(phases))
    server = run.job.finished - run.job.created
    return {
        "click_to_label": shown,
        "server_seconds": server,
        "added_seconds": shown - server,
        "of_this_upload": begun["queued"] - started,
        "of_this_fetching": started + shown - begun["importing"],
        "client_cpu_seconds": own,
        "server_cpu_seconds_beside_the_workers": theirs,
        "maps_after_label": time.perf_counter() - started - shown,
        "main_thread_click": clicked,
        "main_thread_import": max(session.imports),
        "main_thread_otherwise": max(session.others),
    }


def measure(bundle: list[str], repeats: int) -> dict[str, Any]:
    """All figures."""
    from tests.slicer_extension.label_server import KEY, LabelServer
    from tests.slicer_extension.scans import add_volume

    array, affine = scan()
    with (
        tempfile.TemporaryDirectory() as folder,
        LabelServer(Path(folder) / "home", Path(folder) / "studies", bundle) as server,
    ):
        session, scene = main_thread()
        session.connect(server.address, KEY)
        previews = []
        for _ in range(repeats + 1):
            volume = add_volume(scene, array, affine)
            previews.append(click(session, volume, "preview", server.process.pid))
        low, high = session.logic.slice_bounds(volume)
        middle = (low + high) / 2
        session.logic.choices.steps, session.logic.choices.slice_range_mm = 2, (middle - 4, middle + 4)
        refined = click(session, volume, "refine", server.process.pid)
        session.close()
    return {
        "preview, first": previews[0],
        "preview": {name: statistics.median(run[name] for run in previews[1:]) for name in previews[0]},
        "refine with maps": refined,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bundle", type=Path, help="the one that comes along if left out")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"import_seconds": round(import_seconds(), 3)}
    bundle = ["--bundle", str(arguments.bundle)] if arguments.bundle else []
    for name, run in measure(bundle, arguments.repeats).items():
        figures[name] = {key: round(value, 3) for key, value in run.items()}
    figures["machine"] = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "slicer-core": metadata.version("slicer-core"),
    }
    print(json.dumps(figures, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
