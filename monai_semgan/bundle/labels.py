"""What the files of a bundle tell without its network: labels, modalities, records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semgan.bundle.compatibility import refuse_newer
from monai_semgan.bundle.own_structures import make_known
from monai_semgan.bundle.pending import finish_pending
from monai_semgan.errors import SemganError
from monai_semgan.modalities import MODALITIES, header_modality
from monai_semgan.organs import structure_key
from monai_semgan.utils.foreign_text import read_foreign_text

DEFAULT_NAME = "semgan_abdomen"
METADATA = Path("configs/metadata.json")
CONFIG = Path("configs/inference.json")
WEIGHTS = Path("models/model.pt")
RECORD = Path("models/model.json")

ADDED = Path("models/added.pt")
"""Weights of structures that were added to the model; most bundles have none."""


SETTINGS_FILE = Path("models/settings.json")
"""What the weights were trained with, beside them."""


def bundle_folder(folder: str | Path | None = None) -> Path:
    """The given bundle, or the one that comes with the package; a change that was stopped half-way is finished.

    Raises:
        SemganError: if there is none, or it cannot be finished.
    """
    if folder is not None:
        path = Path(folder)
        if not path.is_dir():
            raise SemganError(
                "no such bundle folder", remedy="give the folder that holds configs/ and models/", path=path
            )
        finish_pending(path)
        return path
    package = Path(__file__).resolve().parents[1]
    candidates = [root / "bundles" / DEFAULT_NAME for root in (package, package.parent)]
    for path in candidates:
        if path.is_dir():
            return path
    raise SemganError("the package comes without a model bundle", remedy="give one with --bundle", path=candidates[0])


def read_metadata(folder: Path) -> dict[str, Any]:
    """Content of a bundle's `metadata.json`; structures that it alone knows are made known, see `own_structures`.

    Raises:
        SemganError: if it is missing or broken, or the bundle was made for a later version of this package.
    """
    metadata = read_json(folder / METADATA)
    refuse_newer(metadata, folder / METADATA)
    make_known(metadata)
    return metadata


def read_record(folder: Path) -> dict[str, Any]:
    """What is known about the weights (training, measured Dice); empty without `models/model.json`.

    Raises:
        SemganError: if the file is broken.
    """
    return read_json(folder / RECORD) if (folder / RECORD).exists() else {}


def measured_dice(record: Mapping[str, Any], mode: str = "preview") -> dict[str, dict[str, float]]:
    """Mean 3D Dice of a mode, by modality of the scans and by organ name; over all organs under `mean`.

    Args:
        record: see `read_record`; figures that are none are left out.
        mode: as in the record.

    Examples:
        >>> measured_dice({"dice": {"CT validation": {"preview": {"liver": 0.94, "mean": 0.94}}}})
        {'CT': {'liver': 0.94, 'mean': 0.94}}
    """
    found: dict[str, dict[str, float]] = {}
    dice = record.get("dice")
    for where, methods in (dice if isinstance(dice, Mapping) else {}).items():
        figures = methods.get(mode) if isinstance(methods, Mapping) else None
        modality = "MR" if str(where).upper().startswith("MR") else str(where).split(" ")[0]
        numbers = {
            str(name): float(value)
            for name, value in (figures.items() if isinstance(figures, Mapping) else ())
            if isinstance(value, (int, float)) and math.isfinite(value)
        }
        if numbers:
            found.setdefault(modality, numbers)
    return found


def dice_by_label(record: Mapping[str, Any], labels: Mapping[int, str]) -> dict[int, dict[str, float]]:
    """Mean 3D Dice of the preview by label id and modality, of the organs that were measured.

    Args:
        record: see `read_record`.
        labels: organ name by id; spellings do not matter.
    """
    measured = {
        modality: {structure_key(name): value for name, value in figures.items()}
        for modality, figures in measured_dice(record).items()
    }
    found = {
        index: {
            modality: known[structure_key(name)] for modality, known in measured.items() if structure_key(name) in known
        }
        for index, name in labels.items()
    }
    return {index: figures for index, figures in found.items() if figures}


def organ_labels(metadata: Mapping[str, Any], path: Path | None = None) -> dict[int, str]:
    """Organ name by label id, without the background.

    Raises:
        SemganError: if the metadata does not tell.
    """
    try:
        channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        names = {int(index): str(name) for index, name in channels.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SemganError(
            "the labels are not told", remedy="fill network_data_format.outputs.pred.channel_def", path=path
        ) from error
    return {index: names[index] for index in sorted(names) if index > 0}


def learnt_modalities(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Modalities of the input in the metadata: `CT`, `MR`, `DX` (radiographs), `XC` (photographs); else empty."""
    image = metadata.get("network_data_format", {}).get("inputs", {}).get("image", {})
    names = map(header_modality, str(image.get("modality", "")).replace("/", ",").split(","))
    return tuple(dict.fromkeys(name for name in names if name in MODALITIES))


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file of a bundle.

    Raises:
        SemganError: if it is missing or broken.
    """
    try:
        content = json.loads(read_foreign_text(path))
    except FileNotFoundError:
        raise SemganError("missing in the bundle", remedy="is this a bundle folder?", path=path) from None
    except OSError as error:
        raise SemganError(f"cannot be read ({error})", remedy="check the permissions", path=path) from error
    except ValueError as error:
        raise SemganError(f"is no JSON ({error})", remedy="correct it or copy the bundle again", path=path) from error
    if not isinstance(content, dict):
        raise SemganError("is no JSON object", remedy="copy the bundle again", path=path)
    return content
