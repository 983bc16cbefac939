"""A stage of a run from what came before it: weights of earlier stages and of other runs, and their generator."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from monai_semgan.training.engine.run_files import gather_weights, stage_folders
from monai_semgan.training.pretrained import (
    BILINEAR,
    build_generator,
    holds_generator,
    told_filter,
    trained_spatial_size,
    with_one_student,
)
from monai_semgan.training.stages.stage import Stage, StageContext
from monai_semgan.training.stages.stage_registry import TrainedGenerator, find_stage, stage_position

logger = logging.getLogger(__name__)


def initial_weights(sources: Sequence[Path], out: Path, name: str) -> dict[str, torch.Tensor]:
    """Weights to begin a stage with: those of `init`, and those of earlier stages of this run."""
    weights: dict[str, torch.Tensor] = {}
    for source in sources:
        weights.update(gather_weights(source))
    for folder in stage_folders(out):
        earlier = stage_position(folder.name) < stage_position(name)
        if earlier and any(folder.glob("weights*.pt")):
            weights.update(gather_weights(folder))
    return with_one_student(weights)


def build_stage(
    name: str, settings: Any, context: StageContext, out: Path, sources: Sequence[Path]
) -> tuple[Stage, dict[str, Any]]:
    """Make a stage, and describe its networks for the record."""

    def generator(any_classes: bool = False) -> TrainedGenerator:
        earlier = [folder for folder in stage_folders(out) if stage_position(folder.name) < stage_position(name)]
        told = told_filter([folder for folder in earlier if holds_generator(folder)] or sources)
        resample_filter = told or BILINEAR
        encoders = [folder for folder in earlier if folder.name == "encoder"]
        spatial_size = trained_spatial_size(encoders or sources, context.size)
        classes = None if any_classes else context.num_classes
        channels = context.slices.images.shape[1]
        network = build_generator(context.initial, context.size, classes, resample_filter, channels)
        if network is not None and not told:
            logger.warning(
                "nothing beside the weights tells with which filter the generator was trained: taking %s; give the run "
                "or the bundle in --init, not the file alone, if it was another",
                resample_filter,
            )
        return TrainedGenerator(network, resample_filter, spatial_size)

    return find_stage(name).build(context, settings, generator)
