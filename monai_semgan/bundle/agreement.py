"""Do the parts of a bundle say the same: configuration, metadata, weights, and the settings that came with these?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.bundle.labels import METADATA, SETTINGS_FILE
from monai_semgan.errors import SemganError
from monai_semgan.slicing.model_settings import ModelSettings, find_settings, plain_ids

if TYPE_CHECKING:
    from monai_semgan.slicing.preprocessing import Preprocessing


def check_parts(
    network: Any, preprocessing: Preprocessing, labels: Mapping[int, str], modality: Sequence[str], folder: Path
) -> None:
    """Refuse a bundle whose parts contradict each other.

    Args:
        network: as the configuration describes it.
        preprocessing: section `slices` of the configuration.
        labels: structure name by label id, from the metadata.
        modality: that the metadata tells.
        folder: of the bundle.

    Raises:
        SemganError: naming the first contradiction.
    """
    classes, added = preprocessing.num_classes, sum(network.added_counts)
    less = " without the structures of added_def" if added else ""
    facts = [("slices#num_classes", classes, "labels in channel_def, with background", len(labels) + 1)]
    if network.renders:
        channels = network.generator.image_channels
        facts += [
            ("generator_def#num_classes", network.generator.num_classes, f"slices#num_classes{less}", classes - added),
            ("generator_def#size", network.generator.size, "slices#size", preprocessing.size),
            ("generator_def#image_channels", channels, "slices#image_channels", preprocessing.image_channels),
        ]
    for name, value, other, expected in facts:
        if value != expected:
            problem = f"{name} is {value}, {other} says {expected}"
            raise SemganError(problem, remedy="make metadata.json and inference.json agree", path=folder / METADATA)
    kept = find_settings((folder / SETTINGS_FILE).parent)
    if kept is None:  # of 0.1
        return
    found = kept.difference(ModelSettings(plain_ids(preprocessing), labels, tuple(modality)))
    if found is not None:
        problem = f"the weights were trained with {found.name} {found.own}, the configuration says {found.other}"
        raise SemganError(problem, remedy="undo the change, or use other weights", path=folder / SETTINGS_FILE)
