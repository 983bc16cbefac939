"""Load a model bundle: a folder in the format of MONAI bundles.

The `configs/inference.json` of a bundle is a program in the configuration language of MONAI: open only bundles that
you trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.bundle.agreement import check_parts
from monai_semgan.bundle.config import BeyondPlain, PlainConfig
from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.labels import (
    CONFIG,
    METADATA,
    WEIGHTS,
    bundle_folder,
    learnt_modalities,
    organ_labels,
    read_json,
    read_metadata,
)
from monai_semgan.bundle.modes import MODES, STUDENT_MODES
from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    import torch

    from monai_semgan.networks import InversionSegmenter
    from monai_semgan.slicing.preprocessing import Preprocessing


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
        device_note: why it lies on the CPU although a GPU was to be used; empty otherwise.
    """

    folder: Path
    network: InversionSegmenter
    preprocessing: Preprocessing
    metadata: Mapping[str, Any]
    labels: Mapping[int, str]
    modalities: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device_note: str = ""

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.network.parameters()).device

    @property
    def modes(self) -> tuple[str, ...]:
        """What `segment` can do with it: `MODES`, or the preview alone where it is a student alone."""
        return MODES if self.network.renders else STUDENT_MODES

    @property
    def trained_labels(self) -> dict[int, str]:
        """Organ name by label id of what the networks were trained for, without structures that were added later."""
        first = self.preprocessing.num_classes - self.network.added_count
        return {index: name for index, name in self.labels.items() if index < first}

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file; read once, since every result tells it."""
        return weights_digest(self.folder)


def load_bundle(folder: str | Path | None = None, device: str | torch.device = "auto") -> Bundle:
    """Load a bundle for use.

    Args:
        folder: the bundle; the one that comes with the package when left out.
        device: where the network shall lie: `auto`, `cpu`, `cuda`, `cuda:N` or a device; the CPU if that is full.

    Raises:
        SemganError: if a file is missing or broken, or the weights are of another network.
    """
    from monai_semgan.utils.device import select_device
    from monai_semgan.utils.gpu import place

    path = bundle_folder(folder)
    metadata = read_metadata(path)
    labels = organ_labels(metadata, path / METADATA)
    config = read_json(path / CONFIG)
    if not (path / WEIGHTS).is_file():
        raise SemganError("the bundle has no weights", remedy="train it or copy them there", path=path / WEIGHTS)
    chosen = select_device(device) if isinstance(device, str) else device
    network, preprocessing, settings = _build(config, path)
    _load(network, path / WEIGHTS)
    check_parts(network, preprocessing, labels, learnt_modalities(metadata), path)
    network.eval().requires_grad_(False)
    note = place(network, chosen)
    return Bundle(path, network, preprocessing, metadata, labels, learnt_modalities(metadata), settings, note)


def _build(config: dict[str, Any], folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    """Network, preprocessing and plain settings from the configuration."""
    from monai_semgan.networks import InversionSegmenter
    from monai_semgan.slicing.preprocessing import Preprocessing

    path = folder / CONFIG
    for key in ("network_def", "slices"):
        if key not in config:
            raise SemganError(
                f"the configuration lacks {key!r}", remedy="compare with the bundle of the package", path=path
            )
    names = ["network_def", "slices", *(name for name in SECTIONS if name in config)]
    try:
        found = _resolved({**config, "bundle_root": str(folder)}, names)
    except Exception as error:  # configurations are programs: anything can go wrong in them
        cause = error.__cause__ if type(error) is RuntimeError and error.__cause__ else error  # MONAI wraps them
        reason = f"{type(cause).__name__}: {cause}"[:200]
        raise SemganError(f"the configuration cannot be used ({reason})", remedy="correct it", path=path) from error
    network, preprocessing, *settings = (found[name] for name in names)
    for given, wanted in ((network, InversionSegmenter), (preprocessing, Preprocessing)):
        if not isinstance(given, wanted):
            problem = f"the configuration gives a {type(given).__name__} where a {wanted.__name__} is needed"
            raise SemganError(problem, remedy="correct it", path=path)
    return network, preprocessing, dict(zip(names[2:], settings, strict=True))


def _resolved(config: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Resolve sections of a configuration; with MONAI, whose import takes seconds, only where it must be."""
    try:
        plain = PlainConfig(config)
        return {name: plain.get(name) for name in names}
    except BeyondPlain:
        from monai.bundle import ConfigParser

        # MONAI looks for short names in all modules: ours need not be searched, nor loaded for that
        parser = ConfigParser(config, excludes="monai_semgan")
        return {name: parser.get_parsed_content(name) for name in names}


def _load(network: InversionSegmenter, path: Path) -> None:
    from monai_semgan.bundle.added_weights import load_all

    load_all(network, path)
