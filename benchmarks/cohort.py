"""Does a cohort take less time and memory than before? Two trees in turn, as whole processes.

    python benchmarks/cohort.py OLD NEW --scan $SEMGAN_DATA/abdomen_ct/images/ct_12.nii.gz --scans 20
    python benchmarks/cohort.py OLD NEW --scan $SEMGAN_DATA/abdomen_ct/images/ct_12.nii.gz --scans 8 --jobs 2

OLD and NEW are checkouts, each with monai_semgan/ and bundles/. Every run of one tree is paired with the run of the
other that follows it; what is printed are medians. The cohort is the scan so many times. `first` is the time from the
start of the command to the first scan's line, `further` the mean time between two lines after it, `processor` that of
all processes and threads for each scan, `pss` the highest sum of the memory of all processes, in which a page that
several share counts once (Linux only). The labels of both trees must differ in at most --differing of the organs'
voxels.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

from monai_semgan.utils.versions import machine, versions

LOOK_SECONDS = 0.25
MEGABYTE = 2**20


@dataclass(frozen=True)
class Cost:
    """What a cohort took: seconds, and MB."""

    first: float
    further: float
    processor: float
    pss: float


class MemoryWatch(threading.Thread):
    """Highest proportional set size of a process and its children, in bytes; 0 where the system does not tell."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak = pid, 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Look now and then."""
        while not self._ended.wait(LOOK_SECONDS):
            self.peak = max(self.peak, _pss(self.pid))

    def stop(self) -> int:
        """Return the peak."""
        self._ended.set()
        self.join()
        return self.peak


def _pss(pid: int) -> int:
    """Proportional set size of a process and its children, in bytes."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = [
            name for task in Path(f"/proc/{pid}/task").iterdir() for name in (task / "children").read_text().split()
        ]
    except OSError:  # it has ended, or this is no Linux
        return 0
    own = next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return own + sum(_pss(int(child)) for child in children)


def run(root: Path, cohort: Path, output: Path, options: list[str]) -> Cost:
    """Segment a cohort with a tree's package, from a folder that has none."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "monai_semgan", "segment", str(cohort), "-o", str(output), "--device", "cpu"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(
        [*command, *options], env=environment, cwd=cohort.parent, stdout=subprocess.PIPE, text=True
    )
    watch = MemoryWatch(process.pid)
    watch.start()
    assert process.stdout is not None
    lines = [time.perf_counter() - started for line in process.stdout if line.startswith("[")]
    if process.wait():
        raise SystemExit(f"{root}: exit code {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    further = (lines[-1] - lines[0]) / max(len(lines) - 1, 1)
    return Cost(lines[0], further, processor / len(lines), watch.stop() / MEGABYTE)


def compare(pairs: list[tuple[Cost, Cost]]) -> dict[str, Any]:
    """Medians of old, new and of the ratio pair by pair, printed and returned."""
    found: dict[str, Any] = {}
    for name in asdict(pairs[0][0]):
        old, new = ([getattr(pair[k], name) for pair in pairs] for k in (0, 1))
        ratios = [b / max(a, 1e-9) for a, b in zip(old, new, strict=True)]
        middle = [statistics.median(values) for values in (old, new, ratios)]
        found[name] = dict(zip(("old", "new", "ratio"), middle, strict=True))
        unit = "MB" if name == "pss" else "s"
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(
            f"{name:<10} old {middle[0]:8.2f} {unit:<2} new {middle[1]:8.2f} {unit:<2} ratio {middle[2]:.2f} ({spread})"
        )
    return found


def differing(one: Path, other: Path) -> float:
    """Share of the voxels that differ, of those that are an organ in either label; the largest of all files."""
    shares = []
    for path in sorted(one.glob("*.nii.gz")):
        first, second = (np.asanyarray(nibabel.load(folder / path.name).dataobj) for folder in (one, other))
        shares.append(float((first != second).sum() / max(((first > 0) | (second > 0)).sum(), 1)))
    return max(shares)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--scan", type=Path, required=True, help="a NIfTI file")
    parser.add_argument("--scans", type=int, default=20, help="of the cohort")
    parser.add_argument("--jobs", type=int, help="processes of the cohort")
    parser.add_argument("--bundle", type=Path, help="model of both trees (default: each its own)")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--differing", type=float, default=0.001, help="share of the organs' voxels; default .001")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    roots = [root.resolve() for root in (arguments.old, arguments.new)]
    options = [] if arguments.jobs is None else ["--jobs", str(arguments.jobs)]
    options += [] if arguments.bundle is None else ["--bundle", str(arguments.bundle.resolve())]
    pairs: list[tuple[Cost, Cost]] = []
    with tempfile.TemporaryDirectory() as temporary:
        cohort, load = Path(temporary) / "cohort", os.getloadavg()
        cohort.mkdir()
        for number in range(arguments.scans):
            shutil.copy(arguments.scan, cohort / f"scan_{number:03d}.nii.gz")
        for number in range(arguments.repeats):
            outputs = [Path(temporary) / f"{which}_{number}" for which in ("old", "new")]
            costs = [run(root, cohort, output, options) for root, output in zip(roots, outputs, strict=True)]
            pairs.append((costs[0], costs[1]))
        share = differing(*outputs)
    found = {"scans": arguments.scans, "jobs": arguments.jobs or 1, "figures": compare(pairs), "differing": share}
    found |= {"load": load, "machine": machine(torch.device("cpu"), 1), "versions": versions()}
    print(f"{arguments.scans} scans, {found['jobs']} processes, load {load[0]:.1f}; voxels that differ: {share:.5f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if share <= arguments.differing else 1


if __name__ == "__main__":
    sys.exit(main())
