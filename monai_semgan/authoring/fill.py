"""Trained weights into a bundle; the architecture is read off weights and records."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai.bundle import ConfigParser

from monai_semgan.authoring.create import TASK_SETTINGS, measured_formats, with_changes, write_json
from monai_semgan.bundle.labels import (
    CONFIG,
    METADATA,
    RECORD,
    SETTINGS_FILE,
    WEIGHTS,
    bundle_folder,
    learnt_modalities,
    organ_labels,
    read_json,
    read_metadata,
)
from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.modes import STUDENT_ALONE
from monai_semgan.bundle.pending import put_in_place
from monai_semgan.errors import SemganError
from monai_semgan.networks.weights import part, save_weights, with_prefix
from monai_semgan.slicing.model_settings import SETTINGS, ModelSettings, find_settings, plain_ids
from monai_semgan.slicing.planes import AXIAL
from monai_semgan.training.engine.run_files import FOLDS, gather_weights, with_folds
from monai_semgan.training.engine.run_files import read_json as read_record
from monai_semgan.training.pretrained import (
    encoder_arguments,
    generator_arguments,
    student_channels,
    student_ends,
    student_members,
    trained_filter,
    trained_spatial_size,
    tuned,
)
from monai_semgan.utils.files import write_error

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

PARTS = {"generator": "gan", "encoder": "encoder", "student": "student"}
"""Part of the network, and the stage that trains it."""

RUNS = "runs"
"""Where the training configurations of a bundle leave their weights."""


def fill_bundle(folder: str | Path, sources: Sequence[str | Path] = ()) -> Path:
    """Take trained weights into a bundle as `models/model.pt`, and make its configurations describe them.

    Weights of a student alone make a bundle of mode preview only. Measured values of older weights are dropped:
    `eval_metrics`, and the section `domain` of `semgan calibrate`.

    Args:
        folder: of the bundle.
        sources: weight files or folders of runs, later ones win where both hold a part; `runs` in the bundle, where its
            own training configurations write, when left out.

    Returns:
        The folder.

    Raises:
        SemganError: if a part is missing, the labels do not fit, or the bundle cannot be written.
    """
    folder = bundle_folder(folder)
    labels = list(organ_labels(read_metadata(folder), folder / METADATA).values())
    paths = with_folds([Path(source) for source in sources] or [folder / RUNS])
    weights = _weights(paths)
    records = _records(paths)
    alone = {name.partition(".")[0] for name in weights} == {"student"}
    changes = _student_alone(weights, folder) if alone else _architecture(weights, records, paths)
    changes["student_def"]["members"] = student_members(part(weights, "student"))
    kept = run_settings(paths)
    if kept is not None:
        _check_weights(kept, changes["slices"], paths[0])
        _check_bundle(kept, folder)
        ids = kept.preprocessing.label_ids
        changes["slices"] |= {"pixel_mm": kept.preprocessing.pixel_mm, **({"label_ids": list(ids)} if ids else {})}
        changes["slices"] |= {"plane": kept.preprocessing.plane} if kept.preprocessing.plane != AXIAL else {}
    classes = changes["slices"]["num_classes"]
    if classes != len(labels) + 1:
        problem = f"weights for {classes - 1} labels, the bundle names {len(labels)}: {', '.join(labels)}"
        raise SemganError(problem, remedy="make a bundle with the labels of the run", path=folder)
    if kept is None:
        logger.warning("no %s with these weights: window and percentiles are those of the bundle", SETTINGS)
    _write(folder, changes, labels, weights, _summary(records))
    if alone:
        logger.warning("the bundle holds %s", STUDENT_ALONE)
    return folder


def _weights(paths: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The parts of the network in files or folders of runs, each whole from the last one that holds it.

    A generator that was trained with an encoder stays with it.

    Raises:
        SemganError: if there is no such file or folder, or it holds no weights.
    """
    parts: dict[str, dict[str, torch.Tensor]] = {}
    with_encoder: dict[str, torch.Tensor] = {}
    for path in paths:
        if not path.exists():
            raise SemganError("no such run", remedy="train the bundle first, or name a run or weights file", path=path)
        gathered = gather_weights(path)
        found = {name: state for name in PARTS if (state := part(gathered, name))}
        parts.update(found)
        if "encoder" in found:
            with_encoder = found.get("generator", {}) if tuned(_records([path]).get("encoder", {})) else {}
    if with_encoder:
        parts["generator"] = with_encoder
    return {k: v for name, state in parts.items() for k, v in with_prefix(state, name).items()}


