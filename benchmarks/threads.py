"""What threads cost: `semgan segment` with one thread, two, and as it chooses, while other programs keep cores busy.

    python benchmarks/threads.py $SEMGAN_DATA/abdomen_ct/images/ct_12.nii.gz --old OLD --out threads.json
    python benchmarks/threads.py SCAN --busy 1 --repeats 1 --only default chosen       # one look, half a minute

Every round runs each way of waiting and counting once as a whole process, in an order that turns; the ratios are those
of a round to the default of PyTorch in the same round, and what is printed are medians over the rounds. With OLD, a
checkout, its package is run as it was by default: the baseline is the old program then, not the old threads alone.

Processor time is that of all threads, as the operating system counts it: threads that wait for one another in a loop
(spin) use it, those that sleep (passive) do not. The busy cores are kept so by processes of this script that do nothing
else, and that end with it. The load of the machine before each part is recorded: other programs spoil the idle part.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from monai_semgan.utils.threads import NUMPY, OWN, PASSIVE, THREAD_VARIABLES, VARIABLE
from monai_semgan.utils.versions import machine, versions

SPIN = {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}
"""What libgomp and libomp do when nobody says anything."""

DEFAULT, CHOSEN = "default", "chosen"
KEPT_BACK = (VARIABLE, OWN, *THREAD_VARIABLES, *PASSIVE, *NUMPY)
"""Not handed on: they would decide instead."""

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 1800
"""Seconds after which a busy process ends by itself."""

BUSY = f"import os, sys, time\nend, parent = time.monotonic() + {LONGEST}, int(sys.argv[1])\n"
BUSY += "while time.monotonic() < end and os.getppid() == parent: pass"


class Cost(NamedTuple):
    """Seconds of a process."""

    wall: float
    cpu: float


def ways(cores: int, old: Path | None) -> dict[str, dict[str, str]]:
    """Environments to compare; the default of PyTorch is first."""
    found = {DEFAULT: {"OMP_NUM_THREADS": str(cores), **SPIN} if old is None else {"PYTHONPATH": str(old.resolve())}}
    for count in sorted({1, 2, cores}):
        found[f"{count} passive"] = {"OMP_NUM_THREADS": str(count), **PASSIVE}
        if count not in (1, cores):  # one thread waits for nobody, and all of them are the default
            found[f"{count} spin"] = {"OMP_NUM_THREADS": str(count), **SPIN}
    return {**found, CHOSEN: {}}


def run(scan: Path, mode: str, environment: dict[str, str], folder: Path) -> Cost:
    """Segment in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in KEPT_BACK} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "monai_semgan", "segment", str(scan.resolve()), "--device", "cpu", "--quiet"]
    command += ["--mode", mode, "--output", str(folder / "label.nii.gz")]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env={**kept, **environment}, cwd=folder, check=True, capture_output=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@contextlib.contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Keep cores busy with processes that end afterwards, in any case."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def measure(arguments: argparse.Namespace, busy: int, chosen: dict[str, dict[str, str]]) -> dict[str, Any]:
    """All ways with so many busy cores."""
    load = os.getloadavg()[0]
    rounds: list[dict[str, Cost]] = []
    names = list(chosen)
    with busy_cores(busy), tempfile.TemporaryDirectory() as temporary:
        if not busy:  # the first run fills the cache of the file system
            run(arguments.scan, arguments.mode, {}, Path(temporary))
        for number in range(arguments.repeats):
            order = names[number % len(names) :] + names[: number % len(names)]
            rounds.append({n: run(arguments.scan, arguments.mode, chosen[n], Path(temporary)) for n in order})
    return {"busy_cores": busy, "load_before": round(load, 2), "rows": [_row(name, rounds) for name in names]}


def _row(name: str, rounds: Sequence[dict[str, Cost]]) -> dict[str, Any]:
    row: dict[str, Any] = {"threads": name}
    for field in Cost._fields:
        seconds = [getattr(costs[name], field) for costs in rounds]
        row[f"{field}_seconds"] = round(statistics.median(seconds), 2)
        if DEFAULT in rounds[0]:
            ratios = [getattr(costs[name], field) / getattr(costs[DEFAULT], field) for costs in rounds]
            row[f"{field}_ratio"] = round(statistics.median(ratios), 3)
    return row


def show(part: dict[str, Any]) -> None:
    """Print one part as a table."""
    print(f"\nbusy cores: {part['busy_cores']} (load before: {part['load_before']})")
    print("| threads | processor s | wall s | processor, ratio | wall, ratio |\n|---|---|---|---|---|")
    for row in part["rows"]:
        ratios = " | ".join(f"{row.get(f'{field}_ratio', float('nan')):.2f}" for field in ("cpu", "wall"))
        print(f"| {row['threads']} | {row['cpu_seconds']:.2f} | {row['wall_seconds']:.2f} | {ratios} |", flush=True)


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--old", type=Path, help="checkout whose package is the baseline, with its own threads")
    parser.add_argument("--mode", default="preview")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="busy cores, part by part")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="WAY", help="of default, chosen, '1 passive', '2 passive', ...")
    parser.add_argument("--out", type=Path, help="also write the figures here (JSON)")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = parse()
    chosen = ways(torch.get_num_threads(), arguments.old)
    if arguments.only:
        chosen = {name: chosen[name] for name in arguments.only}
    parts = []
    for busy in arguments.busy:
        parts.append(measure(arguments, busy, chosen))
        show(parts[-1])
    record = {
        "benchmark": "threads",
        "scan": arguments.scan.name,
        "mode": arguments.mode,
        "repeats": arguments.repeats,
        "baseline": f"{DEFAULT}: PyTorch's own number of threads, which spin" + (", old" if arguments.old else ""),
        "machine": machine(torch.device("cpu"), 1),
        "versions": versions(),
        "parts": parts,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
