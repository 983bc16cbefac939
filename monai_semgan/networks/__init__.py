"""Networks: joint generator, discriminators, latent encoder, student and the segmenter that joins them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monai_semgan.networks.encoder import LatentEncoder
from monai_semgan.networks.generator import JointGenerator, JointSample
from monai_semgan.networks.latent import Latent
from monai_semgan.networks.segmenter import InversionSegmenter
from monai_semgan.networks.unet import StudentEnsemble, StudentUNet, build_student

if TYPE_CHECKING:
    from monai_semgan.networks.discriminators import ImageDiscriminator, JointDiscriminator

__all__ = [
    "ImageDiscriminator",
    "InversionSegmenter",
    "JointDiscriminator",
    "JointGenerator",
    "JointSample",
    "Latent",
    "LatentEncoder",
    "StudentEnsemble",
    "StudentUNet",
    "build_student",
]


def __getattr__(name: str) -> Any:
    """Import the discriminators when asked for: only training needs them, and they need MONAI, which takes seconds."""
    if name in ("ImageDiscriminator", "JointDiscriminator"):
        from monai_semgan.networks import discriminators

        return getattr(discriminators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