def run_settings(paths: Sequence[Path]) -> ModelSettings | None:
    """The settings that travel with weights in files or folders of runs; None where all are of 0.1.

    Raises:
        SemganError: if they contradict each other.
    """
    found: ModelSettings | None = None
    for path in paths:
        place = path if path.is_dir() else path.parent
        kept = find_settings(place) or (find_settings(place.parent) if place.name in PARTS.values() else None)
        if kept is None:
            continue
        differs = found.difference(kept) if found is not None else None
        if differs is not None:
            problem = f"was trained with {differs.name} {differs.other}, other weights given here with {differs.own}"
            raise SemganError(problem, remedy="name runs that belong together", path=path)
        found = kept
    return found


def _check_weights(kept: ModelSettings, slices: Mapping[str, Any], path: Path) -> None:
    for name in ("size", "num_classes"):
        told = getattr(kept.preprocessing, name)
        if told != slices[name]:
            problem = f"{SETTINGS} tells {name} {told}, the weights are for {slices[name]}"
            raise SemganError(problem, remedy="take the file and the weights of one run", path=path)


def _check_bundle(kept: ModelSettings, folder: Path) -> None:
    bundle = bundle_settings(folder)
    if bundle.preprocessing.label_ids is None and kept.preprocessing.num_classes == bundle.preprocessing.num_classes:
        # ids of label files are the data's business: a new bundle does not know them yet
        bundle = replace(bundle, preprocessing=replace(bundle.preprocessing, label_ids=kept.label_ids))
    if "plane" not in read_json(folder / CONFIG).get("slices", {}):  # the same with the plane of the slices
        bundle = replace(bundle, preprocessing=replace(bundle.preprocessing, plane=kept.preprocessing.plane))
    found = kept.difference(bundle)
    if found is not None:
        problem = f"the weights were trained with {found.name} {found.own}, the bundle says {found.other}"
        remedy = "make the bundle of the run with `semgan bundle make`, or correct slices in its configs"
        raise SemganError(problem, remedy=remedy, path=folder)


def bundle_settings(folder: Path) -> ModelSettings:
    """The settings that a bundle's configuration and metadata tell.

    Raises:
        SemganError: if the configuration cannot be used.
    """
    metadata = read_metadata(folder)
    try:
        preprocessing = ConfigParser(read_json(folder / CONFIG)).get_parsed_content("slices")
    except Exception as error:  # configurations are programs: anything can go wrong in them
        problem = "the section slices cannot be used"
        raise SemganError(problem, remedy="correct it", path=folder / CONFIG) from error
    labels = organ_labels(metadata, folder / METADATA)
    fitting = {index: name for index, name in labels.items() if index < preprocessing.num_classes}
    return ModelSettings(plain_ids(preprocessing), fitting, learnt_modalities(metadata))


