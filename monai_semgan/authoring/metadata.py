"""What the networks of a bundle take and give, in the terms of MONAI's metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLOURS = ("red", "green", "blue")

TENSOR = {"dtype": "float32", "is_patch_data": False}


def data_formats(
    labels: Sequence[str],
    modality: str,
    size: int,
    image_channels: int,
    num_latents: int,
    latent_dim: int,
    spatial: tuple[int, int] = (0, 0),
) -> dict[str, Any]:
    """`network_data_format`, and that of generator, encoder and student.

    Args:
        labels: organ names of the ids 1, 2, ...
        modality: `CT`, `MR`, `DX` or `XC`; several as `CT/MR`.
        size: side of a slice in pixels.
        image_channels: of the image.
        num_latents: codes of an image in W+.
        latent_dim: length of a code.
        spatial: channels and side of the codes' spatial part; no channels where there is none.
    """
    image = image_format(modality, size, image_channels)
    pred = label_format(labels, size)
    noise = _tensor("noise", "latent", latent_dim, [], [], {"0": "normal noise"})
    codes = _tensor("feature", "latent", num_latents, [latent_dim], [], {"0": "one w of W+ per channel"})
    found = {"latent": codes}
    if spatial[0] > 0:
        channels, side = spatial
        where = {"0": "added to one channel of the generator's trunk per channel"}
        found["spatial"] = _tensor("feature", "latent", channels, [side, side], [], where)
    rendering = {key: value for key, value in image.items() if key != "modality"}
    rendering |= {"format": "magnitude"}
    if image_channels == 1:
        rendering |= {"channel_def": {"0": "rendered image"}}
    return {
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": pred}},
        "generator_data_format": {"inputs": {"latent": noise}, "outputs": {"image": rendering, "pred": pred}},
        "encoder_data_format": {"inputs": {"image": image}, "outputs": found},
        "student_data_format": {"inputs": {"image": image}, "outputs": {"pred": pred}},
    }


def image_format(modality: str, size: int, image_channels: int) -> dict[str, Any]:
    """A slice, as the networks see it."""
    unit = "hounsfield" if modality == "CT" else "magnitude"
    names = COLOURS if image_channels == len(COLOURS) else ("image",)
    channel_def = {str(index): name for index, name in enumerate(names)}
    return _tensor("image", unit, image_channels, [size, size], [-1, 1], channel_def) | {"modality": modality}


def label_format(labels: Sequence[str], size: int) -> dict[str, Any]:
    """Logits of a slice, one channel per label."""
    channels = {"0": "background"} | {str(index): label for index, label in enumerate(labels, start=1)}
    return _tensor("image", "segmentation", len(channels), [size, size], [], channels)


def _tensor(
    kind: str, form: str, channels: int, shape: list[int], values: list[int], names: Mapping[str, str]
) -> dict[str, Any]:
    content = {"type": kind, "format": form, "num_channels": channels, "spatial_shape": shape, "value_range": values}
    return content | TENSOR | {"channel_def": dict(names)}
