"""A tiny generator, and an encoder's stage on the phantoms outside of any loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.data.slice_set import SliceSet
from monai_semgan.networks import JointGenerator
from monai_semgan.networks.weights import save_weights, with_prefix
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.stages.encoder_settings import EncoderSettings
from monai_semgan.training.stages.encoder_stage import EncoderStage
from monai_semgan.training.stages.stage import StageContext
from tests.training.phantoms import TINY

#: Settings of the stage that make a step take milliseconds.
SMALL: dict[str, Any] = {"channels": (8, 8, 16, 16), "pool_chunk": 16, "pool_chunks": 4, "batch_size": 8}

#: The same with those of the run.
ENCODER: dict[str, Any] = {**TINY, **SMALL}


def tiny_generator(num_classes: int = 3) -> JointGenerator:
    """A generator of 32 pixels that has learnt nothing."""
    torch.manual_seed(0)
    generator = JointGenerator(32, 16, 1, num_classes, {4: 16, 8: 16, 16: 8, 32: 8}, mapping_layers=2)
    generator.update_mean_latent(512)
    return generator


def write_generator(path: Path, num_classes: int = 3) -> Path:
    """The weights of `tiny_generator` in a file."""
    save_weights(path, with_prefix(tiny_generator(num_classes).state_dict(), "generator"), half=False)
    return path


def phantom_slices(datalist: Path, cache: Path) -> SliceSet:
    """The training slices of the phantoms."""
    preprocessing = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
    return build_slice_set(load_datalist(datalist).training, preprocessing, cache)


def encoder_context(slices: SliceSet, initial: Mapping[str, torch.Tensor] | None = None) -> StageContext:
    """What the stage is given on this machine."""
    device = torch.device("cpu")
    workers = Workers(device)
    return StageContext(slices, None, device, workers, 0, 32, 3, initial or {}, mixed_precision=False)


def encoder_stage(
    slices: SliceSet, num_classes: int = 3, initial: Mapping[str, torch.Tensor] | None = None, **settings: Any
) -> EncoderStage:
    """A stage with a generator of so many classes."""
    context = encoder_context(slices, initial)
    stage = EncoderStage(context, EncoderSettings(**{**SMALL, **settings}), tiny_generator(num_classes))
    stage.set_rate(0.1)
    return stage
