"""Speed of the inversion: milliseconds per slice and step by batch size, and a whole volume end to end.

    python benchmarks/inversion.py --out inversion.json                            # what the device is expected to do
    python benchmarks/inversion.py --size 64 --volume-slices 100 --volume-steps 30 # 'invert, 100 slices at 64x64'

The baseline that the ratios refer to is the same search with one slice at a time, as in the published code. Weights and
slices are random (the seed is recorded): the speed does not depend on them, since no slice is dropped here. A step of a
batch size is the median over the steps that follow the first two; with several repeats the least median counts. The
processor time of all threads is given beside the time on the clock: on a machine with other work trust that one.

On a CPU the floor stands beside it: the arithmetic of the generator, there and back, at the rate at which the processor
multiplies matrices in the same type, and how much longer the generator alone and a whole step (with the features of the
objective) take. Mode `encoder` is timed end to end, as processor time for each slice.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.optimiser import ready_for_search
from monai_semgan.inversion.search import VolumeInverter
from monai_semgan.networks import InversionSegmenter, JointGenerator, LatentEncoder, build_student
from monai_semgan.utils.device import autocast, fast_bfloat16, select_device
from monai_semgan.utils.progress import StepEvent
from monai_semgan.utils.versions import machine, versions

BASELINE = "one slice at a time"


def build(size: int, seed: int, device: torch.device) -> InversionSegmenter:
    """The architecture of the shipped model at a size, with random weights."""
    torch.manual_seed(seed)
    generator = JointGenerator(size)
    generator.update_mean_latent()
    encoder = LatentEncoder(num_latents=generator.num_latents)
    return InversionSegmenter(generator, encoder, build_student()).to(device).eval()


def synchronise(device: torch.device) -> None:
    """Wait for a GPU, so that clocks mean something."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def step_times(
    network: InversionSegmenter, slices: torch.Tensor, settings: InversionSettings
) -> list[tuple[float, float]]:
    """Seconds of every step over all slices: on the clock, and of the processor."""
    clock: list[tuple[float, float]] = []

    def tick(event: StepEvent[Any]) -> None:
        if event.phase == "step":
            synchronise(slices.device)
            clock.append((time.perf_counter(), time.process_time()))

    VolumeInverter(network, settings).run(slices, on_step=tick)
    return [(b[0] - a[0], b[1] - a[1]) for a, b in zip(clock[:-2], clock[1:-1], strict=True)]


def by_batch_size(
    network: InversionSegmenter, settings: InversionSettings, arguments: argparse.Namespace, device: torch.device
) -> list[dict[str, Any]]:
    """Milliseconds per slice and step for every batch size, and the ratio to the baseline."""
    rows: list[dict[str, Any]] = []
    for batch_size in [1, *sorted(set(arguments.batch_sizes) - {1})]:
        count = max(batch_size, min(arguments.slices, 8 if batch_size == 1 else arguments.slices))
        slices = torch.rand(count, 1, arguments.size, arguments.size, device=device) * 2 - 1
        medians, processor = [], []
        for _ in range(arguments.repeats):
            times = step_times(network, slices, replace(settings, batch_size=batch_size, steps=arguments.steps))
            medians.append(statistics.median(wall for wall, _ in times[2:]))
            processor.append(statistics.median(used for _, used in times[2:]))
        cost = 1000 * min(medians) / count
        ratio = (rows[0]["ms_per_slice_and_step"] if rows else cost) / cost
        rows.append(
            {
                "batch_size": batch_size,
                "slices": count,
                "ms_per_slice_and_step": round(cost, 3),
                "processor_ms_per_slice_and_step": round(1000 * min(processor) / count, 3),
                "spread_of_repeats": round(max(medians) / min(medians), 3),
                "times_faster_than_baseline": round(ratio, 2),
            }
        )
        print(f"batch {batch_size:4d}: {cost:8.3f} ms per slice and step, {ratio:5.2f} x {BASELINE}")
    return rows


