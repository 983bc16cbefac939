"""Settings of the joint GAN's training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from monai_semgan.utils.settings import check_ranges, checked


@checked
@dataclass(frozen=True)
class GanSettings:
    """Settings of the adversarial training.

    Args:
        batch_size: images per step and process.
        learning_rate: of Adam, all networks.
        joint_loss: loss of the joint discriminator, `hinge` or `logistic`; images alone use `logistic`.
        joint_weight: weight of the joint discriminator in the generator's loss.
        r1_gamma: weight of R1 of the image discriminator.
        joint_r1_gamma: weight of R1 of the joint discriminator, whose score is a mean over patches.
        r1_interval: steps between two R1 terms, which are weighted up accordingly.
        path_weight: weight of path length regularisation; 0 for none.
        path_interval: steps between two path length terms.
        mixing: share of samples with style mixing.
        noise: random noise in the generator's layers while training.
        label_smoothing: how far real labels are from one-hot.
        augment: strength of the discriminators' augmentation, at the start if it adapts.
        adapt: adapt the strength to each discriminator's overfitting.
        adapt_images: images in which the strength can go from 0 to 1.
        discriminator_warmup: steps before the generator begins to learn, for a given generator without discriminators.
        ema_images: half-life of the averaged weights in images.
        latent_dim: length of a latent.
        channels: trunk channels by resolution, of generator and image discriminator, or None for the slim ones.
        mapping_layers: depth of the mapping network.
        joint_channels: channels of the joint discriminator's first layer.
        resample_filter: taps of the upsampling filter.
        quality_images: most generated images for the Frechet distance; a quarter of them before the end, and fewer
            where they would take more than a twentieth of the time.
        compile: `torch.compile` generator and discriminators, where no second derivative is taken.
    """

    batch_size: int = 32
    learning_rate: float = 2e-3
    joint_loss: Literal["logistic", "hinge"] = "hinge"
    joint_weight: float = 1.0
    r1_gamma: float = 1.0
    joint_r1_gamma: float = 10.0
    r1_interval: int = 16
    path_weight: float = 0.0
    path_interval: int = 8
    mixing: float = 0.5
    noise: bool = True
    label_smoothing: float = 0.05
    augment: float = 0.2
    adapt: bool = True
    adapt_images: int = 100_000
    discriminator_warmup: int = 0
    ema_images: float = 10_000.0
    latent_dim: int = 256
    channels: Mapping[int, int] | None = None
    mapping_layers: int = 6
    joint_channels: int = 48
    resample_filter: Sequence[int] = (1, 3, 3, 1)
    quality_images: int = 2048
    compile: bool = False

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("batch_size", "r1_interval", "path_interval", "adapt_images", "latent_dim", "mapping_layers")
            + ("joint_channels", "quality_images"),
            positive=("learning_rate", "ema_images"),
            not_negative=("joint_weight", "r1_gamma", "joint_r1_gamma", "path_weight", "discriminator_warmup"),
            shares=("mixing", "label_smoothing", "augment"),
        )
