"""Fixtures that several test modules share: a tiny model bundle and scans, all made in code."""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.phantoms import grid, patient, save_nifti

if TYPE_CHECKING:  # the environment of the extension's tests has no torch
    import torch

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED_BUNDLE = REPOSITORY / "bundles" / "semgan_abdomen"

# the same examples at every run, however slow the machine is; others come with --hypothesis-profile=search
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")

TINY_SIZE = 32
TINY_CHANNELS = {"4": 8, "8": 8, "16": 8, "32": 8}
TINY_LABELS = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
"""Of the phantom, whatever the shipped bundle finds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: no process is left alone with one in the end.

    Tests on real data run only where $SEMGAN_DATA says that there is some.
    """
    slow = {item.path for item in items if "slow" in item.keywords}
    items.sort(key=lambda item: item.path not in slow)
    if os.environ.get("SEMGAN_DATA"):
        return
    skip = pytest.mark.skip(reason="$SEMGAN_DATA is not set")
    for item in items:
        if "real_data" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="module", autouse=True)
def own_structures_end_with_the_module() -> Iterator[None]:
    """What bundles of one module have made known, such as the colour of a tumour, holds in no other one."""
    yield
    organs = sys.modules.get("monai_semgan.organs")
    for one in organs.structures() if organs is not None else ():
        if one.code.scheme == organs.OWN_SCHEME.designator:
            organs.forget_structure(one.name)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real data; for tests marked `real_data`."""
    return Path(os.environ["SEMGAN_DATA"])


def tiny_config() -> dict[str, Any]:
    """The shipped bundle's configuration, made small."""
    config = json.loads((SHIPPED_BUNDLE / "configs" / "inference.json").read_text())
    config = copy.deepcopy(config)
    config["generator_def"] |= {"size": TINY_SIZE, "latent_dim": 16, "mapping_layers": 2, "channels": TINY_CHANNELS}
    config["encoder_def"] |= {"num_latents": 8, "latent_dim": 16, "channels": [8, 8, 8, 8, 8], "grid": 2}
    config["student_def"] |= {"channels": [8, 8]}
    config["slices"] |= {"size": TINY_SIZE, "pixel_mm": 11.0, "num_classes": len(TINY_LABELS) + 1}
    if "spatial_channels" in config["encoder_def"]:
        config["encoder_def"] |= {"spatial_channels": TINY_CHANNELS["16"], "spatial_size": 16}
    sizes = config["patient"]["organ_cm2"]
    if isinstance(sizes, dict):
        config["patient"]["organ_cm2"] = {name: sizes[name] for name in TINY_LABELS.values() if name in sizes}
    config["invert"] = config["refine"] = {"steps": 2, "patience": 0}
    return config


def write_bundle(folder: Path, config: dict[str, Any], metadata: dict[str, Any], network: torch.nn.Module) -> Path:
    """Write a bundle folder."""
    from monai_semgan.networks.weights import save_weights

    (folder / "configs").mkdir(parents=True)
    for path in (SHIPPED_BUNDLE / "configs").iterdir():  # overlays
        (folder / "configs" / path.name).write_text(_of_tiny_labels(path.read_text()))
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    save_weights(folder / "models" / "model.pt", network.state_dict())
    return folder


def _of_tiny_labels(text: str) -> str:
    """A configuration for as many classes as the tiny bundle has; others, such as that of the log, as they are."""
    try:
        content = json.loads(text)
    except ValueError:
        return text
    if "num_classes" not in content.get("slices", {}):
        return text
    content["slices"]["num_classes"] = len(TINY_LABELS) + 1
    return json.dumps(content, indent=4) + "\n"


def tiny_metadata() -> dict[str, Any]:
    """The shipped bundle's metadata, with the labels and the size of the tiny one."""
    metadata: dict[str, Any] = json.loads((SHIPPED_BUNDLE / "configs" / "metadata.json").read_text())
    names = {"0": "background"} | {str(index): name for index, name in TINY_LABELS.items()}
    for part in ("network", "generator", "student"):
        metadata[f"{part}_data_format"]["outputs"]["pred"] |= {"num_channels": len(names), "channel_def": names}
    for kind, tensor in ("inputs", "image"), ("outputs", "pred"):
        metadata["network_data_format"][kind][tensor]["spatial_shape"] = [TINY_SIZE, TINY_SIZE]
    return metadata


def make_tiny_bundle(folder: Path) -> Path:
    """A bundle with a tiny network and random weights."""
    import torch
    from monai.bundle import ConfigParser

    config = tiny_config()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ConfigParser(copy.deepcopy(config)).get_parsed_content("network_def")
        network.generator.update_mean_latent(256)
    return write_bundle(folder, config, tiny_metadata(), network)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a tiny network and random weights."""
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def student_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle without generator and encoder."""
    from monai_semgan.networks.weights import load_weights, part, save_weights, with_prefix

    folder = tmp_path_factory.mktemp("bundle") / "student"
    shutil.copytree(tiny_bundle, folder)
    path = folder / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["network_def"] |= {"generator": None, "encoder": None}
    path.write_text(json.dumps(config))
    weights = folder / "models" / "model.pt"
    save_weights(weights, with_prefix(part(load_weights(weights), "student"), "student"))
    return folder


@pytest.fixture
def ct_scan(tmp_path: Path) -> Path:
    """A CT of the phantom whose axes are stored in an unusual order and direction, and lie oblique."""
    affine, shape = grid((8.0, 8.0, 12.0), codes="PSR", degrees=(0.0, 4.0, 7.0))
    return save_nifti(tmp_path / "scan.nii.gz", patient(affine, shape, seed=0).array, affine)


@pytest.fixture
def mr_scan(tmp_path: Path) -> Path:
    """The same patient as MR."""
    affine, shape = grid((8.0, 8.0, 12.0), codes="LPI")
    return save_nifti(tmp_path / "scan_mr.nii.gz", patient(affine, shape, "MR", seed=0).array, affine)


@pytest.fixture
def radiograph_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle as one for radiographs."""
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    for name, section in (("inference", "slices"), ("metadata", "network_data_format")):
        path = folder / "configs" / f"{name}.json"
        content = json.loads(path.read_text())
        if section == "slices":
            content["slices"]["frame"] = "image"
        else:
            content["network_data_format"]["inputs"]["image"]["modality"] = "DX"
        path.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def photograph_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle as one for pictures in colours, with random weights."""
    import torch
    from monai.bundle import ConfigParser

    config, metadata = tiny_config(), tiny_metadata()
    config["slices"] |= {"field_of_view": "image", "image_channels": 3}
    for name in ("generator_def", "encoder_def", "student_def"):
        config[name]["image_channels"] = 3
    metadata["network_data_format"]["inputs"]["image"] |= {"modality": "XC", "num_channels": 3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ConfigParser(copy.deepcopy(config)).get_parsed_content("network_def")
        network.generator.update_mean_latent(256)
    return write_bundle(tmp_path_factory.mktemp("bundle") / "photographs", config, metadata, network)
