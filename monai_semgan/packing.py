"""From trained weights to a bundle that `semgan segment` can use."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.bundle import (
    CONFIG,
    METADATA,
    RECORD,
    WEIGHTS,
    bundle_folder,
    load_bundle,
    organ_labels,
    read_metadata,
)
from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    import torch

PARTS = {"generator": "gan", "encoder": "encoder", "student": "student"}
"""Part of the network, and the stage that trains it."""


def pack_bundle(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    labels: Sequence[str] | None = None,
    modality: str = "CT",
    name: str | None = None,
    template: str | Path | None = None,
) -> Path:
    """Make a bundle of trained weights; the architecture is read off weights and records.

    Args:
        sources: weight files or folders of runs; later ones win where both hold a part.
        out: folder of the bundle, must not exist yet.
        labels: organ names of the ids 1, 2, ...; those of the template when left out.
        modality: what the generator has learnt from.
        name: of the bundle; that of the folder when left out.
        template: bundle whose configuration is taken over; the one that comes with the package when left out.

    Returns:
        The folder.

    Raises:
        SemganError: if a part is missing, the labels do not fit, or the bundle cannot be written.
    """
    from monai_semgan.training.files import gather_weights

    out, origin = Path(out), bundle_folder(template)
    if out.exists():
        raise SemganError("exists already", remedy="choose another folder or delete it", path=out)
    paths = [Path(source) for source in sources]
    weights: dict[str, torch.Tensor] = {}
    for path in paths:
        weights.update(gather_weights(path))
    weights = {k: v for k, v in weights.items() if k.split(".")[0] in PARTS}
    records = _records(paths)
    config = _configuration(_read(origin / CONFIG), weights, records, paths)
    before = read_metadata(origin)
    known = list(organ_labels(before).values())
    names = list(labels) if labels is not None else known
    config.pop("domain", None)  # tells of the weights that it was fitted for: `semgan calibrate` makes another
    config["slices"]["frame"] = "image" if modality == "DX" else "body"
    metadata = _metadata(before, config, names, modality, name or out.name)
    if names != known:  # other organs have other sizes
        config["patient"] = {k: v for k, v in config.get("patient", {}).items() if k != "organ_cm2"}
    _write(out, origin, config, metadata, weights, _summary(records))
    return out


def _records(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Record of every stage that the sources hold."""
    from monai_semgan.training.files import read_json

    found = {}
    for path in paths:
        folder = path if path.is_dir() else path.parent
        for candidate in (folder, *(folder / stage for stage in PARTS.values())):
            record = read_json(candidate / "record.json")
            if record.get("stage") in PARTS.values():
                found[record["stage"]] = record
    return found


def _configuration(
    template: dict[str, Any],
    weights: Mapping[str, torch.Tensor],
    records: Mapping[str, Mapping[str, Any]],
    paths: Sequence[Path],
) -> dict[str, Any]:
    """The template's configuration with the architecture of the weights."""
    from monai_semgan.networks.weights import part
    from monai_semgan.training.generators import generator_arguments, trained_filter

    for name, stage in PARTS.items():
        if not part(weights, name):
            problem = f"no weights of the {name}"
            raise SemganError(problem, remedy=f"run `semgan train {stage}` first or name them", path=paths[0])
    config = copy.deepcopy(template)
    generator = generator_arguments(part(weights, "generator"))
    channels = {str(size): width for size, width in dict(generator["channels"]).items()}  # type: ignore[call-overload]
    generator |= {"channels": channels, "resample_filter": list(trained_filter(paths))}
    config["generator_def"] |= generator
    config["encoder_def"] |= _encoder_arguments(part(weights, "encoder"), records.get("encoder", {}))
    student = {"image_channels": generator["image_channels"], "num_classes": generator["num_classes"]}
    config["student_def"] |= student | {"channels": _student_channels(part(weights, "student"))}
    config["slices"] |= {"size": generator["size"], "num_classes": generator["num_classes"]}
    for record in records.values():
        if "pixel_mm" in record.get("settings", {}):
            config["slices"]["pixel_mm"] = record["settings"]["pixel_mm"]
    return config


def _encoder_arguments(state: Mapping[str, torch.Tensor], record: Mapping[str, Any]) -> dict[str, Any]:
    latents, _, grid, _ = state["templates"].shape
    widths = [state["stem.weight"].shape[0]]
    while (name := f"stages.{len(widths) - 1}.0.conv0.weight") in state:
        widths.append(state[name].shape[0])
    return {
        "image_channels": state["stem.weight"].shape[1] // 2,
        "num_latents": latents,
        "latent_dim": state["heads"].shape[2],
        "channels": widths,
        "grid": grid,
        "refinement_passes": record.get("settings", {}).get("refinement_passes", 1),
    }


