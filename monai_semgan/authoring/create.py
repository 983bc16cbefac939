"""A new bundle for a task, from the configurations of another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_semgan.authoring.metadata import data_formats
from monai_semgan.authoring.readme import data_licence, new_readme
from monai_semgan.bundle.labels import CONFIG, METADATA, bundle_folder, organ_labels, read_json, read_metadata
from monai_semgan.errors import SemganError
from monai_semgan.modalities import PHOTOGRAPH, SINGLE_IMAGES, canonical_modality
from monai_semgan.networks.generator import SLIM_CHANNELS
from monai_semgan.networks.slice_sizes import check_slice_size
from monai_semgan.organs import structure_key
from monai_semgan.slicing.planes import AXIAL
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.utils.files import folder_aside, utf8

TASK_SETTINGS = ("domain",)
"""Sections of inference.json that were measured on the template's own scans."""

IMAGE_CLASSES = {
    "CT": "one channel, CT in HU",
    "MR": "one channel, MR in arbitrary units",
    "DX": "one channel, radiographs in arbitrary units",
    PHOTOGRAPH: "three channels: red, green and blue of photographs, 0 to 255",
}
"""What the metadata says of the input, by modality."""


def create_bundle(
    folder: str | Path,
    labels: Sequence[str],
    modality: str = "CT",
    *,
    size: int = 128,
    pixel_mm: float = 2.75,
    window: tuple[float, float] | None = None,
    authors: str | None = None,
    template: str | Path | None = None,
) -> Path:
    """Write a bundle that is ready to be trained.

    All configurations are those of the template; what is about its task is replaced: labels, modality, sizes, texts.

    Args:
        folder: of the bundle, must not exist yet; its name is the bundle's.
        labels: organ names of the ids 1, 2, ...
        modality: of the scans to learn from, `CT`, `MR`, `DX` (radiographs) or `XC` (photographs in colours).
        size: side of a slice in pixels, a power of two from 32 to 512.
        pixel_mm: pixel spacing of the slices in mm.
        window: HU that become -1 and 1 in CT; that of soft tissue when left out.
        authors: for the metadata.
        template: bundle whose configurations are taken over; the one that comes with the package when left out.

    Returns:
        The folder.

    Raises:
        SemganError: if it exists, the labels or sizes make no sense, or it cannot be written.
    """
    names = check_labels(labels)
    modality = canonical_modality(modality)
    settings = _preprocessing(names, modality, size, pixel_mm, window)
    return create_like(folder, names, modality, settings, authors=authors, template=template)


def create_like(
    folder: str | Path,
    names: Sequence[str],
    modality: str,
    settings: Preprocessing,
    *,
    authors: str | None = None,
    template: str | Path | None = None,
) -> Path:
    """Write a bundle for slices that are cut and scaled like those of a run; arguments and errors as above.

    Args:
        folder: see `create_bundle`.
        names: see there.
        modality: see there; of a run with several `CT/MR`, of which the first is that of the inversion.
        settings: how scans become slices.
        authors: see there.
        template: see there.
    """
    folder, origin = Path(folder), bundle_folder(template)
    if folder.exists():
        raise SemganError("exists already", remedy="choose another folder or delete it", path=folder)
    size = settings.size
    writers = authors or f"The makers of {folder.name}"
    changes: dict[str, dict[str, Any]] = {
        "slices": _slices(settings),
        "generator_def": {"channels": _channels(size), "resample_filter": [1, 3, 3, 1]},
        "encoder_def": _spatial(read_json(origin / CONFIG)["encoder_def"], size),
        "student_def": {},
        "inferer": {"modality": modality.partition("/")[0]},
    }
    for network in ("generator_def", "encoder_def", "student_def"):
        changes[network]["image_channels"] = settings.image_channels
    with folder_aside(folder) as draft:
        _copy_configurations(origin, draft, changes, names)
        _write_texts(origin, draft, folder.name, names, modality, settings, writers)
    return folder


def _slices(settings: Preprocessing) -> dict[str, Any]:
    """The section `slices` of the configurations; what is None or as in all old bundles is left out."""
    values = settings.to_dict()
    kept = ("size", "pixel_mm", "window", "percentiles", "num_classes", "field_of_view", "image_channels")
    found = {name: values[name] for name in kept}
    found |= {"label_ids": values["label_ids"]} if settings.label_ids is not None else {}
    return found | ({"plane": settings.plane} if settings.plane != AXIAL else {})


def check_labels(labels: Sequence[str]) -> list[str]:
    """Name of organs without blanks around them.

    Raises:
        SemganError: if there is none, or one stands there twice or is called background.
    """
    names = [label.strip() for label in labels if label.strip()]
    if not names:
        raise SemganError("there are no labels", remedy="give names separated by commas with --labels")
    seen = {name.lower() for name in names}
    if len(seen) < len(names) or "background" in seen:
        problem = f"labels {', '.join(names)}: each may stand there once, and the background is not counted"
        raise SemganError(problem, remedy="correct --labels")
    return names


