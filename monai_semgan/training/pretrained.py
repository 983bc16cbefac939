"""Networks from weights alone: which architecture they belong to, and frozen ones to learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks import ImageDiscriminator, JointGenerator, LatentEncoder
from monai_semgan.networks.weights import load_into, part, with_prefix
from monai_semgan.training.engine.run_files import read_json

SPATIAL = ("join.", "to_spatial.", "spatial_scale")
"""What an encoder with a spatial part has beside one to W+ alone."""

BILINEAR: tuple[int, ...] = (1, 3, 3, 1)
"""Filter of upsampling of this package's own training."""


def generator_arguments(state: Mapping[str, torch.Tensor]) -> dict[str, object]:
    """Constructor arguments of the `JointGenerator` that a state dict (without prefix) was made by."""
    levels = sorted({int(match[1]) for name in state if (match := re.match(r"blocks\.(\d+)\.", name))})
    layers = {match[1] for name in state if (match := re.match(r"mapping_net\.(\d+)\.", name))}
    try:
        return {
            "size": 4 * 2 ** levels[-1],
            "latent_dim": int(state["mean_latent"].shape[0]),
            "image_channels": int(state["image_bias"].shape[0]),
            "num_classes": int(state["label_bias"].shape[0]),
            "channels": {4 * 2**k: int(state[f"blocks.{k}.conv.bias"].shape[0]) for k in levels},
            "mapping_layers": len(layers),
        }
    except (KeyError, IndexError) as error:
        raise SemganError("these are no weights of a joint generator", remedy="check --init") from error


