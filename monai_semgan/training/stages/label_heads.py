"""Which weights of a generator are trained with the encoder, and label heads for other classes."""

from __future__ import annotations

import copy
import logging
from typing import cast

import torch
from torch import nn

from monai_semgan.networks import JointGenerator
from monai_semgan.networks.generator import SynthesisBlock
from monai_semgan.networks.layers import ModulatedConv2d
from monai_semgan.training.stages.encoder_settings import Tune

logger = logging.getLogger(__name__)

TUNED_RATE: dict[Tune, float] = {"labels": 1.0, "all": 0.5}
"""Learning rate of the generator's weights as a share of the encoder's: a trunk that has learnt much learns slower."""


def copy_with_classes(generator: JointGenerator, num_classes: int) -> JointGenerator:
    """Copy a generator; its label heads are drawn anew where they are for other classes.

    The numbers come from PyTorch's global source.

    Args:
        generator: is not changed.
        num_classes: classes with the background.
    """
    copied = copy.deepcopy(generator)
    if generator.num_classes == num_classes:
        return copied
    known = generator.num_classes
    logger.warning("the generator knows %d classes, not %d: its label heads are drawn anew", known, num_classes)
    copied.num_classes = num_classes
    copied.label_bias = nn.Parameter(torch.zeros(num_classes, device=generator.label_bias.device))
    for block in cast("list[SynthesisBlock]", copied.blocks):
        channels = block.to_label.weight.shape[1]
        head = ModulatedConv2d(channels, num_classes, 1, generator.latent_dim, demodulate=False)
        block.to_label = head.to(generator.label_bias.device)
    return copied


def tuned_parameters(generator: JointGenerator, tune: Tune) -> list[nn.Parameter]:
    """Let gradients reach the weights that are trained with the encoder, and no others.

    Returns:
        These weights.
    """
    for name, parameter in generator.named_parameters():
        parameter.requires_grad_(_is_tuned(name, tune))
    return [parameter for parameter in generator.parameters() if parameter.requires_grad]


def _is_tuned(name: str, tune: Tune) -> bool:
    if tune == "labels":
        return ".to_label." in name or name == "label_bias"
    return tune == "all" and not name.startswith("mapping_net.") and not name.endswith("noise_strength")
