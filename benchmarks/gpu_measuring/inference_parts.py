"""Preview, encoder and search of a whole volume, beside a loop with one slice at a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .fixed_shapes import search_step
from .room import Room


def peak(room: Room) -> dict[str, Any]:
    """Rate of a large matrix product, in TFLOP/s: what the floors of the other parts refer to."""
    import torch

    size = 8192 if room.cuda else 512
    found: dict[str, Any] = {}
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    for name, kind in kinds.items():
        if kind is torch.float32 or room.bfloat16:
            first, second = (torch.randn(size, size, device=room.device, dtype=kind) for _ in range(2))
            seconds = room.time(lambda a=first, b=second: a @ b)  # type: ignore[misc]
            found[f"{name}_tflops"] = round(2 * size**3 / seconds / 1e12, 3)
    found["tf32"] = bool(torch.backends.cuda.matmul.allow_tf32)
    return found


def beside_loop(room: Room, count: int, ours: float, loop: float) -> dict[str, Any]:
    """Milliseconds per slice of ours and of the loop over fewer slices, and how many times faster that is."""
    each, alone = 1000 * ours / count, 1000 * loop / min(room.sizes.loop, count)
    return {
        "ms_per_slice": round(each, 4),
        "loop_ms_per_slice": round(alone, 4),
        "times_faster": round(alone / each, 2),
    }


def preview(room: Room) -> dict[str, Any]:
    """The preview of a whole volume once everything is warm, slices to probabilities; and from scan to label."""
    import torch

    from monai_semgan.inference.preview import PreviewSettings, preview_slices
    from monai_semgan.inference.segmentation import segment
    from monai_semgan.inference.slice_modes import preview_settings
    from tests.phantoms import grid, patient

    settings, image = preview_settings(room.bundle), room.slices

    def with_batch(chosen: PreviewSettings) -> Callable[[], Any]:
        return lambda: preview_slices(room.network, image, chosen, device=room.device, distance_mm=2.0)

    ours = room.time(with_batch(settings))
    moved = [(a * settings.shift_pixels, b * settings.shift_pixels) for a in (-1, 1) for b in (-1, 1)]
    views = [(0, 0), *moved] if settings.shift_pixels else [(0, 0)]

    def loop() -> None:
        with torch.no_grad():
            for one in image[: room.sizes.loop].split(1):
                slices = [torch.roll(one.to(room.device), view, (2, 3)) for view in views]
                sum(room.network.preview(view).softmax(1) for view in slices).cpu()  # type: ignore[union-attr]

    record = beside_loop(room, len(image), ours, room.time(loop))
    record["ms_per_slice_by_batch"] = {
        size: round(1000 * room.time(with_batch(replace(settings, batch_size=size))) / len(image), 4)
        for size in ((8, 32, 128) if room.cuda else (1, 3))
    }
    volume = patient(*grid((2.0, 2.0, 200.0 / len(image))), seed=0)
    whole = room.time(lambda: segment(volume, room.bundle, modality="CT"))
    return record | {"slices": len(image), "seconds": round(ours, 3), "scan_to_label_seconds": round(whole, 3)}


def encode(room: Room) -> dict[str, Any]:
    """Latents of the encoder for a whole volume."""
    import torch

    from monai_semgan.inversion.restarts import encoder_start
    from monai_semgan.inversion.search import CPU_BATCH, GPU_BATCH

    image = room.slices.to(room.device)
    batch = GPU_BATCH if room.cuda else CPU_BATCH
    ours = room.time(lambda: encoder_start(room.network, image, batch))

    def loop() -> None:
        with torch.no_grad():
            for one in image[: room.sizes.loop].split(1):
                room.network.encode(one)

    return beside_loop(room, len(image), ours, room.time(loop)) | {"batch": batch}


def search(room: Room) -> dict[str, Any]:
    """Milliseconds per slice and step of the search, with its floor."""
    from monai_semgan.inversion.inversion_settings import InversionSettings

    settings = InversionSettings(patience=0, steps=room.sizes.steps)
    image = room.slices.to(room.device)
    ours = steps_seconds(room, image, settings)
    plain = InversionSettings(patience=0, steps=room.sizes.steps, batch_size=1, mixed_precision=False)
    loop = steps_seconds(room, image[: room.sizes.loop], plain)
    record = beside_loop(room, len(image), ours, loop)
    return record | {"steps": room.sizes.steps, "gflop_per_slice_and_step": round(render_flops(room) / 1e9, 3)}


def steps_seconds(room: Room, image: Any, settings: Any) -> float:
    """Median seconds of a step over all slices, without the first."""
    from monai_semgan.inversion.search import VolumeInverter

    clock: list[float] = []

    def tick(event: Any) -> None:
        if event.phase == "step":
            room.synchronise()
            clock.append(time.perf_counter())

    VolumeInverter(room.network, settings).run(image, on_step=tick)
    steps = [later - earlier for earlier, later in zip(clock[:-1], clock[1:], strict=True)]
    return statistics.median(steps[1:-1] or steps)


def render_flops(room: Room) -> float:
    """Floating-point operations of rendering one slice and of the gradient by its latents."""
    from torch.utils.flop_counter import FlopCounterMode

    step = search_step(room, 1, bfloat16=False)
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())
