"""A bundle from an older one and a head for new structures; weights, classes and results of the old ones stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.authoring.contents import copy_bundle
from monai_semgan.authoring.create import class_texts, write_json
from monai_semgan.bundle.added_weights import added_weights
from monai_semgan.bundle.labels import ADDED, CONFIG, METADATA, RECORD, SETTINGS_FILE, WEIGHTS, read_json
from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.own_structures import SECTION
from monai_semgan.learning.new_structures import described
from monai_semgan.networks.added_structures import AddedStructures
from monai_semgan.networks.weights import part, save_weights, with_prefix
from monai_semgan.slicing.model_settings import find_settings

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.learning.new_structures import NewStructure
    from monai_semgan.networks.added_structures import StructureHead

TARGET = "_target_"


def with_head(bundle: Bundle, head: StructureHead, structures: Sequence[NewStructure]) -> Bundle:
    """The bundle in memory with a head for new structures; its other networks are shared, and nothing is written."""
    network = bundle.network
    arguments = added_arguments(bundle, head, len(structures))
    added = AddedStructures(**{key: value for key, value in arguments.items() if key != TARGET})
    for place, trained in zip(added.heads, [*(network.added.heads if network.added else ()), head], strict=True):
        place.load_state_dict(trained.state_dict())
    added = added.eval().requires_grad_(False).to(bundle.device)
    parts = (network.generator, network.encoder, network.student, network.forward_mode)
    joined = type(network)(*parts, added).eval()
    labels = {**bundle.labels, **new_labels(bundle.labels, structures)}
    ids = bundle.preprocessing.label_ids
    more = None if ids is None else more_ids(ids, len(labels))
    preprocessing = replace(bundle.preprocessing, num_classes=len(labels) + 1, label_ids=more)
    return replace(bundle, network=joined, labels=labels, preprocessing=preprocessing)


def new_labels(labels: Mapping[int, str], structures: Sequence[NewStructure]) -> dict[int, str]:
    """Name by id of new structures: their ids follow those of the model."""
    return dict(enumerate((one.name for one in structures), start=max(labels, default=0) + 1))


def added_arguments(bundle: Bundle, head: StructureHead, count: int) -> dict[str, Any]:
    """Describe the heads of a bundle and a new one, as its configuration does."""
    network = bundle.network
    return {
        TARGET: "monai_semgan.AddedStructures",
        "feature_channels": [int(channels) for channels in network.student.feature_channels],  # type: ignore[union-attr]
        "num_classes": bundle.preprocessing.num_classes - network.added_count,
        "structures": [*network.added_counts, count],
        "image_channels": bundle.preprocessing.image_channels,
        "width": int(head.project[0].out_channels),  # type: ignore[arg-type]
    }


def write_added_bundle(
    old: Bundle, made: Path, head: StructureHead, structures: Sequence[NewStructure], told: Mapping[str, Any]
) -> Path:
    """Write a bundle beside an older one.

    Args:
        old: that has learnt the structures; its folder is only read.
        made: folder of the new bundle, which takes the place of what is there.
        head: what was learnt.
        structures: their names and colours.
        told: what the record tells of the learning.

    Returns:
        The folder; it has been loaded once.

    Raises:
        SemganError: it cannot be loaded.
        OSError: it cannot be written.
    """
    copy_bundle(old.folder, made)
    joined = with_head(old, head, structures)
    for path in sorted((made / "configs").glob("*.json")):
        if path.name != METADATA.name:
            write_json(path, _config(read_json(path), path.name == CONFIG.name, old, joined, head, len(structures)))
    write_json(made / METADATA, _metadata(read_json(made / METADATA), joined, structures))
    _write_weights(old, made, head)
    kept = find_settings((made / SETTINGS_FILE).parent)
    if kept is not None:
        added = joined.network.added_count
        changed = replace(kept, preprocessing=joined.preprocessing, labels=joined.labels, added=added)
        changed.save(made / SETTINGS_FILE)
    record = read_json(made / RECORD) if (made / RECORD).is_file() else {}
    write_json(made / RECORD, record | {"learnt": [*record.get("learnt", []), dict(told)]})
    load_bundle(made, "cpu")
    return made


def _write_weights(old: Bundle, made: Path, head: StructureHead) -> None:
    number = len(old.network.added_counts)
    state = part(added_weights(old.folder / WEIGHTS), "added") if number else {}
    save_weights(made / ADDED, state | with_prefix(head.state_dict(), f"heads.{number}"))


def _config(
    config: dict[str, Any], inference: bool, old: Bundle, new: Bundle, head: StructureHead, count: int
) -> dict[str, Any]:
    """A configuration for the old classes and the added ones; those of trainings go on with the old ones."""
    added = list(new.network.added_counts)
    changed = with_added_labels(config, added)
    if not inference:
        return changed
    trained = new.preprocessing.num_classes - sum(added)
    for name in ("generator_def", "student_def"):
        if "num_classes" in changed.get(name, {}):
            changed[name] = changed[name] | {"num_classes": trained}
    ids = new.preprocessing.label_ids
    slices = {"num_classes": new.preprocessing.num_classes} | ({} if ids is None else {"label_ids": list(ids)})
    changed["slices"] = changed["slices"] | slices
    weights = f"$@bundle_root + '/{ADDED.as_posix()}'"
    changed["added_def"] = added_arguments(old, head, count) | {"weights": weights}
    changed["network_def"] = changed["network_def"] | {"added": "@added_def"}
    return changed


def with_added_labels(value: Any, added: Sequence[int]) -> Any:
    """A configuration whose `RestoreLabeld` know how many classes were added by each head."""
    if isinstance(value, list):
        return [with_added_labels(one, added) for one in value]
    if not isinstance(value, dict):
        return value
    changed = {key: with_added_labels(one, added) for key, one in value.items()}
    restoring = str(value.get(TARGET, "")).endswith("RestoreLabeld")
    return changed | ({"added": list(added)} if restoring else {})


def _metadata(metadata: dict[str, Any], new: Bundle, structures: Sequence[NewStructure]) -> dict[str, Any]:
    names = ["background", *new.labels.values()]
    channels = {str(index): name for index, name in enumerate(names)}
    formats = metadata["network_data_format"]
    pred = formats["outputs"]["pred"] | {"num_channels": len(names), "channel_def": channels}
    first = new.preprocessing.num_classes - len(structures)
    return metadata | {
        **class_texts(new.labels.values()),
        "network_data_format": formats | {"outputs": formats["outputs"] | {"pred": pred}},
        SECTION: [*metadata.get(SECTION, []), *described(structures, first)],
    }


def more_ids(ids: Sequence[int], count: int) -> tuple[int, ...]:
    """Ids in label files of so many classes: those that were there, and new ones, which follow the highest."""
    return (*ids, *range(max(ids) + 1, max(ids) + 1 + count - len(ids)))
