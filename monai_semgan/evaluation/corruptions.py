"""Corrupted scans, to learn what a failing segmentation looks like without any scan of another modality."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from monai_semgan.inference.views import AIR
from monai_semgan.training.augmentation.colour import COLOURS, ColourRandomisation, Randomisation
from monai_semgan.training.augmentation.contrast import ContrastRandomisation
from monai_semgan.training.augmentation.degradation import blur

Corruption = Callable[[torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]]
"""Slices `(D, C, H, W)` in -1..1 and classes `(D, H, W)` to both, corrupted."""


def _image_only(change: Callable[[torch.Tensor, torch.Generator], torch.Tensor]) -> Corruption:
    return lambda image, label, generator: (change(image, generator).clamp(-1, 1), label)


def _moved(change: Callable[[torch.Tensor], torch.Tensor]) -> Corruption:
    """Image and label move alike: a header that lies, or a patient who lies otherwise."""
    return lambda image, label, generator: (change(image), change(label))


def _noise(image: torch.Tensor, generator: torch.Generator, strength: float) -> torch.Tensor:
    return image + strength * torch.randn(image.shape, generator=generator)


def _contrast(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One contrast, or light and camera, for the whole volume."""
    channels = image.shape[1]
    flat = image.permute(1, 0, 2, 3).reshape(1, channels, -1, image.shape[-1])
    randomise: Randomisation = ContrastRandomisation(
        clean_probability=0.0, resolution_probability=0.0, blur_probability=0.0
    )
    if channels == COLOURS:
        randomise = ColourRandomisation(clean_probability=0.0)
    changed = randomise(flat, None, generator)
    return changed.reshape(image.shape[1], image.shape[0], *image.shape[2:]).permute(1, 0, 2, 3)


def _coarse(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    small = F.interpolate(image, scale_factor=1 / 6, mode="area")
    return F.interpolate(small, image.shape[-2:], mode="bilinear", align_corners=False)


CORRUPTIONS: dict[str, Corruption] = {
    "clean": _image_only(lambda image, generator: image),
    "negative": _image_only(lambda image, generator: torch.where(image > AIR, -image, image)),
    "contrast a": _image_only(_contrast),
    "contrast b": _image_only(_contrast),
    "contrast c": _image_only(_contrast),
    "noise": _image_only(lambda image, generator: _noise(image, generator, 0.25)),
    "strong noise": _image_only(lambda image, generator: _noise(image, generator, 0.7)),
    "blur": _image_only(lambda image, generator: blur(image, torch.full((image.shape[0],), 3.0))),
    "coarse": _image_only(_coarse),
    "narrow window": _image_only(lambda image, generator: image * 6 - 2.5),
    "upside down": _moved(lambda x: x.flip(0)),
    "turned": _moved(lambda x: x.rot90(1, (-2, -1))),
    "prone": _moved(lambda x: x.flip(-1)),
    "mirrored": _moved(lambda x: x.flip(-2)),
}
"""By name. Rows of a slice run along the patient's left-right axis, columns along back-front."""

SILENT = ("mirrored",)
"""Mistakes of the header that the result does not show: a fit that had to explain them would doubt everything."""