def _preprocessing(
    names: Sequence[str], modality: str, size: int, pixel_mm: float, window: tuple[float, float] | None
) -> Preprocessing:
    check_slice_size(size)
    field, channels = "image" if modality in SINGLE_IMAGES else "body", 3 if modality == PHOTOGRAPH else 1
    settings = Preprocessing(
        size=size, pixel_mm=pixel_mm, num_classes=len(names) + 1, field_of_view=field, image_channels=channels
    )
    return replace(settings, window=window) if window is not None else settings


def _channels(size: int) -> dict[str, int]:
    return {str(resolution): width for resolution, width in SLIM_CHANNELS.items() if resolution <= size}


def _spatial(template: Mapping[str, Any], size: int) -> dict[str, int]:
    """The spatial part of the codes: as in the template, with the channels that the trunk has at its size here."""
    if not template.get("spatial_channels"):
        return {}
    side = min(int(template["spatial_size"]), size // 2)
    return {"spatial_channels": SLIM_CHANNELS[side], "spatial_size": side}


def _copy_configurations(
    origin: Path, draft: Path, changes: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> None:
    """All configurations of the template, overlays too, with what is about the task replaced."""
    same_organs = list(organ_labels(read_metadata(origin)).values()) == list(names)
    (draft / "configs").mkdir(parents=True)
    for path in sorted((origin / "configs").iterdir()):
        target = draft / "configs" / path.name
        if path.suffix != ".json" or path.name == METADATA.name:
            target.write_bytes(path.read_bytes())
            continue
        config = with_changes(read_json(path), changes)
        config = {name: section for name, section in config.items() if name not in TASK_SETTINGS}
        if not same_organs and "patient" in config:
            config["patient"] = _patient(config["patient"], names)
        write_json(target, config)


def _patient(section: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What a template knows of its patients, with the sizes of those organs only that the new model has too."""
    sizes = section.get("organ_cm2")
    keys = {structure_key(name) for name in names}
    named = sizes if isinstance(sizes, Mapping) else {}  # rows without names are of the template's organs
    kept = {name: values for name, values in named.items() if structure_key(name) in keys}
    others = {key: value for key, value in section.items() if key != "organ_cm2"}
    return others | ({"organ_cm2": kept} if kept else {})


def with_changes(config: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The configuration with some values of the sections that it has replaced."""
    return {name: value | changes[name] if name in changes else value for name, value in config.items()}


def _write_texts(
    origin: Path,
    draft: Path,
    name: str,
    labels: Sequence[str],
    modality: str,
    settings: Preprocessing,
    authors: str,
) -> None:
    metadata = _metadata(read_metadata(origin), name, labels, modality, authors)
    write_json(draft / METADATA, metadata | measured_formats(draft, labels, modality))
    (draft / "docs").mkdir()
    text = (origin / "docs" / "README.md").read_text(encoding="utf-8")
    readme = new_readme(text, name, labels, modality, settings, authors)
    (draft / "docs" / "README.md").write_bytes(utf8(readme))
    (draft / "docs" / "data_license.txt").write_bytes(utf8(data_licence(authors)))
    shutil.copyfile(origin / "LICENSE", draft / "LICENSE")
    (draft / "models").mkdir()


def measured_formats(folder: Path, labels: Sequence[str], modality: str) -> dict[str, Any]:
    """Formats of the networks that a bundle's inference.json describes."""
    parser = ConfigParser(read_json(folder / CONFIG))
    generator, encoder = (parser.get_parsed_content(name) for name in ("generator_def", "encoder_def"))
    shape = (generator.size, generator.image_channels, generator.num_latents, generator.latent_dim)
    return data_formats(labels, modality, *shape, (encoder.spatial_channels, encoder.spatial_size))


def class_texts(labels: Iterable[str]) -> dict[str, str]:
    """Describe the classes of a model for its metadata.

    Args:
        labels: structure names, in the order of their classes, without background.
    """
    channels = ["background", *labels]
    return {
        "label_classes": "one channel of ids: " + ", ".join(f"{i} {label}" for i, label in enumerate(channels)),
        "pred_classes": f"{len(channels)} channels: {', '.join(channels)}",
    }


def _metadata(
    template: Mapping[str, Any], name: str, labels: Sequence[str], modality: str, authors: str
) -> dict[str, Any]:
    """The template's metadata with what is about the task replaced."""
    organs = ", ".join(labels)
    return dict(template) | {
        "name": name,
        "version": "0.1.0",
        "changelog": {"0.1.0": "made, not trained yet"},
        "task": f"Segmentation of {organs} with a joint generative model of images and labels",
        "description": f"Segments {organs} with a joint generative model of images and labels (semanticGAN)",
        "authors": authors,
        "copyright": f"Copyright (c) {authors}",
        "data_source": "own data",
        "image_classes": "; or ".join(IMAGE_CLASSES[one] for one in modality.split("/")),
        **class_texts(labels),
        "eval_metrics": {},
        "references": list(template.get("references", []))[:1],
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a configuration as the shipped ones are written."""
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