def _records(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Record of every stage that the sources hold."""
    found = {}
    for path in paths:
        place = path if path.is_dir() else path.parent
        for candidate in (place, *(place / stage for stage in PARTS.values())):
            record = read_record(candidate / "record.json")
            if record.get("stage") in PARTS.values():
                found[record["stage"]] = record
        folds = read_record(place / FOLDS)
        if folds.get("finished") and folds["stage"] in found:  # patients of one fold were trained on in the others
            scored = {"metrics": folds["metrics"], "data": {**found[folds["stage"]]["data"]}}
            scored["data"]["validation"] = folds["patients"]
            found[folds["stage"]] |= scored
    return found


def _architecture(
    weights: Mapping[str, torch.Tensor], records: Mapping[str, Mapping[str, Any]], paths: Sequence[Path]
) -> dict[str, dict[str, Any]]:
    """Values of the configurations' sections that describe the networks of the weights."""
    for name, stage in PARTS.items():
        if not part(weights, name):
            problem, remedy = f"no weights of the {name}", f"train the stage {stage} first or name its run"
            remedy += "" if name == "student" else "; the run of a student alone makes a bundle for previews"
            raise SemganError(problem, remedy=remedy, path=paths[0])
    generator: dict[str, Any] = generator_arguments(part(weights, "generator"))
    slices = {"size": generator.pop("size"), "num_classes": generator.pop("num_classes")}
    for record in records.values():
        if "pixel_mm" in record.get("settings", {}):
            slices["pixel_mm"] = record["settings"]["pixel_mm"]
    generator["channels"] = {str(size): width for size, width in generator["channels"].items()}
    student = {"image_channels": generator["image_channels"], "channels": student_channels(part(weights, "student"))}
    encoder = _encoder_arguments(part(weights, "encoder"), records.get("encoder", {}))
    if encoder["spatial_channels"] > 0:
        encoder["spatial_size"] = trained_spatial_size(paths, int(slices["size"]))
    slices["image_channels"] = generator["image_channels"]
    return {
        "slices": slices,
        "generator_def": generator | {"resample_filter": list(trained_filter(paths))},
        "encoder_def": encoder,
        "student_def": student,
        "network_def": {"generator": "@generator_def", "encoder": "@encoder_def"},
    }


def _student_alone(weights: Mapping[str, torch.Tensor], folder: Path) -> dict[str, dict[str, Any]]:
    """The same for a student without generator and encoder, whose sections stay for a later training."""
    state = part(weights, "student")
    channels, classes = student_ends(state)
    size = bundle_settings(folder).preprocessing.size  # a U-Net takes any; that of the run is compared with it
    return {
        "slices": {"size": size, "num_classes": classes, "image_channels": channels},
        "generator_def": {"image_channels": channels},
        "encoder_def": {"image_channels": channels},
        "student_def": {"image_channels": channels, "channels": student_channels(state)},
        "network_def": {"generator": None, "encoder": None},
    }


def _encoder_arguments(state: Mapping[str, torch.Tensor], record: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights and the record tell of an encoder; the latents themselves are the generator's."""
    told = {k: v for k, v in encoder_arguments(state).items() if k not in ("num_latents", "latent_dim")}
    return told | {"refinement_passes": record.get("settings", {}).get("refinement_passes", 1)}


def _summary(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What is worth knowing about the training; numbers of patients, not their names."""
    kept = ("step", "images", "seconds", "finished", "seed", "metrics", "settings", "versions", "machine")
    training = {}
    for stage, record in records.items():
        data = {k: len(v) if isinstance(v, list) else v for k, v in record.get("data", {}).items() if k != "sections"}
        settings = {key: value for key, value in record.get("settings", {}).items() if key != "patients"}
        training[stage] = {key: record[key] for key in kept if key in record} | {"settings": settings, "data": data}
    return {"training": training}


def _write(
    folder: Path,
    changes: Mapping[str, Mapping[str, Any]],
    labels: Sequence[str],
    weights: Mapping[str, torch.Tensor],
    record: Mapping[str, Any],
) -> None:
    """Write what changes beside its place, see whether it loads as a bundle, and move all of it there."""
    draft = folder / ".filling.part"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        (draft / "configs").mkdir(parents=True)
        for path in (folder / "configs").glob("*.json"):
            config = {k: v for k, v in read_json(path).items() if k not in TASK_SETTINGS}
            own = {name: value for name, value in changes.items() if name != "network_def" or path.name == CONFIG.name}
            write_json(draft / "configs" / path.name, with_changes(config, own))
        write_json(draft / METADATA, _metadata(folder, draft, labels))
        save_weights(draft / WEIGHTS, weights)
        write_json(draft / RECORD, record)
        bundle_settings(draft).save(draft / SETTINGS_FILE)
        load_bundle(draft, "cpu")
        put_in_place(draft, folder)
    except OSError as error:
        raise write_error(error, folder) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _metadata(folder: Path, draft: Path, labels: Sequence[str]) -> dict[str, Any]:
    """The bundle's metadata with the formats of the networks in the draft, and a new version where there was one."""
    metadata = read_metadata(folder)
    modality = "/".join(learnt_modalities(metadata)) or "CT"
    version = next_version(metadata["version"]) if (folder / WEIGHTS).exists() else metadata["version"]
    history = {**metadata.get("changelog", {}), version: "weights of a training run"}
    news = {"version": version, "changelog": history, "eval_metrics": {}}
    return metadata | news | measured_formats(draft, labels, modality)


def next_version(version: str) -> str:
    """The version with its last number raised."""
    start, dot, last = version.rpartition(".")
    return f"{start}{dot}{int(last) + 1}" if last.isdigit() else f"{version}.1"
