"""Speed and memory of training: images per second and processor time per image of the three stages, old against new.

    python benchmarks/training.py OLD NEW --out training.json               # 128x128, the shipped architecture
    python benchmarks/training.py OLD NEW --stages gan --rounds 9 --threads 1
    python benchmarks/training.py NEW NEW --tiny                            # that it runs

OLD and NEW are checkouts, each with monai_semgan/. For every stage each tree has a process of its own, and the two take
turns: some steps of the old one, as many of the new one. Ratios are medians over these pairs, so that a machine whose
speed drifts does not matter; on a machine with other work trust the processor time (of all threads). Slices and weights
are random (the seed is the same), the generator of encoder and student as well; none of the costs depends on what the
networks have learnt, save that of the pool of generated pairs, which is filled before the clock starts and not
renewed. Steps with and without the terms that are due only now and then (R1) come in their usual proportion when
--steps is a multiple of 16. The learning rate is that of the very beginning of a run: at a higher one the losses of a
GAN tell two roundings apart within a few steps, which says nothing of either.

Memory is what the process needed at most beyond what it held before its first step.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STAGES = ("gan", "encoder", "student")
FIGURES = ("wall_ms_per_image", "processor_ms_per_image")
TINY: dict[str, dict[str, Any]] = {
    "gan": {"latent_dim": 16, "channels": {4: 16, 8: 16, 16: 16, 32: 8}, "joint_channels": 8, "batch_size": 4},
    "encoder": {"channels": (8, 8, 16, 16), "pool_chunk": 8, "pool_chunks": 1, "batch_size": 4},
    "student": {"channels": (8, 16, 16), "pool_chunk": 8, "pool_chunks": 1, "batch_size": 4},
}


def found(*places: str) -> Any:
    """The first of several `module:name` that this tree has: its modules have moved since."""
    for place in places:
        module, name = place.split(":")
        with contextlib.suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(f"monai_semgan.{module}"), name)
    raise ImportError(f"none of {', '.join(places)} in this tree")


def build_stage(name: str, size: int, batch_size: int, tiny: bool, full_precision: bool) -> Any:
    """A stage of the tree that is imported, on random slices, with a random generator where it needs one."""
    import torch

    context = found("training.stages.stage:StageContext", "training.stage:Surroundings")
    stage = found(f"training.stages.{name}_stage:{name.title()}Stage", f"training.{name}:{name.title()}Stage")
    own = found(f"training.stages.{name}_stage:{name.title()}Settings", f"training.{name}:{name.title()}Settings")
    slice_set = found("data.slice_set:SliceSet", "data.slices:SliceSet")
    workers = found("training.engine.distributed:Workers", "training.workers:Workers")
    networks = importlib.import_module("monai_semgan.networks")
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(48, 1, 8, 8, generator=source)
    image = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    labels = (image[:, 0] * 4.99).to(torch.uint8)
    slices = slice_set((image * 255).to(torch.uint8), labels, torch.arange(48) // 12, tuple("abcd"), (), (), ())
    device = torch.device("cpu")
    around = context(slices, None, device, workers(device), size=size, mixed_precision=not full_precision)
    torch.manual_seed(0)
    settings = own(**{**(TINY[name] if tiny else {}), **({"batch_size": batch_size} if batch_size else {})})
    if name == "gan":
        return stage(around, settings)
    small = TINY["gan"] if tiny else {}
    generator = networks.JointGenerator(size, **{k: small[k] for k in ("latent_dim", "channels") if k in small})
    generator.update_mean_latent(512)
    return stage(around, settings, generator)


def peak_bytes() -> int:
    """Most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def held_bytes() -> int:
    """Memory that this process holds now; its peak so far where the system does not tell."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak_bytes()


def work(arguments: argparse.Namespace) -> None:
    """Train as many steps as each line on the standard input says, and answer with their cost, as JSON."""
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    stage = build_stage(
        arguments.worker, arguments.size, arguments.batch_size, arguments.tiny, arguments.full_precision
    )
    stage.set_rate(0.0)
    if getattr(stage, "pool", None) is not None:
        stage.pool.draw(0, 1)
    before, step = held_bytes(), 0
    for line in sys.stdin:
        started, used = time.perf_counter(), time.process_time()
        losses = []
        for step in range(step, step + int(line)):  # noqa: B020
            torch.manual_seed(step)
            losses.append(float(stage.step(step)["loss"]))
        images = int(line) * stage.batch_size
        cost = {
            "wall_ms_per_image": 1000 * (time.perf_counter() - started) / images,
            "processor_ms_per_image": 1000 * (time.process_time() - used) / images,
            "peak_mib": (peak_bytes() - before) / 2**20,
            "losses": losses,
        }
        step += 1
        print(json.dumps(cost), flush=True)


@contextlib.contextmanager
def trainer(root: Path, stage: str, arguments: argparse.Namespace, folder: str) -> Iterator[subprocess.Popen[str]]:
    """A process that trains a stage with a tree's package, from a folder that has none."""
    command = [sys.executable, str(Path(__file__).resolve()), "-", "-", "--worker", stage]
    command += ["--size", str(arguments.size), "--threads", str(arguments.threads)]
    command += ["--batch-size", str(arguments.batch_size)]
    command += ["--tiny"] * arguments.tiny + ["--full-precision"] * arguments.full_precision
    environment = {**os.environ, "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=folder)
    with process:
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()


def ask(process: subprocess.Popen[str], steps: int) -> dict[str, Any]:
    """Let a process train some steps."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"a training process ended with {process.wait()}; its message is above")
    return dict(json.loads(answer))


def compare(stage: str, roots: list[Path], arguments: argparse.Namespace) -> dict[str, Any]:
    """Medians of old, new and of new / old pair by pair, printed and returned."""
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        old, new = (stack.enter_context(trainer(root, stage, arguments, folder)) for root in roots)
        warm = [ask(process, arguments.warmup) for process in (old, new)]
        for _ in range(arguments.rounds):
            pairs.append((ask(old, arguments.steps), ask(new, arguments.steps)))
    row: dict[str, Any] = {"stage": stage, "rounds": len(pairs), "steps": arguments.steps}
    for figure in FIGURES:
        sides = [[pair[k][figure] for pair in pairs] for k in (0, 1)]
        ratios = [b / a for a, b in zip(*sides, strict=True)]
        row[figure] = {"old": statistics.median(sides[0]), "new": statistics.median(sides[1])}
        row[figure] |= {"ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
        print(
            f"{stage:<9}{figure:<24} old {row[figure]['old']:8.2f}  new {row[figure]['new']:8.2f}  "
            f"ratio {row[figure]['ratio']:.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )
    peaks = [pairs[-1][k]["peak_mib"] for k in (0, 1)]
    row["peak_mib"] = {"old": peaks[0], "new": peaks[1], "ratio": peaks[1] / peaks[0] if peaks[0] else None}
    row["images_per_s"] = [1000 / row["wall_ms_per_image"][side] for side in ("old", "new")]
    row["first_losses"] = [side["losses"] for side in warm]
    row["last_losses"] = [statistics.fmean(pairs[-1][k]["losses"]) for k in (0, 1)]
    print(
        f"{stage:<9}{'peak_mib':<24} old {peaks[0]:8.0f}  new {peaks[1]:8.0f}  "
        f"images/s {row['images_per_s'][0]:.1f} -> {row['images_per_s'][1]:.1f}, "
        f"loss at the end {row['last_losses'][0]:.4f} and {row['last_losses'][1]:.4f}"
    )
    return row


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="checkout that ratios refer to")
    parser.add_argument("new", type=Path)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=0, help="default: that of the stage")
    parser.add_argument("--steps", type=int, default=4, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of turns")
    parser.add_argument("--warmup", type=int, default=2, help="steps before the first turn")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch (default: its own choice)")
    parser.add_argument("--full-precision", action="store_true", help="float32 even where bfloat16 is fast")
    parser.add_argument("--tiny", action="store_true", help="networks and slices so small that it takes seconds")
    parser.add_argument("--worker", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.size = 32
    return arguments


def main() -> None:
    """Measure and record."""
    arguments = parse()
    if arguments.worker:
        work(arguments)
        return
    import torch

    from monai_semgan.utils.versions import machine, versions

    roots = [root.resolve() for root in (arguments.old, arguments.new)]
    load = os.getloadavg()
    record: dict[str, Any] = {
        "benchmark": "training",
        "size": arguments.size,
        "baseline": str(arguments.old),
        "load": [round(value, 2) for value in load],
        "stages": [compare(stage, roots, arguments) for stage in arguments.stages],
        "machine": machine(torch.device("cpu"), 1),
        "versions": versions(),
    }
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
