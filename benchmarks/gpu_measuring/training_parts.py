"""The stages of training, beside the same with one image at a time in float32."""

from __future__ import annotations

import contextlib
from typing import Any

from .room import Room

TINY_STAGES: dict[str, dict[str, Any]] = {
    "gan": {"latent_dim": 16, "channels": {4: 16, 8: 16, 16: 16, 32: 8}, "joint_channels": 8, "batch_size": 4},
    "encoder": {"channels": (8, 8, 16, 16), "pool_chunk": 8, "pool_chunks": 1, "batch_size": 4},
    "student": {"channels": (8, 16, 16), "pool_chunk": 8, "pool_chunks": 1, "batch_size": 4},
}

LOOP_SETTINGS: dict[str, dict[str, Any]] = {"gan": {}, "encoder": {"generated_fraction": 1.0}, "student": {}}
"""What a stage needs so that it can train on one image at a time."""


def gan(room: Room) -> dict[str, Any]:
    """Images per second of the GAN stage."""
    return train_stage(room, "gan")


def encoder(room: Room) -> dict[str, Any]:
    """Images per second of the encoder stage."""
    return train_stage(room, "encoder")


def student(room: Room) -> dict[str, Any]:
    """Images per second of the student stage."""
    return train_stage(room, "student")


def train_stage(room: Room, name: str) -> dict[str, Any]:
    """Images per second of a stage, beside the same with one image at a time in float32."""
    ours = stage_images_per_second(room, name, {}, True)
    loop = stage_images_per_second(room, name, {"batch_size": 1, **LOOP_SETTINGS[name]}, False)
    record = {
        "images_per_s": round(ours, 2),
        "loop_images_per_s": round(loop, 2),
        "times_faster": round(ours / loop, 2),
    }
    if name == "gan" and room.cuda:
        with contextlib.suppress(Exception):  # a compiler may be missing; the figures above stay
            record["compiled_images_per_s"] = round(stage_images_per_second(room, name, {"compile": True}, True), 2)
    return record


def stage_images_per_second(room: Room, name: str, settings: dict[str, Any], mixed_precision: bool) -> float:
    """Images per second of a stage over blocks of 16 steps, so that terms that are due now and then come in."""
    import torch

    stage = build_stage(room, name, settings, mixed_precision)
    block = 2 if room.sizes.tiny else 16
    step = 0

    def steps() -> None:
        nonlocal step
        for _ in range(block):
            torch.manual_seed(step)
            stage.step(step)
            step += 1

    return float(block * stage.batch_size / room.time(steps, least=2))


def build_stage(room: Room, name: str, settings: dict[str, Any], mixed_precision: bool) -> Any:
    """A stage on random slices, with a random generator where it needs one."""
    import torch

    from monai_semgan.data.slice_set import SliceSet
    from monai_semgan.networks import JointGenerator
    from monai_semgan.training.engine.distributed import Workers
    from monai_semgan.training.stages.stage import StageContext
    from monai_semgan.training.stages.stage_registry import find_stage

    size, tiny = (32, TINY_STAGES) if room.sizes.tiny else (128, {})
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(48, 1, 8, 8, generator=source)
    image = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    labels = (image[:, 0] * 4.99).to(torch.uint8)
    volumes = torch.arange(48) // 12
    slices = SliceSet((image * 255).to(torch.uint8), labels, volumes, tuple("abcd"), (), (), ()).to(room.device)
    workers = Workers(room.device)
    context = StageContext(slices, None, room.device, workers, size=size, mixed_precision=mixed_precision)
    own = find_stage(name).settings(**{**tiny.get(name, {}), **settings})
    torch.manual_seed(0)
    if name == "gan":
        return find_stage(name).build(context, own, lambda any_classes=False: None)[0]  # type: ignore[arg-type, return-value]
    from monai_semgan.training.stages.stage_registry import TrainedGenerator

    generator_settings = {k: v for k, v in tiny.get("gan", {}).items() if k in ("latent_dim", "channels")}
    generator = JointGenerator(size, **generator_settings)
    generator.update_mean_latent(512)
    trained = TrainedGenerator(generator, (1, 3, 3, 1), min(16, size // 2))
    return find_stage(name).build(context, own, lambda any_classes=False: trained)[0]
