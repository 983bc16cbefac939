"""A bundle from an older one and from weights that were trained on, also for more structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from monai_semgan.authoring.contents import copy_bundle
from monai_semgan.authoring.create import class_texts, measured_formats, write_json
from monai_semgan.bundle.labels import ADDED, METADATA, RECORD, WEIGHTS, learnt_modalities, read_json
from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.own_structures import SECTION
from monai_semgan.learning.added_bundle import more_ids, with_added_labels
from monai_semgan.learning.new_structures import NewStructure, described
from monai_semgan.networks.weights import load_weights, part, save_weights, with_prefix
from monai_semgan.slicing.model_settings import SETTINGS, find_settings
from monai_semgan.training.pretrained import student_members

SILENT = -20.0
"""Logit, before all else is added to it, of a structure that the generator's label heads do not know."""


def write_tuned_bundle(
    old: Path,
    made: Path,
    names: Mapping[int, str],
    weights: Mapping[str, torch.Tensor],
    told: Mapping[str, Any],
    new: Sequence[NewStructure] = (),
) -> Path:
    """Copy a bundle with other weights, and with more structures where there are any.

    Figures that were measured on the old weights are left out.

    Args:
        old: bundle that was tuned; structures that were added to it as heads are classes of the new one.
        made: folder of the new bundle, which takes the place of what is there.
        names: structure name by class, those of `old` first.
        weights: new ones, by prefix; parts that are missing stay as they are.
        told: what the record tells of the tuning.
        new: structures that `old` does not know, the last ones of `names`.

    Returns:
        The folder; it has been loaded once.

    Raises:
        SemganError: it cannot be written or loaded.
    """
    copy_bundle(old, made)
    (made / ADDED).unlink(missing_ok=True)
    parts = _parts(load_weights(old / WEIGHTS), weights, len(names) + 1)
    members = student_members(parts["student"])
    save_weights(made / WEIGHTS, {k: v for name, state in parts.items() for k, v in with_prefix(state, name).items()})
    for path in (made / "configs").glob("*.json"):
        if path.name != METADATA.name:
            write_json(path, _config(read_json(path), len(names) + 1, members))
    _write_metadata(made, names, new)
    kept = find_settings(made / "models")
    if kept is not None:
        ids = more_ids(kept.label_ids, len(names))
        preprocessing = replace(kept.preprocessing, num_classes=len(names) + 1, label_ids=ids)
        replace(kept, preprocessing=preprocessing, labels=names, added=0).save(made / "models" / SETTINGS)
    record = read_json(made / RECORD) if (made / RECORD).is_file() else {}
    write_json(made / RECORD, {key: value for key, value in record.items() if key != "dice"} | {"tuning": dict(told)})
    load_bundle(made, "cpu")
    return made


def _parts(
    old: Mapping[str, torch.Tensor], new: Mapping[str, torch.Tensor], classes: int
) -> dict[str, dict[str, torch.Tensor]]:
    """Weights of each part of the network, the new ones where there are any."""
    names = dict.fromkeys(name.partition(".")[0] for name in (*old, *new))
    parts = {name: part(new, name) or part(old, name) for name in names if name != "added"}
    if "generator" in parts:
        parts["generator"] = with_silent_classes(parts["generator"], classes)
    return parts


def with_silent_classes(state: Mapping[str, torch.Tensor], classes: int) -> dict[str, torch.Tensor]:
    """Give the label heads of a generator further classes, which it never renders.

    Args:
        state: of a `JointGenerator`.
        classes: with the background; as many as it has: nothing changes.
    """
    more = classes - len(state["label_bias"])
    grown = dict(state)
    if more > 0:
        grown["label_bias"] = torch.cat([state["label_bias"], torch.full((more,), SILENT)])
        for name, tensor in state.items():
            if name.endswith(".to_label.weight"):
                grown[name] = torch.cat([tensor, tensor.new_zeros(more, *tensor.shape[1:])])
    return grown


def _config(config: dict[str, Any], classes: int, members: int) -> dict[str, Any]:
    """A configuration for so many classes, without structures that were added as heads."""
    changed = {name: section for name, section in config.items() if name != "added_def"}
    if "added_def" in config:
        changed = with_added_labels(changed, [])
    for name in ("slices", "generator_def", "student_def"):
        if "num_classes" in changed.get(name, {}):
            changed[name] = changed[name] | {"num_classes": classes}
    if isinstance(changed.get("network_def"), dict):
        changed["network_def"] = {key: value for key, value in changed["network_def"].items() if key != "added"}
    if changed.get("student_def", {}).get("members", 1) != members:
        changed["student_def"] = changed["student_def"] | {"members": members}
    ids = changed.get("slices", {}).get("label_ids")
    if ids:
        changed["slices"] = changed["slices"] | {"label_ids": list(more_ids(ids, classes - 1))}
    return changed


def _write_metadata(made: Path, names: Mapping[int, str], new: Sequence[NewStructure]) -> None:
    metadata = read_json(made / METADATA)
    modality = "/".join(learnt_modalities(metadata)) or "CT"
    labels = list(names.values())
    texts: dict[str, Any] = {**class_texts(labels), "eval_metrics": {}}
    own = described(new, len(names) - len(new) + 1)
    texts |= {SECTION: [*metadata.get(SECTION, []), *own]} if own else {}
    write_json(made / METADATA, metadata | texts | measured_formats(made, labels, modality))
