"""Does anything grow faster than the scan? Time and peak memory against slices, and against scans of a cohort.

    python benchmarks/scale.py --out scale.json --figure scale.png
    python benchmarks/scale.py --parts preview cohort-1 --slices 100 300 --scans 1 10

Every run is a process of its own, as a user starts it, on scans that are made up here: one asymmetric patient of 100
slices, whose slices a longer scan repeats, so that every part of it costs the same. Of time, what the process costs
whatever the scan (start, libraries, model) is measured on a scan of four slices, or a cohort of one, and taken off; of
the rest the exponent p of `cost = b * n ** p` is fitted. A peak of memory is that of one moment, in long scans another
than in short ones, so its exponent is that of what each slice more costs between the three largest numbers. 1 grows
like the scan; more than `LIMIT` grows faster, which makes the exit code 1. Processor seconds are those of all threads
and processes, and decide: time on the clock depends on what else the machine does (`load`). Peak memory is the resident
set of the largest process, as the system counts it.

Parts: `preview`, `encoder`, `invert` (few steps) against the number of slices; `cohort-1` and `cohort-2`, previews of
many small scans by one process and by two.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from monai_semgan.utils.versions import machine, versions
from tests.phantoms import grid, patient

BLOCK = 100
"""Slices after which the patient begins again."""

LEAST = 4
"""Slices of the scan that tells what a process costs whatever the scan."""

ABOVE_NOISE = 1.25
"""Costs count from this multiple of the base on."""

LIMIT = 1.25
"""Exponents above this are told as growth that is faster than the scan; noise of a busy machine is up to .2."""

MODES = ("preview", "encoder", "invert")
COHORTS = {"cohort-1": 1, "cohort-2": 2}
MEASURES = ("processor_seconds", "wall_seconds", "peak_mb")


class Cost(NamedTuple):
    """What a process took."""

    processor_seconds: float
    wall_seconds: float
    peak_mb: float


LAUNCH = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
wall, usage = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss]))
"""
"""A small process between, since Linux counts the memory of who starts a process as that process's own peak."""


def measured(command: Sequence[str]) -> Cost:
    """Run a command to its end; of several processes the memory is that of the largest."""
    run = subprocess.run([sys.executable, "-c", LAUNCH, *command], stdout=subprocess.PIPE, check=True)
    code, used, wall, peak = json.loads(run.stdout)
    if code:
        raise subprocess.CalledProcessError(code, command)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Cost(round(used, 2), round(wall, 2), round(peak / unit, 1))


