"""What one GPU makes of preview, encoder, search and training: times, memory, and ways of running them side by side.

    python benchmarks/gpu.py pack carried                    # here: what a GPU machine without network lacks
    python benchmarks/gpu.py run --carried carried --out gpu.json          # there; at most 4 minutes
    python benchmarks/gpu.py run --out gpu.json                            # where the package is installed

`pack` downloads the wheels that a machine with PyTorch and its usual company lacks (`pip download`, without what these
need in turn) and saves slices of a scan, or of the patient that the tests make. `run --carried` puts the wheels on the
path, without installing anything. With the repository all of it stays below 64 MiB, which `pack` checks.

Every figure stands beside an eager loop in float32 with one slice at a time, measured in the same run. After those
come variants of the parts with fixed shapes (channels last, `torch.compile`, CUDA graphs), so that one can be chosen by
measurement. The floor of a part is its floating-point operations over the rate of a large matrix product here.

The record is written after every part. A part that failed, or for which no time was left, is done by the next call;
those that are done stay as they are (`--again` measures them anew). Without a GPU everything runs on the CPU in tiny
sizes: that tells that it runs, and nothing about speed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.gpu_measuring.carrying import pack, use_wheels
from benchmarks.gpu_measuring.fixed_shapes import search_variants, student_variants
from benchmarks.gpu_measuring.inference_parts import encode, peak, preview, search
from benchmarks.gpu_measuring.room import TINY, Room
from benchmarks.gpu_measuring.training_parts import encoder, gan, student

PARTS: dict[str, tuple[Callable[[Room], dict[str, Any]], float]] = {
    "peak": (peak, 10.0),
    "preview": (preview, 25.0),
    "encode": (encode, 15.0),
    "search": (search, 25.0),
    "gan": (gan, 45.0),
    "encoder": (encoder, 25.0),
    "student": (student, 25.0),
    "search_variants": (search_variants, 60.0),
    "student_variants": (student_variants, 40.0),
}
"""Name: what measures it, and its seconds at most on a GPU."""

CPU_PATIENCE = 10
"""So many times longer may a part take without a GPU, where other programs use the processor as well."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` in what takes longer, where the system has alarms."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise TimeoutError(f"took more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def measure(room: Room, name: str, seconds: float) -> dict[str, Any]:
    """Record of a part: its figures or why there are none, its time, and the GPU's memory at most."""
    import torch

    if room.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(room.device)
    started = time.perf_counter()
    try:
        with at_most(seconds):
            record = PARTS[name][0](room)
    except Exception as error:
        record = {"error": f"{type(error).__name__}: {error}"[:300]}
    record["seconds_spent"] = round(time.perf_counter() - started, 2)
    if room.cuda:
        record["peak_mib"] = round(torch.cuda.max_memory_allocated(room.device) / 2**20)
    return record


def add_floor(parts: dict[str, Any]) -> None:
    """Put the floor of a step of the search beside its time."""
    rates, found = parts.get("peak", {}), parts.get("search", {})
    rate = rates.get("bfloat16_tflops") or rates.get("float32_tflops")
    if rate and "gflop_per_slice_and_step" in found:
        found["floor_ms_per_slice"] = round(found["gflop_per_slice_and_step"] / rate, 5)
        found["times_floor"] = round(found["ms_per_slice"] / found["floor_ms_per_slice"], 2)


def run(arguments: argparse.Namespace) -> int:
    """Measure the parts that are missing in the record."""
    started = time.perf_counter()
    if arguments.carried is not None:
        use_wheels(arguments.carried)
    from monai_semgan.utils.versions import machine, versions

    path: Path = arguments.out
    record: dict[str, Any] = {"parts": {}}
    if path.exists() and not arguments.again:
        record = json.loads(path.read_text(encoding="utf-8"))
    room = Room(arguments.carried, TINY if arguments.tiny else None, arguments.seconds)
    record |= {"benchmark": "gpu", "sizes": room.sizes._asdict(), "machine": machine(room.device, 1)}
    record |= {"versions": versions(), "bfloat16": room.bfloat16}
    for name in arguments.parts:
        if "seconds_spent" in (done := record["parts"].get(name, {})) and "error" not in done:
            continue
        left = arguments.budget - (time.perf_counter() - started)
        if left < 5.0:
            record["parts"][name] = {"error": "no time was left: call again"}
        else:
            limit = PARTS[name][1] * (1 if room.cuda else CPU_PATIENCE)
            record["parts"][name] = measure(room, name, min(limit, left))
        add_floor(record["parts"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {json.dumps(record['parts'][name])}", flush=True)
    return 1 if any("error" in part for part in record["parts"].values()) else 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="collect what a GPU machine lacks")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--scan", type=Path, help="CT whose slices are taken along (default: a patient made in code)")
    packing.add_argument("--python", default="3.12", help="version of Python there")
    packing.add_argument("--no-wheels", action="store_true", help="slices only")
    packing.set_defaults(work=pack)
    running = commands.add_parser("run", help="measure")
    running.add_argument("--carried", type=Path, help="folder that `pack` made")
    running.add_argument("--out", type=Path, default=Path("gpu.json"))
    running.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    running.add_argument("--budget", type=float, default=230.0, help="seconds in all")
    running.add_argument("--seconds", type=float, default=1.0, help="of repeating each measurement")
    running.add_argument("--tiny", action="store_true", help="tiny sizes on a GPU, too")
    running.add_argument("--again", action="store_true", help="measure everything anew")
    running.set_defaults(work=run)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    arguments = parse(argv)
    return int(arguments.work(arguments))


if __name__ == "__main__":
    sys.exit(main())
