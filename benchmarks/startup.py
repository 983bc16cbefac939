"""Does a command take less time than before? Two trees in turn, as whole processes.

    python benchmarks/startup.py OLD NEW --scan $SEMGAN_DATA/abdomen_ct/images/ct_12.nii.gz

OLD and NEW are checkouts, each with monai_semgan/ and bundles/. Every run of one tree is paired with the run of the
other that follows it, so that a machine whose speed drifts does not matter; what is printed are medians. Wall time and
processor time (of all threads) are those of the operating system. After `segment`, voxels must be the same.

Threads of PyTorch that wait for one another also use processor time, the more the busier the machine is; one thread
(--threads 1) measures the work alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np


class Cost(NamedTuple):
    """Seconds of a process."""

    wall: float
    cpu: float


def run(root: Path, arguments: list[str], threads: int | None, folder: Path) -> Cost:
    """Run Python with a tree's package, from a folder that has none."""
    environment = {**os.environ, "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, cwd=folder, check=True, capture_output=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def compare(name: str, pairs: list[tuple[Cost, Cost]]) -> dict[str, object]:
    """Medians of old, new and of the ratio pair by pair, printed and returned."""
    row: dict[str, object] = {"command": name, "runs": len(pairs)}
    for field in Cost._fields:
        old, new = ([getattr(pair[k], field) for pair in pairs] for k in (0, 1))
        ratios = [b / a for a, b in zip(old, new, strict=True)]
        row[field] = {"old": statistics.median(old), "new": statistics.median(new), "ratio": statistics.median(ratios)}
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(
            f"{name:<22}{field:<5} old {statistics.median(old):6.2f} s  new {statistics.median(new):6.2f} s  "
            f"ratio {statistics.median(ratios):.2f} ({spread})"
        )
    return row


def same_voxels(first: Path, second: Path) -> bool:
    """Whether two NIfTI files hold the same values."""
    one, other = (np.asanyarray(nibabel.load(path).dataobj) for path in (first, second))
    return bool(np.array_equal(one, other))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--scan", type=Path, help="also `semgan segment` of this NIfTI file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of PyTorch (default: its own choice)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    roots = [root.resolve() for root in (arguments.old, arguments.new)]
    commands = {"import monai_semgan": ["-c", "import monai_semgan"], "semgan --help": ["-m", "monai_semgan", "--help"]}
    if arguments.scan:
        scan = str(arguments.scan.resolve())
        commands["semgan segment"] = ["-m", "monai_semgan", "segment", scan, "--device", "cpu", "--quiet", "--output"]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        outputs = [Path(temporary) / f"{which}.nii.gz" for which in ("old", "new")]
        for name, command in commands.items():
            full = [[*command, str(output)] if command[-1] == "--output" else command for output in outputs]
            pairs: list[tuple[Cost, Cost]] = []
            for number in range(arguments.repeats + 1):
                both = [run(roots[k], full[k], arguments.threads, Path(temporary)) for k in (0, 1)]
                if number:  # the first warms the file system's cache
                    pairs.append((both[0], both[1]))
            rows.append(compare(name, pairs))
        same = not arguments.scan or same_voxels(*outputs)
    if arguments.scan:
        print("voxels: the same" if same else "voxels: DIFFERENT")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "same_voxels": same}, indent=1) + "\n")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
