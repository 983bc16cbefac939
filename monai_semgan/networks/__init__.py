"""Networks: joint generator, discriminators, latent encoder, student and the segmenter that joins them."""

from __future__ import annotations

from monai_semgan.networks.discriminators import ImageDiscriminator, JointDiscriminator
from monai_semgan.networks.encoder import LatentEncoder
from monai_semgan.networks.generator import JointGenerator, JointSample
from monai_semgan.networks.segmenter import InversionSegmenter
from monai_semgan.networks.unet import build_student

__all__ = [
    "ImageDiscriminator",
    "InversionSegmenter",
    "JointDiscriminator",
    "JointGenerator",
    "JointSample",
    "LatentEncoder",
    "build_student",
]
