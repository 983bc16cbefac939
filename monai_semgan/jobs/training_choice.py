"""What a training learns, and from which labels; requests that make no sense are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from monai_semgan.jobs.job_errors import Conflict, JobError, Unknown
from monai_semgan.jobs.train_contract import StructureInput, TrainKind, TrainRequest
from monai_semgan.jobs.training_labels import SeenLabel, structures_in
from monai_semgan.organs import structure_key

NO_LABELS = "no image has a final label that may be learnt from; submit labels first"
MAX_ID = 255
LISTED = 12
"""Names in a message."""


@dataclass(frozen=True)
class TrainChoice:
    """What is learnt.

    Attributes:
        structures: name by the id that the model will have, or has, for it.
        inputs: what the request says of them, by name.
        labels: to learn from.
    """

    structures: Mapping[int, str]
    inputs: Mapping[str, StructureInput]
    labels: Sequence[SeenLabel]

    @property
    def images(self) -> list[str]:
        """Ids of the images."""
        return [label.source.image for label in self.labels]


def choose(request: TrainRequest, known: Mapping[int, str], labels: Sequence[SeenLabel]) -> TrainChoice:
    """Choose structures and labels for a request.

    Args:
        request: of a client.
        known: names by id of the model.
        labels: all final labels that may be trained with.

    Raises:
        JobError: an image or structure is not there, or the model has a structure that is to be new.
    """
    labels = _of_images(request, labels)
    if not labels:
        raise Conflict(NO_LABELS)
    inputs = {one.name: one for one in request.structures or _all_named(labels, known)}
    for name in inputs:
        if name.isdigit() or name.lower() == "background" or not name.isprintable() or set(name) & set(",:"):
            raise JobError(f"{name} cannot be the name of a structure; use words, without commas and colons")
    if request.kind is TrainKind.structure:
        _check_new(inputs, known)
    chosen = [label for label in labels if any(_id_in(label, one) for one in inputs.values())]
    for one in inputs.values():
        if not any(_id_in(label, one) for label in labels):
            raise JobError(_not_labelled(one, labels, known))
    return TrainChoice(_target_ids(inputs.values(), chosen, known), inputs, chosen)


def table_of(label: SeenLabel, choice: TrainChoice, known: Mapping[int, str]) -> dict[int, int]:
    """Return the id that every id of a label has in what is learnt from; 0 for what nothing is learnt of."""
    ids = {structure_key(name): index for index, name in [*known.items(), *choice.structures.items()]}
    table = {index: 0 if name is None else ids.get(structure_key(name), 0) for index, name in label.names.items()}
    for target, name in choice.structures.items():
        own = _id_in(label, choice.inputs[name])
        if own is not None:
            table[own] = target
    return table


def _of_images(request: TrainRequest, labels: Sequence[SeenLabel]) -> Sequence[SeenLabel]:
    if request.images is None:
        return labels
    there = {label.source.image: label for label in labels}
    missing = [image for image in request.images if image not in there]
    if missing:
        raise Unknown(f"no final label that may be learnt from: {_listed(missing)}")
    return [there[image] for image in dict.fromkeys(request.images)]


def _all_named(labels: Sequence[SeenLabel], known: Mapping[int, str]) -> list[StructureInput]:
    """All structures of the labels that have names."""
    found = structures_in(labels, known)
    return [StructureInput(name=one.name) for one in found if one.name is not None]


def _check_new(inputs: Mapping[str, StructureInput], known: Mapping[int, str]) -> None:
    keys = {structure_key(name): name for name in known.values()}
    for name in inputs:
        if structure_key(name) in keys:
            raise Conflict(
                f"the model knows {keys[structure_key(name)]} already; take kind tune to improve it, or another name"
            )


def _id_in(label: SeenLabel, structure: StructureInput) -> int | None:
    return label.id_of(structure.name, structure.label)


def _not_labelled(structure: StructureInput, labels: Sequence[SeenLabel], known: Mapping[int, str]) -> str:
    found = structures_in(labels, known)
    names = [one.name for one in found if one.name is not None]
    unnamed = [str(one.label) for one in found if one.name is None]
    told = f"no final label holds {structure.name}; there are {_listed(names) if names else 'no names'}"
    return f"{told}, and ids without a name: {_listed(unnamed)} (give it as label)" if unnamed else told


def _target_ids(
    inputs: Iterable[StructureInput], labels: Sequence[SeenLabel], known: Mapping[int, str]
) -> dict[int, str]:
    """Give every structure the model's id, or else the one that most labels have for it, or else the first free."""
    of_model = {structure_key(name): index for index, name in known.items()}
    found: dict[int, str] = {}
    for one in inputs:
        index = of_model.get(structure_key(one.name))
        if index is None:
            index = _free_id(one, labels, {*known, *found})
        found[index] = one.name
    return found


def _free_id(structure: StructureInput, labels: Sequence[SeenLabel], taken: set[int]) -> int:
    counts = Counter(index for label in labels if (index := _id_in(label, structure)) is not None)
    wanted = [index for index, _ in counts.most_common()]
    for index in [*wanted, *range(1, MAX_ID + 1)]:
        if index not in taken:
            return index
    raise JobError(f"the model has {MAX_ID} structures, and no id is left for {structure.name}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return f"{shown} and {len(names) - LISTED} more" if len(names) > LISTED else shown