def encoder_arguments(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Constructor arguments of the `LatentEncoder` of a state dict (without prefix), as far as that tells them."""
    widths = [len(state["stem.weight"])]
    while (name := f"stages.{len(widths) - 1}.0.conv0.weight") in state:
        widths.append(len(state[name]))
    return {
        "image_channels": state["stem.weight"].shape[1] // 2,
        "num_latents": state["heads"].shape[0],
        "latent_dim": state["heads"].shape[1],
        "channels": widths,
        "grid": state["templates"].shape[2],
        "spatial_channels": len(state.get("spatial_scale", ())),
    }


def student_members(state: Mapping[str, torch.Tensor]) -> int:
    """Count the networks of a student (state dict without prefix): several where their probabilities are averaged."""
    return max(1, len({name.split(".")[1] for name in state if name.startswith("members.")}))


def _first_member(state: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    return part(state, "members.0") or state


def with_one_student(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take the first of several students whose probabilities a bundle averages, as the one to begin a training with.

    Args:
        weights: by prefix; those of a single student, or of none, are left as they are.
    """
    state = part(weights, "student")
    if student_members(state) == 1:
        return dict(weights)
    others = {name: tensor for name, tensor in weights.items() if not name.startswith("student.")}
    return {**others, **with_prefix(_first_member(state), "student")}


def student_channels(state: Mapping[str, torch.Tensor]) -> list[int]:
    """Channels by level of the student of a state dict (without prefix), whose levels lie inside one another."""
    state, prefix, widths = _first_member(state), "model.", []
    while (name := f"{prefix}0.conv.unit0.conv.weight") in state:
        widths.append(int(state[name].shape[0]))
        prefix += "1.submodule."
    return [*widths, int(state[f"{prefix}conv.unit0.conv.weight"].shape[0])]


def student_ends(state: Mapping[str, torch.Tensor]) -> tuple[int, int]:
    """Channels of the images, and classes, of the student of a state dict (without prefix)."""
    state = _first_member(state)
    first, last = (state[f"model.{name}.conv.unit0.conv.weight"] for name in ("0", "2.1"))
    return int(first.shape[1]), int(last.shape[0])


def truncated(state: Mapping[str, torch.Tensor], size: int) -> dict[str, torch.Tensor]:
    """The state dict without the resolutions above `size`."""

    def below(name: str) -> bool:
        match = re.match(r"blocks\.(\d+)\.", name)
        return match is None or 4 * 2 ** int(match[1]) <= size

    return {name: tensor for name, tensor in state.items() if below(name)}


def holds_generator(folder: Path) -> bool:
    """Whether a stage has left a generator in its folder: the GAN its own, the encoder the one that it has tuned."""
    if not any(folder.glob("weights*.pt")):
        return False
    return folder.name == "gan" or tuned(read_json(folder / "record.json"))


def tuned(record: Mapping[str, Any]) -> bool:
    """Whether the record is that of an encoder with which a generator was trained."""
    return record.get("network", {}).get("tune", "none") != "none"


def trained_filter(sources: Iterable[Path]) -> tuple[int, ...]:
    """The upsampling filter of the generator in these files or folders, bilinear if nothing tells."""
    return told_filter(sources) or BILINEAR


def told_filter(sources: Iterable[Path]) -> tuple[int, ...]:
    """The upsampling filter that is told beside these files or folders; empty if nothing tells.

    It is no weight: a run's record, or the configuration of a bundle, tells it.
    """
    found: tuple[int, ...] = ()
    for source in sources:
        folder = source.parent if source.is_file() else source
        bundle = read_json(folder.parent / "configs" / "inference.json").get("generator_def", {})
        places = [folder, folder / "gan", *([folder / "encoder"] if holds_generator(folder / "encoder") else [])]
        records = [read_json(path / "record.json").get("network", {}) for path in places]
        for described in (bundle, *records):
            found = tuple(described.get("resample_filter", found))
    return found


def trained_spatial_size(sources: Iterable[Path], size: int) -> int:
    """The edge length of the spatial part with which the encoder in these files or folders was trained.

    It is no weight either.

    Args:
        sources: as for `trained_filter`.
        size: of the images; where nothing tells, the size is the usual one for them.
    """
    found = min(16, size // 2)
    for source in sources:
        folder = source.parent if source.is_file() else source
        bundle = read_json(folder.parent / "configs" / "inference.json").get("encoder_def", {})
        records = [read_json(path / "record.json").get("network", {}) for path in (folder, folder / "encoder")]
        for described in (bundle, *records):
            found = int(described.get("spatial_size", found))
    return found


def build_generator(
    weights: Mapping[str, torch.Tensor],
    size: int,
    num_classes: int | None,
    resample_filter: Sequence[int] = BILINEAR,
    image_channels: int | None = None,
) -> JointGenerator | None:
    """The generator among `weights` at `size` pixels, or None when they hold none.

    Higher resolutions than `size` are cut off, which the skip architecture allows. With `num_classes` None it may know
    any classes, with `image_channels` None render grey values or colours.

    Raises:
        SemganError: if the weights are of a smaller generator, or of other classes or channels.
    """
    state = part(weights, "generator")
    if not state:
        return None
    arguments = generator_arguments(state)
    trained = int(str(arguments["size"]))
    if trained < size:
        problem = f"the generator makes {trained} pixels, not {size}"
        raise SemganError(problem, remedy=f"use --size {trained} or other weights in --init")
    if image_channels not in (None, arguments["image_channels"]):
        problem = f"the generator makes images of {arguments['image_channels']} channels, not {image_channels}"
        raise SemganError(problem, remedy="use weights that were trained on such images in --init")
    if num_classes is not None and arguments["num_classes"] != num_classes:
        problem = f"the generator knows {arguments['num_classes']} classes, not {num_classes}"
        raise SemganError(problem, remedy="use weights for these labels in --init")
    state = truncated(state, size)
    generator = JointGenerator(**{**generator_arguments(state), "resample_filter": tuple(resample_filter)})  # type: ignore[arg-type]
    load_into(generator, state)
    return generator


def build_image_discriminator(weights: Mapping[str, torch.Tensor], size: int) -> ImageDiscriminator | None:
    """The image discriminator among `weights`, frozen, or None when they hold none for `size` pixels."""
    state = part(weights, "image_discriminator")
    blocks = [state[name] for k in range(16) if (name := f"blocks.{k}.conv1.weight") in state]
    if not blocks or 4 * 2 ** len(blocks) != size:
        return None
    channels = {size // 2 ** (k + 1): int(weight.shape[0]) for k, weight in enumerate(blocks)}
    first = state["from_image.weight"]
    discriminator = ImageDiscriminator(size, int(first.shape[1]), {size: int(first.shape[0]), **channels})
    load_into(discriminator, state)
    return discriminator.eval().requires_grad_(False)


def with_spatial_part(weights: Mapping[str, torch.Tensor], encoder: LatentEncoder) -> dict[str, torch.Tensor]:
    """Complete the weights of an encoder to W+ alone by the spatial part of `encoder`, which has learnt nothing yet.

    Args:
        weights: by prefix; those that hold no encoder, or one with a spatial part, are left as they are.
        encoder: that the weights are for.
    """
    state = part(weights, "encoder")
    if not state or any(name.startswith(SPATIAL) for name in state):
        return dict(weights)
    own = {name: tensor for name, tensor in encoder.state_dict().items() if name.startswith(SPATIAL)}
    return {**weights, **with_prefix(own, "encoder")}


def frozen(generator: JointGenerator, device: torch.device) -> JointGenerator:
    """The generator on `device`, in evaluation mode and without gradients of its weights."""
    return generator.to(device).eval().requires_grad_(False)
