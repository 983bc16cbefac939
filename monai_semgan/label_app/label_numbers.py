"""Label ids by name: clients number segments as they please, and training and readers take ids for the model's.

3D Slicer's MONAI Label module numbers the segments of a label in the order in which they stand, so that without the
first organ the second one has its id; `label_info` tells the names. In `.seg.nrrd` the names stand in the file.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from monai_semgan.errors import SemganError
from monai_semgan.organs import structure_key

MAX_ID = 255

K = TypeVar("K", bound=Hashable)
Ids = Mapping[tuple[str, tuple[str, ...]], frozenset[int]]
"""Label ids of a structure in a model, or several, by `structure_key` of its name."""


def model_ids(app: Any) -> dict[tuple[str, tuple[str, ...]], frozenset[int]]:
    """Return the label ids of all models of MONAI Label's app by the key of their names."""
    tasks = (task.labels if isinstance(task.labels, Mapping) else {} for task in app._infers.values())
    return ids_by_name((name, index) for labels in tasks for name, index in labels.items())


def ids_by_name(labels: Iterable[tuple[object, object]]) -> dict[tuple[str, tuple[str, ...]], frozenset[int]]:
    """Return the label ids of structures by the key of their names."""
    found: dict[tuple[str, tuple[str, ...]], frozenset[int]] = {}
    for name, index in labels:
        if isinstance(name, str) and isinstance(index, int):
            found[structure_key(name)] = found.get(structure_key(name), frozenset()) | {index}
    return found


def told_names(label_info: object, keys: Sequence[str] = ("idx",)) -> dict[int, str]:
    """Return names by id of MONAI Label's `label_info`: `[{"name": "cyst", "idx": 7}]`; anything else is left out.

    Args:
        label_info: as a client has sent it.
        keys: entries that may hold the id; the first that is there counts.
    """
    found = {}
    listed = label_info if isinstance(label_info, list) else []
    for entry in (one for one in listed if isinstance(one, Mapping)):
        index, name = next((str(entry[key]) for key in keys if key in entry), ""), entry.get("name")
        if index.isascii() and index.isdigit() and len(index) < 6:
            found[int(index)] = name if isinstance(name, str) else ""
    return found


def numbered(told: Mapping[K, tuple[str, int]], models: Ids) -> dict[K, int]:
    """Give every segment the id that the models have for its name.

    Args:
        told: name and present id of every segment.
        models: see `model_ids`.

    Returns:
        The id of every segment. Those of structures that no model knows keep theirs, unless a model has it for another
        structure. Where no name is known, all keep theirs.

    Raises:
        SemganError: there are more structures than ids.
    """
    known = {key: models[structure_key(name)] for key, (name, _) in told.items() if structure_key(name) in models}
    if not known:
        return {key: value for key, (_, value) in told.items()}
    found = {key: told[key][1] if told[key][1] in ids else min(ids) for key, ids in known.items()}
    taken = {index for ids in models.values() for index in ids}
    for key, (_, value) in told.items():
        if key not in found:
            found[key] = value if value not in taken else max(*taken, *(value for _, value in told.values())) + 1
            taken = taken | {found[key]}
    if max(found.values()) > MAX_ID:
        raise SemganError(f"label ids above {MAX_ID} would be needed", remedy="remove segments")
    return found


def renumbered(label_info: object, models: Ids) -> dict[int, int]:
    """Return what becomes of the ids of a label by its `label_info`; empty if nothing does.

    Only a list that numbers its segments from 1 on, as 3D Slicer's module does, tells what stands in the file: where
    that leaves out segments such as a background, its list has other ids than its file.
    """
    told = told_names(label_info)
    if sorted(told) != list(range(1, len(told) + 1)) or len({name.lower() for name in told.values()}) < len(told):
        return {}
    changes = numbered({index: (name, index) for index, name in told.items()}, models)
    return changes if any(old != new for old, new in changes.items()) else {}


def with_ids(label_info: object, names: Mapping[int, str]) -> object:
    """Return `label_info` with the ids that a label has by now.

    Args:
        label_info: as a client has sent it.
        names: by id.
    """
    ids = {name: index for index, name in names.items()}
    if not isinstance(label_info, list):
        return label_info
    known = [isinstance(entry, Mapping) and entry.get("name") in ids for entry in label_info]
    return [{**one, "idx": ids[one["name"]]} if there else one for one, there in zip(label_info, known, strict=True)]


def naming_all(label_info: object, ids: Iterable[int], known: Mapping[int, str]) -> object:
    """Return `label_info` that names all ids of a label, as they are meant now.

    A later version of the model may have other structures under the same ids.

    Args:
        label_info: as a client has sent it; it stays if it names them all.
        ids: that occur in the label.
        known: names by id of the model that the label is made from.
    """
    told, ids = told_names(label_info), sorted(ids)
    if all(told.get(index) for index in ids):
        return label_info
    listed = label_info if isinstance(label_info, list) else []
    further = [entry for entry in listed if (own := told_names([entry])) and not own.keys() & known.keys()]
    return [*({"name": known[index], "idx": index} for index in ids if index in known), *further]
