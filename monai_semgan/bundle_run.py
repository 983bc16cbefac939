"""What the configurations of a bundle call when `monai.bundle` runs them."""

from __future__ import annotations

import glob
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semgan.bundle_errors import is_monai_bundle
from monai_semgan.errors import SemganError

TRACKING = ("output_dir", "tracking_uri", "experiment_name", "run_name", "save_execute_config")
"""Ids that `--tracking` of `monai.bundle run` takes in addition."""


def find_scans(dataset_dir: str | Path) -> list[dict[str, str]]:
    """Entries `{"image": path}` of a MONAI data set.

    Args:
        dataset_dir: a file, a pattern such as `scans/*.nii.gz`, a folder of volumes, a folder of one DICOM series, or
            a folder of such folders.

    Raises:
        SemganError: if there is no such place or no image in it; the message names the configuration's id.
    """
    place = Path(dataset_dir).expanduser()
    if glob.has_magic(str(place)) and not place.exists():
        found = [Path(name) for name in sorted(glob.glob(str(place), recursive=True))]
    elif place.is_dir():
        found = _scans_in(place)
    elif place.is_file():
        found = [place]
    else:
        raise SemganError("dataset_dir: no such folder", remedy="give --dataset_dir FOLDER", path=place)
    if not found:
        problem = "dataset_dir: no images in it"
        raise SemganError(problem, remedy="give --dataset_dir a folder of NIfTI files or DICOM series", path=place)
    return [{"image": str(path)} for path in found]


def _scans_in(folder: Path) -> list[Path]:
    from monai_semgan.data.formats import DICOM, READERS, marked_as_dicom

    suffixes = tuple(suffix for suffix, reader in READERS.items() if reader != DICOM or suffix == ".zip")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    volumes = [path for path in files if path.name.lower().endswith(suffixes)]
    if volumes:
        return volumes
    if any(marked_as_dicom(path) for path in files):
        return [folder]
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    return [path for path in inner if any(marked_as_dicom(file) for file in path.iterdir() if file.is_file())]


def label_names(bundle_root: str | Path) -> dict[int, str]:
    """Organ name by label id, as the bundle's metadata tells.

    Raises:
        SemganError: if the metadata is missing or does not tell.
    """
    from monai_semgan.bundle import METADATA, organ_labels, read_metadata

    return organ_labels(read_metadata(Path(bundle_root)), Path(bundle_root) / METADATA)


def check_overrides(arguments: Sequence[str] | None = None) -> None:
    """Refuse ids on the command line of `monai.bundle run` that no configuration file has.

    MONAI adds unknown ids silently, and a misspelt option would do nothing.

    Args:
        arguments: of the program; those of this process when left out.

    Raises:
        SemganError: if an id is unknown.
    """
    arguments = sys.argv if arguments is None else arguments
    if not is_monai_bundle(arguments):
        return
    from monai.bundle import ConfigParser, run

    options = dict(_options(arguments[1:]))
    files = options.get("config_file")
    if files is None or "args_file" in options:
        return
    own = {*inspect.signature(run).parameters, "workflow_type", "properties_path", *TRACKING}
    config = ConfigParser.load_config_files(_names(files))
    for name in options:
        if name not in own and not name.startswith("_") and not _known(name, config):
            close = ", ".join(sorted(_siblings(name, config)))
            raise SemganError(f"unknown id {name!r} on the command line", remedy=f"known are {close}")


def _options(arguments: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for index, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            following = arguments[index + 1] if index + 1 < len(arguments) else ""
            found.append((name, value if equals else following))
    return found


def _names(files: str) -> list[str]:
    return [part.strip(" '\"") for part in files.strip("[]() ").split(",") if part.strip(" '\"")]


def _known(name: str, config: Mapping[str, Any]) -> bool:
    """Whether an id is in the configuration, or is an argument of a component that stands there."""
    place, _, last = name.replace("::", "#").rpartition("#")
    parent = _at(place, config)
    if isinstance(parent, list):
        return last.isdigit() and int(last) < len(parent)
    if not isinstance(parent, Mapping):
        return False
    return last in parent or last in _settings(name, parent)


def _settings(name: str, parent: Mapping[str, Any]) -> set[str]:
    """What may stand in a section beside what does: arguments of its component, or fields of its settings."""
    from monai.utils import optional_import

    from monai_semgan.inversion.settings import InversionSettings
    from monai_semgan.preview import PreviewSettings

    section = name.split("#")[0]
    classes: dict[str, Any] = {"preview": PreviewSettings, "invert": InversionSettings, "refine": InversionSettings}
    target = classes.get(section)
    if "_target_" in parent:
        module, _, attribute = str(parent["_target_"]).rpartition(".")
        if not module:
            return {name.split("#")[-1]}  # a component of MONAI: MONAI checks its arguments
        target, found = optional_import(module, name=attribute)
        target = target if found else None
    return set(inspect.signature(target).parameters) if callable(target) else set()


def _siblings(name: str, config: Mapping[str, Any]) -> set[str]:
    parent = _at(name.rpartition("#")[0], config)
    if not isinstance(parent, Mapping):
        return set(config)
    return set(parent) | _settings(name, parent)


def _at(place: str, config: Any) -> Any:
    for step in filter(None, place.split("#")):
        if isinstance(config, Mapping):
            config = config.get(step)
        elif isinstance(config, list) and step.isdigit() and int(step) < len(config):
            config = config[int(step)]
        else:
            return None
    return config


def check_agreement(network: Any, preprocessing: Any, labels: Mapping[int, str], bundle_root: str | Path) -> None:
    """Refuse a bundle whose parts contradict each other.

    Raises:
        SemganError: naming the ids that disagree.
    """
    from monai_semgan.bundle import METADATA, read_metadata

    path = Path(bundle_root) / METADATA
    image = read_metadata(Path(bundle_root))["network_data_format"]["inputs"]["image"]
    generator = network.generator
    facts = (
        ("slices#num_classes", preprocessing.num_classes, "labels in channel_def, with background", len(labels) + 1),
        ("generator_def#num_classes", generator.num_classes, "slices#num_classes", preprocessing.num_classes),
        ("generator_def#size", generator.size, "slices#size", preprocessing.size),
        ("inputs#image#spatial_shape", list(image["spatial_shape"]), "slices#size", [preprocessing.size] * 2),
        ("inputs#image#num_channels", image["num_channels"], "generator_def#image_channels", generator.image_channels),
    )
    for name, value, other, expected in facts:
        if value != expected:
            problem = f"{name} is {value}, {other} says {expected}"
            raise SemganError(problem, remedy="make metadata.json and inference.json agree", path=path)


def load_network(network: Any, weights: str | Path) -> None:
    """Load a bundle's weights into `network_def`, strictly, and make it ready for use.

    Raises:
        SemganError: if the file is missing or holds weights of another network.
    """
    from monai_semgan.networks.weights import load_into, load_weights

    load_into(network, load_weights(weights), weights)
    network.eval()
