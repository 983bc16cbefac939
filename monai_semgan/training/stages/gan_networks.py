"""The three networks of the joint GAN, as its training begins with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_semgan.networks import ImageDiscriminator, JointDiscriminator, JointGenerator
from monai_semgan.training.pretrained import build_generator

if TYPE_CHECKING:
    from monai_semgan.training.stages.gan_settings import GanSettings
    from monai_semgan.training.stages.stage import StageContext


def gan_networks(
    context: StageContext, settings: GanSettings
) -> tuple[JointGenerator, ImageDiscriminator, JointDiscriminator]:
    """Make generator, image discriminator and joint discriminator on the device of the stage.

    The generator is that of the initial weights where they have one; all other weights come from PyTorch's global
    source.

    Raises:
        SemganError: if the generator among the initial weights is for other slices or classes.
    """
    device, channels, size = context.device, settings.channels, context.size
    image_channels = context.slices.images.shape[1]
    taps, classes = settings.resample_filter, context.num_classes
    generator = build_generator(context.initial, size, classes, taps, image_channels)
    if generator is None:
        generator = JointGenerator(
            size,
            settings.latent_dim,
            image_channels,
            classes,
            channels,
            settings.mapping_layers,
            resample_filter=tuple(taps),
        )
    scales = 3 if size >= 64 else 2  # the third would see 8 pixels, too few for its layers
    image = ImageDiscriminator(size, image_channels, channels)
    joint = JointDiscriminator(image_channels, classes, settings.joint_channels, num_scales=scales)
    return generator.to(device), image.to(device), joint.to(device)
