"""What running the bundle through `monai.bundle` costs beside `semgan segment`: wall time and voxels, mode by mode.

    python benchmarks/bundle.py SCAN [--modes preview encoder refine] [--repeats 3]

Both are run as a user runs them, in turns, in processes of their own; the fastest of the repeats counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from monai_semgan.bundle.labels import bundle_folder
from monai_semgan.io.reading import read_label


def main() -> None:
    """Print one line per mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("--modes", nargs="+", default=["preview", "encoder", "refine"])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    for mode in arguments.modes:
        bundle_seconds, segment_seconds, different = compare(arguments.scan.resolve(), mode, arguments.repeats)
        ratio = bundle_seconds / segment_seconds
        print(
            f"{mode:8} monai.bundle {bundle_seconds:6.1f} s   semgan segment {segment_seconds:6.1f} s   "
            f"ratio {ratio:.2f}   different voxels {different}",
            flush=True,
        )


def compare(scan: Path, mode: str, repeats: int) -> tuple[float, float, int]:
    """Seconds of either way, and the number of voxels that differ."""
    times: dict[str, list[float]] = {"bundle": [], "segment": []}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        root = bundle_folder().resolve()
        bundle = ["monai.bundle", "run", "--config_file", str(root / "configs" / "inference.json")]
        bundle += ["--bundle_root", str(root), "--dataset_dir", str(scan), "--output_dir", str(out / "bundle")]
        bundle += ["--displayable_configs#mode", mode]
        segment = ["monai_semgan", "segment", str(scan), "-o", str(out / "label.nii.gz"), "--mode", mode, "--quiet"]
        for _ in range(repeats):
            for name, command in (("bundle", bundle), ("segment", segment)):
                times[name].append(seconds(command))
        label = read_label(next((out / "bundle").iterdir())).array
        different = int(np.count_nonzero(label != read_label(out / "label.nii.gz").array))
    return min(times["bundle"]), min(times["segment"]), different


def seconds(command: list[str]) -> float:
    """Wall time of a Python module's run, which has to succeed."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
