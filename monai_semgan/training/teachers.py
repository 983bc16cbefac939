"""Trained networks that label slices for others to learn from (cross pseudo supervision: Chen et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from monai_semgan.errors import SemganError
from monai_semgan.networks import InversionSegmenter, JointGenerator, LatentEncoder, StudentUNet
from monai_semgan.networks.weights import load_into, part
from monai_semgan.training.more_classes import student_classes
from monai_semgan.training.pretrained import encoder_arguments, student_channels


def build_rendering(
    weights: Mapping[str, torch.Tensor], generator: JointGenerator, spatial_size: int
) -> InversionSegmenter:
    """Build the network that encodes a slice and renders its label, in one pass of the encoder.

    One pass is the cheapest; those after it, where an encoder has learnt them, are left out.

    Args:
        weights: those of the encoder among them, by prefix.
        generator: that the encoder was trained with.
        spatial_size: edge length of the spatial part of the latents, which no weight tells.

    Returns:
        Frozen network from images `(N, C, H, W)` to logits `(N, K, H, W)`, on the device of the generator.

    Raises:
        SemganError: if there is no encoder, or if it belongs to another generator.
    """
    state = part(weights, "encoder")
    if not state:
        remedy = "give a finished run of the encoder in --init, or set teacher=self"
        raise SemganError("there is no encoder whose renderings could teach", remedy=remedy)
    encoder = LatentEncoder(**encoder_arguments(state), spatial_size=spatial_size)
    _check_fit(encoder, state, generator)
    load_into(encoder, state)
    network = InversionSegmenter(generator, encoder.to(generator.mean_latent.device), nn.Identity(), "encoder")
    return network.eval().requires_grad_(False)


def build_student_teacher(weights: Mapping[str, torch.Tensor], num_classes: int, device: torch.device) -> StudentUNet:
    """Build the student among weights.

    Args:
        weights: those of the student among them, by prefix.
        num_classes: that are trained, background included.
        device: to compute on.

    Returns:
        Frozen network from images `(N, C, H, W)` to logits `(N, K, H, W)`.

    Raises:
        SemganError: if there is no student, or if it knows other classes.
    """
    state = part(weights, "student")
    known = student_classes(state)
    if known != num_classes:
        remedy = "give a finished run of the student for these labels in --init, or set teacher=self"
        has = f"the student in --init knows {known} classes, not {num_classes}" if known else "there is no student"
        raise SemganError(f"{has}, so none can teach", remedy=remedy)
    channels = student_channels(state)
    network = StudentUNet(state["model.0.residual.weight"].shape[1], known, channels)
    load_into(network, state)
    return network.to(device).eval().requires_grad_(False)


def _check_fit(encoder: LatentEncoder, state: Mapping[str, torch.Tensor], generator: JointGenerator) -> None:
    fits = tuple(state["heads"].shape[:2]) == (generator.num_latents, generator.latent_dim)
    if encoder.spatial_channels > 0:
        fits = fits and encoder.spatial_channels == generator.trunk_channels(encoder.spatial_size)
    if not fits:
        problem = "the encoder belongs to another generator, so its renderings cannot teach"
        raise SemganError(problem, remedy="give the run that trained both in --init, or set teacher=self")
