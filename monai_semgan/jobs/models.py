"""The models that a server runs, as `GET /semgan/models` tells them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.labels import (
    CONFIG,
    METADATA,
    WEIGHTS,
    bundle_folder,
    dice_by_label,
    learnt_modalities,
    measured_dice,
    organ_labels,
    read_json,
    read_metadata,
    read_record,
)
from monai_semgan.bundle.modes import modes_of
from monai_semgan.errors import SemganError
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.jobs.contract import Code, Label, Mode
from monai_semgan.jobs.server_contract import ModeInfo, ModelInfo
from monai_semgan.organs import RESEARCH_ONLY, find_organ
from monai_semgan.organs import Code as OrganCode

SLICE_AXIS = (0.0, 0.0, 1.0)
"""Models see axial slices, counted from the feet to the head."""

WORTH_DICE = 0.01
"""Gain in mean Dice that is worth minutes; a handful of scans does not show smaller ones."""

DESCRIPTIONS = {
    Mode.preview: "feed-forward, seconds",
    Mode.invert: "latent codes optimised until they render the slices, minutes on a CPU",
    Mode.refine: "preview and inversion together, minutes on a CPU",
}


@dataclass(frozen=True)
class ServedModel:
    """A model that the server runs.

    Attributes:
        folder: bundle.
        info: what clients are told.
        labels: organ name by id.
    """

    folder: Path
    info: ModelInfo
    labels: Mapping[int, str]


def served_models(bundles: Sequence[Path | str | None]) -> dict[str, ServedModel]:
    """Read the models by name, the first one first; nothing is loaded.

    Args:
        bundles: folders; None is the bundle that comes with the package.

    Raises:
        SemganError: if a bundle is missing or broken, or has no weights.
    """
    found: dict[str, ServedModel] = {}
    for folder in bundles:
        model = _served_model(folder)
        if model.info.name in found:
            model = _renamed(model, f"{model.info.name} ({model.folder.name})")
        if model.info.name in found:
            raise SemganError("another bundle has this name", remedy="give it once", path=model.folder)
        found[model.info.name] = model
    return found


def served_version(folder: Path, name: str) -> ServedModel:
    """Read a version of a model that is served under a name; nothing is loaded.

    Raises:
        SemganError: it is broken, or has no weights.
    """
    return _renamed(_served_model(folder), name)


def contract_labels(names: Mapping[int, str], dice: Mapping[int, Mapping[str, float]] | None = None) -> list[Label]:
    """Name, colour and codes of organs by id, and the Dice that was measured, by id and modality."""
    return [_label(index, name, (dice or {}).get(index, {})) for index, name in names.items()]


def _served_model(folder: Path | str | None) -> ServedModel:
    path = bundle_folder(folder)
    metadata, record = read_metadata(path), read_record(path)
    labels = organ_labels(metadata, path / METADATA)
    weights = path / WEIGHTS
    if not weights.is_file():
        raise SemganError("the bundle has no weights", remedy="train it or copy them there", path=weights)
    info = ModelInfo(
        name=str(metadata.get("name") or path.name),
        version=str(metadata.get("version", "")),
        description=str(metadata.get("description", "")),
        sha256=weights_digest(path),
        bytes=weights.stat().st_size,
        modalities=list(learnt_modalities(metadata)),
        slice_axis=SLICE_AXIS,
        labels=contract_labels(labels, dice_by_label(record, labels)),
        modes=[_mode(mode, path, record) for mode in Mode if mode.value in modes_of(read_json(path / CONFIG))],
        research_only=RESEARCH_ONLY,
    )
    return ServedModel(path, info, labels)


def _renamed(model: ServedModel, name: str) -> ServedModel:
    return ServedModel(model.folder, model.info.model_copy(update={"name": name}), model.labels)


def _mode(mode: Mode, folder: Path, record: Mapping[str, Any]) -> ModeInfo:
    steps = None if mode is Mode.preview else _steps(mode, folder)
    dice, gain = _dice(mode, record), {} if mode is Mode.preview else _gain(mode, record)
    worth_it = any(value >= WORTH_DICE for value in gain.values()) if gain else None
    return ModeInfo(name=mode, description=DESCRIPTIONS[mode], steps=steps, dice=dice, gain=gain, worth_it=worth_it)


def _steps(mode: Mode, folder: Path) -> int:
    """Return the steps of the bundle's configuration, or of the package's settings where it gives no number."""
    steps = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get(mode.value, {}).get("steps")
    default = next(field.default for field in fields(InversionSettings) if field.name == "steps")
    return steps if isinstance(steps, int) else int(default)  # type: ignore[arg-type]


def _dice(mode: Mode, record: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean Dice by modality of the scans it was measured on."""
    measured = measured_dice(record, mode.value)
    return {modality: figures["mean"] for modality, figures in measured.items() if "mean" in figures}


def _gain(mode: Mode, record: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean Dice minus that of the preview, by modality, where both were measured on the same scans."""
    mine, preview = _dice(mode, record), _dice(Mode.preview, record)
    return {modality: round(mine[modality] - preview[modality], 4) for modality in mine if modality in preview}


def _label(index: int, name: str, dice: Mapping[str, float]) -> Label:
    organ = find_organ(name, index)
    return Label(
        id=index,
        name=name,
        colour=organ.colour,
        category=_code(organ.category),
        kind=_code(organ.kind),
        side=None if organ.side is None else _code(organ.side),
        dice=dict(dice),
    )


def _code(code: OrganCode) -> Code:
    return Code(scheme=code.scheme, value=code.value, meaning=code.meaning)
