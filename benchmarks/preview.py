"""Wall time and peak memory of `semgan segment`, start of Python and reading and writing included.

    python benchmarks/preview.py $SEMGAN_DATA/abdomen_ct/images/ct_00.nii.gz --out preview.json

Baseline of the first ratio: the network alone, on slices that are ready, in one process with the same threads. Of the
second, the floor: the arithmetic of the student's passes at the rate at which one core of this processor multiplies
large matrices, in bfloat16 where that is used (the student's first level is in float32 there all the same).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from monai_semgan.bundle.load import load_bundle
from monai_semgan.inference.slice_modes import preview, preview_settings
from monai_semgan.io.reading import read_volume
from monai_semgan.utils.device import fast_bfloat16, select_device
from monai_semgan.utils.versions import machine, versions


def end_to_end(scan: Path, mode: str, folder: Path) -> float:
    """Seconds of the command as a user runs it."""
    command = [sys.executable, "-m", "monai_semgan", "segment", str(scan), "--output", str(folder / "out.nii.gz")]
    started = time.perf_counter()
    subprocess.run([*command, "--mode", mode, "--device", "cpu"], check=True, capture_output=True)
    return time.perf_counter() - started


def network_alone(scan: Path) -> tuple[float, int]:
    """Seconds of the student on all slices, once warm, and the number of slices."""
    bundle = load_bundle(device="cpu")
    prepared = bundle.preprocessing(read_volume(scan))
    preview(bundle, prepared, preview_settings(bundle))
    started = time.perf_counter()
    preview(bundle, prepared, preview_settings(bundle))
    return time.perf_counter() - started, prepared.image.shape[0]


def student_floor(scan: Path) -> dict[str, float]:
    """Processor time of the student's passes, by one thread, and the least that their arithmetic can take."""
    torch.set_num_threads(1)
    bundle = load_bundle(device="cpu")
    prepared = bundle.preprocessing(read_volume(scan))
    network, spent, shown = bundle.network, 0.0, 0
    original = network.preview

    def timed(image: torch.Tensor) -> torch.Tensor:
        nonlocal spent, shown
        started = time.thread_time()
        logits = original(image)
        spent, shown = spent + time.thread_time() - started, shown + len(image)
        return logits

    network.preview = timed  # type: ignore[method-assign]
    for _ in range(2):  # the first warms it up
        spent, shown = 0.0, 0
        preview(bundle, prepared, preview_settings(bundle))
    with FlopCounterMode(display=False) as counter:
        original(prepared.image[:1])
    kind = torch.bfloat16 if fast_bfloat16(bundle.device) else torch.float32
    gigaflop, rate = counter.get_total_flops() / 1e9 * shown, product_rate(kind)
    return {
        "passes": shown,
        "processor_seconds": round(spent, 3),
        "gigaflop": round(gigaflop, 1),
        "gigaflop_per_second": round(rate, 1),
        "floor_seconds": round(gigaflop / rate, 3),
        "times_floor": round(spent * rate / gigaflop, 2),
    }


def product_rate(kind: torch.dtype, edge: int = 2048) -> float:
    """Rate of a large matrix product by one thread, in GFLOP/s: the fastest of some."""
    matrix = torch.ones(edge, edge, dtype=kind)
    best = float("inf")
    for _ in range(6):
        started = time.thread_time()
        matrix @ matrix
        best = min(best, time.thread_time() - started)
    return 2 * edge**3 / best / 1e9


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--mode", default="preview")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = [end_to_end(arguments.scan, arguments.mode, Path(folder)) for _ in range(arguments.repeats)]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    alone, slices = network_alone(arguments.scan)
    median = statistics.median(seconds)
    content = {
        "mode": arguments.mode,
        "slices": slices,
        "seconds": [round(value, 2) for value in seconds],
        "median_seconds": round(median, 2),
        "peak_gib": round(peak, 2),
        "network_alone_seconds": round(alone, 2),
        "ratio_to_network_alone": round(median / alone, 2),
        "student": student_floor(arguments.scan),
        "machine": machine(select_device("cpu"), 1),
        "versions": versions(),
    }
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