def _student_channels(state: Mapping[str, torch.Tensor]) -> list[int]:
    """Channels by level of MONAI's U-Net, whose levels lie inside one another."""
    prefix, widths = "model.", []
    while (name := f"{prefix}0.conv.unit0.conv.weight") in state:
        widths.append(state[name].shape[0])
        prefix += "1.submodule."
    return [*widths, state[f"{prefix}conv.unit0.conv.weight"].shape[0]]


def _metadata(
    template: dict[str, Any], config: Mapping[str, Any], names: Sequence[str], modality: str, name: str
) -> dict[str, Any]:
    """The template's metadata with names, shapes and modality of this model."""
    metadata = copy.deepcopy(template)
    classes, size = config["slices"]["num_classes"], config["slices"]["size"]
    if len(names) != classes - 1:
        problem = f"{len(names)} label names for {classes - 1} classes"
        raise SemganError(problem, remedy="give one name per class with --labels")
    channels = {"0": "background"} | {str(index): label for index, label in enumerate(names, start=1)}
    metadata["network_data_format"]["inputs"]["image"] |= {
        "modality": modality,
        "format": "hounsfield" if modality == "CT" else "magnitude",
        "num_channels": config["generator_def"]["image_channels"],
        "spatial_shape": [size, size],
    }
    pred = {"num_channels": classes, "spatial_shape": [size, size], "channel_def": channels}
    metadata["network_data_format"]["outputs"]["pred"] |= pred
    metadata |= part_formats(metadata["network_data_format"], config)
    return metadata | {
        "name": name,
        "version": "0.1.0",
        "changelog": {"0.1.0": "packed from a training run"},
        "description": f"Segments {', '.join(names)} with a joint generative model of images and labels",
        "data_source": "own data",
        "label_classes": f"one channel of ids: {', '.join(channels.values())}",
        "pred_classes": f"{classes} channels: {', '.join(channels.values())}",
        "eval_metrics": {},
    }


def part_formats(network: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What generator, encoder and student take and give, in the terms of the bundle format.

    Args:
        network: `network_data_format` of the metadata.
        config: content of `inference.json`.
    """
    image, pred = network["inputs"]["image"], network["outputs"]["pred"]
    common = {"dtype": "float32", "value_range": [], "is_patch_data": False}
    length, count = config["generator_def"]["latent_dim"], config["encoder_def"]["num_latents"]
    noise = {"type": "noise", "format": "latent", "num_channels": length, "spatial_shape": []}
    noise |= common | {"channel_def": {"0": "normal noise"}}
    codes = {"type": "feature", "format": "latent", "num_channels": count, "spatial_shape": [length]}
    codes |= common | {"channel_def": {"0": "one w of W+ per channel"}}
    rendering = {key: value for key, value in image.items() if key != "modality"}
    rendering |= {"format": "magnitude", "channel_def": {"0": "rendered image"}}
    return {
        "generator_data_format": {"inputs": {"latent": noise}, "outputs": {"image": rendering, "pred": pred}},
        "encoder_data_format": {"inputs": {"image": image}, "outputs": {"latent": codes}},
        "student_data_format": {"inputs": {"image": image}, "outputs": {"pred": pred}},
    }


def _summary(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What is worth knowing about the training; numbers of patients, not their names."""
    kept = ("step", "images", "seconds", "finished", "seed", "metrics", "settings", "versions", "machine")
    training = {}
    for stage, record in records.items():
        data = {k: len(v) if isinstance(v, list) else v for k, v in record.get("data", {}).items()}
        training[stage] = {key: record[key] for key in kept if key in record} | {"data": data}
    return {"training": training}


def _write(
    out: Path,
    origin: Path,
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    record: Mapping[str, Any],
) -> None:
    """Write the bundle beside its place, see whether it loads, and move it there."""
    from monai_semgan.data.output import check_output
    from monai_semgan.networks.weights import save_weights

    check_output(out.with_name(f"{out.name}.json"), (".json",))
    draft = out.with_name(f".{out.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for path, content in ((CONFIG, config), (METADATA, metadata), (RECORD, record)):
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
        if (origin / "LICENSE").exists():
            shutil.copyfile(origin / "LICENSE", draft / "LICENSE")
        save_weights(draft / WEIGHTS, weights)
        load_bundle(draft, "cpu")
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