def processor_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median processor time of a piece of work, after one that is not counted."""
    work()
    times = []
    for _ in range(max(3, repeats)):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)


def floor(network: InversionSegmenter, arguments: argparse.Namespace, step_ms: float) -> dict[str, Any]:
    """Processor time that the generator's arithmetic takes at this processor's peak, and what it takes in truth."""
    device, batch, edge = torch.device("cpu"), 4, 1024
    half = not arguments.full_precision and fast_bfloat16(device)
    start = network.generator.styles(torch.randn(batch, network.generator.latent_dim)).detach()

    def there_and_back() -> None:
        latents = start.clone().requires_grad_()
        with autocast(device, half):
            image = network.generator.synthesis(latents).image
        torch.autograd.grad(image.abs().mean(), latents)

    with ready_for_search(network):
        with FlopCounterMode(display=False) as counter:
            there_and_back()
        gigaflop = counter.get_total_flops() / batch / 1e9
        generator_ms = 1000 * processor_seconds(there_and_back, 9) / batch
    matrix = torch.randn(edge, edge, dtype=torch.bfloat16 if half else torch.float32)
    peak = 2 * edge**3 / processor_seconds(lambda: matrix @ matrix, 9) / 1e9
    floor_ms = 1000 * gigaflop / peak
    print(
        f"floor: {gigaflop:.1f} GFLOP at {peak:.0f} GFLOP/s, {floor_ms:.1f} ms; generator there and back "
        f"{generator_ms:.1f} ms ({generator_ms / floor_ms:.2f} x), a whole step {step_ms:.1f} ms of processor"
    )
    return {
        "gigaflop_per_slice": round(gigaflop, 2),
        "gigaflop_per_processor_second": round(peak),
        "floor_ms_per_slice": round(floor_ms, 2),
        "generator_ms_per_slice": round(generator_ms, 2),
        "generator_times_floor": round(generator_ms / floor_ms, 2),
        "step_times_floor": round(step_ms / floor_ms, 2),
    }


def encoder_mode(
    network: InversionSegmenter, settings: InversionSettings, arguments: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    """Processor time for each slice of mode `encoder`, from slices to result."""
    slices = torch.rand(arguments.slices, 1, arguments.size, arguments.size, device=device) * 2 - 1
    inverter = VolumeInverter(network, settings.rendering_only())
    cost = 1000 * processor_seconds(lambda: inverter.run(slices), 1) / len(slices)
    print(f"mode encoder: {cost:.1f} ms of processor per slice")
    return {"slices": len(slices), "processor_ms_per_slice": round(cost, 2)}


def whole_volume(
    network: InversionSegmenter, settings: InversionSettings, arguments: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    """Seconds for a volume from slices to result: encoder, targets, search, final rendering."""
    slices = torch.rand(arguments.volume_slices, 1, arguments.size, arguments.size, device=device) * 2 - 1
    synchronise(device)
    started, used = time.perf_counter(), time.process_time()
    VolumeInverter(network, replace(settings, steps=arguments.volume_steps)).run(slices)
    synchronise(device)
    seconds, used = time.perf_counter() - started, time.process_time() - used
    print(
        f"{arguments.volume_slices} slices, {arguments.volume_steps} steps: {seconds:.1f} s ({used:.1f} s of processor)"
    )
    return {
        "slices": arguments.volume_slices,
        "steps": arguments.volume_steps,
        "seconds": round(seconds, 2),
        "processor_seconds": round(used, 2),
    }


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="edge length of the slices")
    parser.add_argument("--objective", default="features")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--slices", type=int, default=32, help="slices for each batch size")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=None)
    parser.add_argument("--steps", type=int, default=8, help="at least 5")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--volume-slices", type=int, default=0, help="also time a whole volume with so many slices")
    parser.add_argument("--volume-steps", type=int, default=30)
    parser.add_argument("--full-precision", action="store_true", help="float32 even where bfloat16 is fast")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Run and record."""
    arguments = parse()
    device = select_device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.batch_sizes is None:
        arguments.batch_sizes = [1, 8, 32, 128] if device.type == "cuda" else [1, 2, 4, 8]
    settings = InversionSettings(
        objective=arguments.objective, patience=0, mixed_precision=not arguments.full_precision, seed=arguments.seed
    )
    network = build(arguments.size, arguments.seed, device)
    record: dict[str, Any] = {
        "benchmark": "inversion",
        "size": arguments.size,
        "seed": arguments.seed,
        "bfloat16": settings.mixed_precision and fast_bfloat16(device),
        "settings": asdict(settings),
        "machine": machine(device, 1),
        "versions": versions(),
        "baseline": BASELINE,
        "batches": by_batch_size(network, settings, arguments, device) if arguments.repeats else [],
    }
    if device.type == "cpu" and record["batches"]:
        fastest = min(row["processor_ms_per_slice_and_step"] for row in record["batches"])
        record["floor"] = floor(network, arguments, fastest)
    record["mode_encoder"] = encoder_mode(network, settings, arguments, device)
    if arguments.volume_slices:
        record["volume"] = whole_volume(network, settings, arguments, device)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
