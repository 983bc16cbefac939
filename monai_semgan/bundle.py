"""Model bundles: a folder in MONAI's bundle format, and what the package reads from it.

A bundle's `configs/inference.json` is a program in MONAI's configuration language: open only bundles that you trust.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    import torch

    from monai_semgan.data.preprocessing import Preprocessing
    from monai_semgan.networks import InversionSegmenter

DEFAULT_NAME = "semgan_abdomen"
METADATA = Path("configs/metadata.json")
CONFIG = Path("configs/inference.json")
WEIGHTS = Path("models/model.pt")
RECORD = Path("models/model.json")

SECTIONS = ("preview", "invert", "refine", "patient", "domain")
"""Plain settings in inference.json that the package looks up by name."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded model.

    Attributes:
        folder: where it came from.
        network: in evaluation mode, on its device.
        preprocessing: how volumes become slices.
        metadata: content of `metadata.json`.
        labels: organ name by label id, without the background.
        modalities: what the generator has learnt from, `CT`, `MR` or `DX`; empty if the metadata does not tell.
        settings: plain settings by section: `preview`, `invert`, `refine` (how each mode is run), `patient` (what
            synthetic patients look like).
    """

    folder: Path
    network: InversionSegmenter
    preprocessing: Preprocessing
    metadata: Mapping[str, Any]
    labels: Mapping[int, str]
    modalities: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.network.parameters()).device

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file; read once, since every result tells it."""
        return weights_digest(self.folder)


def bundle_folder(folder: str | Path | None = None) -> Path:
    """The given bundle, or the one that comes with the package.

    Raises:
        SemganError: if there is none.
    """
    if folder is not None:
        path = Path(folder)
        if not path.is_dir():
            raise SemganError(
                "no such bundle folder", remedy="give the folder that holds configs/ and models/", path=path
            )
        return path
    package = Path(__file__).resolve().parent
    candidates = [root / "bundles" / DEFAULT_NAME for root in (package, package.parent)]
    for path in candidates:
        if path.is_dir():
            return path
    raise SemganError("the package comes without a model bundle", remedy="give one with --bundle", path=candidates[0])


def read_metadata(folder: Path) -> dict[str, Any]:
    """Content of a bundle's `metadata.json`.

    Raises:
        SemganError: if it is missing or broken.
    """
    return read_json(folder / METADATA)


def read_record(folder: Path) -> dict[str, Any]:
    """What is known about the weights (training, measured Dice); empty without `models/model.json`.

    Raises:
        SemganError: if the file is broken.
    """
    return read_json(folder / RECORD) if (folder / RECORD).exists() else {}


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
    """Modalities of the input in the metadata: `CT`, `MR`, `DX` (radiographs); empty if it does not tell."""
    image = metadata.get("network_data_format", {}).get("inputs", {}).get("image", {})
    names = str(image.get("modality", "")).upper().replace("MRI", "MR").replace("/", ",").split(",")
    return tuple(name.strip() for name in names if name.strip() in ("CT", "MR", "DX"))


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights file, or an empty string without one."""
    path = folder / WEIGHTS
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def load_bundle(folder: str | Path | None = None, device: str | torch.device = "auto") -> Bundle:
    """Load a bundle for use.

    Args:
        folder: the bundle; the one that comes with the package when left out.
        device: where the network shall lie: `auto`, `cpu`, `cuda`, `cuda:N` or a device.

    Raises:
        SemganError: if a file is missing or broken, or the weights are of another network.
    """
    from monai_semgan.device import select_device

    path = bundle_folder(folder)
    metadata = read_metadata(path)
    labels = organ_labels(metadata, path / METADATA)
    config = read_json(path / CONFIG)
    if not (path / WEIGHTS).is_file():
        raise SemganError("the bundle has no weights", remedy="train it or copy them there", path=path / WEIGHTS)
    chosen = select_device(device) if isinstance(device, str) else device
    network, preprocessing, settings = _build(config, path)
    _load(network, path / WEIGHTS)
    if preprocessing.num_classes != len(labels) + 1:
        problem = f"{len(labels)} labels in the metadata, {preprocessing.num_classes - 1} in the configuration"
        raise SemganError(problem, remedy="make channel_def and num_classes agree", path=path / METADATA)
    network.to(chosen).eval().requires_grad_(False)
    return Bundle(path, network, preprocessing, metadata, labels, learnt_modalities(metadata), settings)


def _build(config: dict[str, Any], folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    """Network, preprocessing and plain settings from the configuration."""
    from monai.bundle import ConfigParser

    from monai_semgan.data.preprocessing import Preprocessing
    from monai_semgan.networks import InversionSegmenter

    path = folder / CONFIG
    for key in ("network_def", "slices"):
        if key not in config:
            raise SemganError(
                f"the configuration lacks {key!r}", remedy="compare with the bundle of the package", path=path
            )
    parser = ConfigParser(config)
    parser["bundle_root"] = str(folder)
    try:
        network = parser.get_parsed_content("network_def")
        preprocessing = parser.get_parsed_content("slices")
        settings = {name: parser.get_parsed_content(name) for name in SECTIONS if name in config}
    except Exception as error:  # configurations are programs: anything can go wrong in them
        cause = error.__cause__ or error
        reason = f"{type(cause).__name__}: {cause}"[:200]
        raise SemganError(f"the configuration cannot be used ({reason})", remedy="correct it", path=path) from error
    for found, wanted in ((network, InversionSegmenter), (preprocessing, Preprocessing)):
        if not isinstance(found, wanted):
            problem = f"the configuration gives a {type(found).__name__} where a {wanted.__name__} is needed"
            raise SemganError(problem, remedy="correct it", path=path)
    return network, preprocessing, settings


def _load(network: InversionSegmenter, path: Path) -> None:
    from monai_semgan.networks.weights import load_into, load_weights

    load_into(network, load_weights(path), path)


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file of a bundle.

    Raises:
        SemganError: if it is missing or broken.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SemganError("missing in the bundle", remedy="is this a bundle folder?", path=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SemganError(f"cannot be read ({error})", remedy="check the permissions", path=path) from error
    except ValueError as error:
        raise SemganError(f"is no JSON ({error})", remedy="correct it or copy the bundle again", path=path) from error
    if not isinstance(content, dict):
        raise SemganError("is no JSON object", remedy="copy the bundle again", path=path)
    return content
