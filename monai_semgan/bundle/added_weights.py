"""Weights of a bundle, with those of structures that were added to its model, which lie in a file of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.bundle.labels import ADDED
from monai_semgan.errors import SemganError
from monai_semgan.networks.weights import load_into, load_weights, with_prefix

if TYPE_CHECKING:
    import torch

    from monai_semgan.networks import InversionSegmenter


def load_all(network: InversionSegmenter, path: Path) -> None:
    """Load the weights of a network, strictly.

    Args:
        network: as the configuration describes it.
        path: of the model's weights; the ones of added structures lie beside them.

    Raises:
        SemganError: a file is missing or broken, or is of another network.
    """
    load_into(network, load_weights(path) | (added_weights(path) if network.added_counts else {}), path)


def added_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of added structures, by their names in the network.

    Args:
        path: of the model's weights.

    Raises:
        SemganError: they are missing or broken.
    """
    beside = path.with_name(ADDED.name)
    if not beside.is_file():
        problem = "the weights of structures that were added to the model are missing"
        raise SemganError(problem, remedy="copy the bundle again, with this file", path=beside)
    return with_prefix(load_weights(beside), "added")
