"""The student: a plain U-Net that learns from generated pairs and labelled scans, for previews on any machine."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import UNet


def build_student(
    image_channels: int = 1, num_classes: int = 5, channels: Sequence[int] = (32, 64, 128, 192, 192)
) -> UNet:
    """Build MONAI's residual U-Net for slices.

    Args:
        image_channels: 1 or 3.
        num_classes: label channels, background included.
        channels: channels by level; the first level works at half the resolution, which halves the time on a CPU.

    Returns:
        Network from `(N, C, H, W)` to logits `(N, K, H, W)`; H and W must be multiples of `2 ** (levels - 1)`.
    """
    return UNet(
        spatial_dims=2,
        in_channels=image_channels,
        out_channels=num_classes,
        channels=channels,
        strides=(2,) * (len(channels) - 1),
        num_res_units=2,
        norm="instance",
    )