def write_scan(path: Path, slices: int, pixels: int) -> Path:
    """Write a CT of so many slices of `pixels` x `pixels`."""
    height = min(slices, BLOCK)
    affine, shape = grid((360.0 / pixels, 360.0 / pixels, 200.0 / height), field=(360.0, 360.0, 200.0))
    block = patient(affine, shape, seed=0).array.round().astype(np.int16)
    array = np.concatenate([block] * -(-slices // height), axis=2)[:, :, :slices]
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def segment(source: Path, output: Path, options: Sequence[str]) -> list[str]:
    """The command line."""
    command = [sys.executable, "-m", "monai_semgan", "segment", str(source), "--output", str(output)]
    return [*command, "--quiet", "--device", "cpu", "--modality", "CT", *options]


def by_slices(mode: str, arguments: argparse.Namespace, folder: Path) -> tuple[Cost, dict[int, Cost]]:
    """Cost of a scan of four slices, and of each number of slices."""
    options = ["--mode", mode, *(["--steps", str(arguments.steps)] if mode == "invert" else []), *arguments.options]

    def cost(slices: int) -> Cost:
        scan = write_scan(folder / f"{slices}.nii", slices, arguments.pixels)
        found = measured(segment(scan, folder / "label.nii.gz", options))
        scan.unlink()
        return found

    return cost(LEAST), {slices: cost(slices) for slices in arguments.slices}


def by_scans(jobs: int, arguments: argparse.Namespace, folder: Path) -> tuple[Cost, dict[int, Cost]]:
    """Cost of a cohort of no more than a scan of four slices, and of each number of scans."""

    def cost(scans: int, slices: int) -> Cost:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            source, output = Path(name) / "scans", Path(name) / "labels"
            source.mkdir()
            first = write_scan(source / "scan_000.nii", slices, arguments.pixels // 2)
            for number in range(1, scans):
                os.link(first, source / f"scan_{number:03d}.nii")
            return measured(segment(source, output, ["--jobs", str(jobs), *arguments.options]))

    return cost(1, LEAST), {scans: cost(scans, arguments.scan_slices) for scans in arguments.scans}


def exponent(base: float, costs: dict[int, float]) -> float | None:
    """Fit p of `cost - base = b * n ** p` by least squares of the logarithms; None where nothing grows.

    Costs that are hardly above the base say nothing: the logarithm of a difference of noise would decide.
    """
    points = [(math.log(n), math.log(cost - base)) for n, cost in costs.items() if cost > base * ABOVE_NOISE]
    if len(points) < 2:
        return None
    return float(np.polyfit(*zip(*points, strict=True), 1)[0])


def marginal_exponent(costs: dict[int, float]) -> float | None:
    """Compute p from the slopes of the last two intervals; None where there are none, or one is not above 0."""
    points = list(costs.items())[-3:]
    pairs = list(zip(points[:-1], points[1:], strict=True))
    slopes = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairs]
    if len(slopes) < 2 or min(slopes) <= 0:
        return None
    middles = [math.sqrt(before[0] * after[0]) for before, after in pairs]
    return 1.0 + math.log(slopes[1] / slopes[0]) / math.log(middles[1] / middles[0])


def summary(part: str, base: Cost, costs: dict[int, Cost]) -> dict[str, Any]:
    """Record of a part: costs, what an item more costs, exponents; printed, too."""
    numbers = list(costs)
    record: dict[str, Any] = {"base": base._asdict(), "costs": {n: cost._asdict() for n, cost in costs.items()}}
    print(f"{part}: base {base}")
    for n, cost in costs.items():
        print(f"  {n:5d}: {cost.processor_seconds:8.1f} processor s {cost.wall_seconds:8.1f} s {cost.peak_mb:8.0f} MB")
    if len(numbers) > 1:
        first, last = numbers[-2], numbers[-1]
        for measure in MEASURES:
            values = {n: float(getattr(cost, measure)) for n, cost in costs.items()}
            more = (values[last] - values[first]) / (last - first)
            fitted = exponent(getattr(base, measure), values)
            p = marginal_exponent(values) if measure == "peak_mb" else fitted
            record[measure] = {"of_one_more": round(more, 4), "exponent": None if p is None else round(p, 2)}
            print(f"  {measure}: {more:.4f} for one more, exponent {'none' if p is None else f'{p:.2f}'}")
    return record


def too_fast(parts: dict[str, Any]) -> list[str]:
    """What grows faster than the scan: processor time and memory of each part."""
    found = []
    for name, part in parts.items():
        for measure in ("processor_seconds", "peak_mb"):
            if (part.get(measure, {}).get("exponent") or 0.0) > LIMIT:
                found.append(f"{name}: {measure}")
    return found


def draw(parts: dict[str, Any], path: Path) -> None:
    """Processor seconds and memory against slices and against scans, one line for each part."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    for row, measure in enumerate(("processor_seconds", "peak_mb")):
        for column, (names, unit) in enumerate(((MODES, "slices"), (tuple(COHORTS), "scans of a cohort"))):
            axes = figure.add_subplot(2, 2, 2 * row + column + 1)
            for name in names:
                if name in parts:
                    costs = parts[name]["costs"]
                    axes.plot([int(n) for n in costs], [c[measure] for c in costs.values()], "o-", label=name)
            axes.set(xlabel=unit, ylabel=measure.replace("_", " "), xlim=(0, None), ylim=(0, None))
            if axes.has_data():
                axes.legend()
    figure.savefig(path, dpi=110)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=[*MODES, *COHORTS], default=[*MODES, *COHORTS])
    parser.add_argument("--slices", type=int, nargs="+", default=[100, 300, 600, 1000])
    parser.add_argument("--scans", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--scan-slices", type=int, default=16, help="of each scan of a cohort")
    parser.add_argument("--pixels", type=int, default=256, help="edge of the slices; half of it in a cohort")
    parser.add_argument("--steps", type=int, default=2, help="of mode invert")
    parser.add_argument("--bundle", type=Path, help="the model (default: the shipped one)")
    parser.add_argument("--out", type=Path, help="JSON file; parts that stand in it are not measured again")
    parser.add_argument("--figure", type=Path, help="PNG file (needs matplotlib)")
    arguments = parser.parse_args(argv)
    arguments.options = ["--bundle", str(arguments.bundle)] if arguments.bundle else []
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    arguments = parse(argv)
    record: dict[str, Any] = {"parts": {}}
    if arguments.out and arguments.out.exists():
        record = json.loads(arguments.out.read_text(encoding="utf-8"))
    record |= {"benchmark": "scale", "pixels": arguments.pixels, "steps": arguments.steps, "versions": versions()}
    record |= {"machine": machine(torch.device("cpu"), 1), "limit": LIMIT}
    with tempfile.TemporaryDirectory() as name:
        for part in (part for part in arguments.parts if part not in record["parts"]):
            load = os.getloadavg() if hasattr(os, "getloadavg") else None
            if part in COHORTS:
                base, costs = by_scans(COHORTS[part], arguments, Path(name))
            else:
                base, costs = by_slices(part, arguments, Path(name))
            record["parts"][part] = summary(part, base, costs) | {"load": load}
            if arguments.out:
                arguments.out.parent.mkdir(parents=True, exist_ok=True)
                arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if arguments.figure:
        draw(record["parts"], arguments.figure)
    found = too_fast(record["parts"])
    print("grows faster than the scan: " + "; ".join(found) if found else "nothing grows faster than the scan")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
