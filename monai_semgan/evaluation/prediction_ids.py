"""What the ids in label files of others mean: organs as the model numbers them, the data list, or somebody else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.bundle.labels import CONFIG, read_json
from monai_semgan.bundle.load import load_bundle
from monai_semgan.data.datalist import read_json_object
from monai_semgan.data.entries import names_of_ids, read_entry_label, renumbered
from monai_semgan.data.list_names import names_in
from monai_semgan.data.scan_folder import BOOKKEEPING
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import find_segment_reader
from monai_semgan.io.reading import ANY_ID, read_label
from monai_semgan.organs import structure_key
from monai_semgan.quality.overlap import dice

if TYPE_CHECKING:
    from monai_semgan.data.datalist import Entry
    from monai_semgan.evaluation.predictions import Prediction
    from monai_semgan.io.volume import Volume

NNUNET = "dataset.json"
"""File that nnU-Net puts beside its predictions."""

LOOKED_AT = 3
"""Predictions that are compared with their labels where nothing else tells what the ids mean."""

CLEAR_DICE = 0.3
CLEAR_RATIO = 2.0
REMEDY = "say it with --prediction-labels model, list or FILE"


@dataclass(frozen=True)
class LabelIds:
    """Organ names by id, in every kind of file that an evaluation reads.

    Args:
        classes: as the model numbers them.
        files: as it expects them in label files whose list tells no names, and writes them.
        predictions: in the files to be scored; None where these follow the list.
        told: whether somebody said so, so that further ids are organs that the model does not know.
    """

    classes: Mapping[int, str]
    files: Mapping[int, str]
    predictions: Mapping[int, str] | None
    told: bool

    def of(self, entry: Entry) -> dict[int, str]:
        """Names by id in the prediction of an entry."""
        return dict(self.predictions if self.predictions is not None else dict(entry.names) or self.files)

    def reference(self, entry: Entry) -> Volume:
        """The label of an entry, by the model's numbers.

        Raises:
            SemganError: as `read_entry_label`.
        """
        label = read_entry_label(entry, names=self.files)
        return label if self.files == self.classes else renumbered(label, self.files, self.classes)


def ids_in_files(folder: Path, labels: Mapping[int, str]) -> dict[int, str]:
    """Organ name by id that a bundle expects in the label files of a list without names.

    Args:
        folder: of the bundle.
        labels: organ name by class.

    Raises:
        SemganError: its configuration cannot be used.
    """
    path = folder / CONFIG
    slices = read_json(path).get("slices") if path.is_file() else None
    ids = slices.get("label_ids") if isinstance(slices, dict) else None
    if ids is None:
        return dict(labels)
    if isinstance(ids, list) and all(isinstance(index, int) for index in ids) and len(ids) >= max(labels, default=0):
        return {ids[index - 1]: name for index, name in labels.items()}
    return names_of_ids(load_bundle(folder, "cpu").preprocessing, labels)


def choose_ids(
    option: str | Path | None,
    folder: Path,
    entries: Sequence[Entry],
    found: Mapping[str, Prediction],
    classes: Mapping[int, str],
    files: Mapping[int, str] | None = None,
) -> tuple[LabelIds, str]:
    """Tell what the ids of predictions mean, and in words why; the words are empty where there is no question.

    Args:
        option: `model`, `list`, or a JSON file with names of ids; where left out, what lies beside the predictions,
            or a comparison with the labels, decides.
        folder: of the predictions.
        entries: of the data list.
        found: predictions by name of the entry.
        classes: organ name by the model's own number.
        files: organ name by id in label files, those that the model writes among them; as `classes` when left out.

    Raises:
        SemganError: the file cannot be used; or model and list number organs differently and nothing tells which ids
            these are.
    """
    files = files or classes
    if option is not None and option not in ("model", "list"):
        return LabelIds(classes, files, _names_for(Path(option), classes), True), f"ids as {option} says"
    written = classes if files == classes else _written_ids(entries, found, classes, files)
    model, listed = LabelIds(classes, files, written, True), LabelIds(classes, files, None, True)
    if option is not None:
        return (model, "ids of the model") if option == "model" else (listed, "ids of the data list")
    if (folder / NNUNET).is_file():
        return LabelIds(classes, files, _names_for(folder / NNUNET, classes), True), f"ids as their {NNUNET} says"
    if (folder / BOOKKEEPING).is_dir():
        return model, ""
    plain = [entry for entry in entries if entry.name in found and _is_plain(found[entry.name])]
    if all(_agree(listed.of(entry), written) for entry in plain):
        return LabelIds(classes, files, written, any(entry.names for entry in entries)), ""
    return _by_comparison(model, listed, plain, found)


def _written_ids(
    entries: Sequence[Entry],
    found: Mapping[str, Prediction],
    classes: Mapping[int, str],
    files: Mapping[int, str],
) -> Mapping[int, str]:
    """Names by id in what a model has written: ids of its label files, but its own numbers in results of 0.2."""
    plain = [found[entry.name] for entry in entries if entry.name in found and _is_plain(found[entry.name])]
    ids = {int(index) for prediction in plain[:LOOKED_AT] for index in _ids_of(prediction.path)} - {0}
    return classes if ids and ids <= set(classes) and not ids <= set(files) else files


def _ids_of(path: Path) -> Iterable[int]:
    try:
        return np.unique(read_label(path, max_label=ANY_ID).array)
    except SemganError:  # it is told when it is scored
        return ()


def names_of_file(path: Path) -> dict[int, str]:
    """Organ name by id in a JSON file: `{"1": "liver"}`, `{"liver": 1}`, or either under `labels`.

    Raises:
        SemganError: it cannot be used.
    """
    content = read_json_object(path, "file with names of ids")
    return dict(names_in(content if isinstance(content.get("labels"), (dict, list)) else {"labels": content}, path))


def _names_for(path: Path, classes: Mapping[int, str]) -> dict[int, str]:
    names = names_of_file(path)
    if not {structure_key(name) for name in names.values()} & {structure_key(name) for name in classes.values()}:
        problem = f"names none of the organs {', '.join(classes.values())}"
        raise SemganError(problem, remedy="correct the names, or give --bundle", path=path)
    return names


def _is_plain(prediction: Prediction) -> bool:
    """Whether its ids need a meaning: segments and files of one organ have names."""
    return prediction.organs is None and find_segment_reader(prediction.path) is None


def _agree(one: Mapping[int, str], other: Mapping[int, str]) -> bool:
    """Whether both give the organs of the other the same ids."""
    keys = {index: structure_key(name) for index, name in one.items()}
    ids = {key: index for index, key in keys.items()}
    return all(
        ids.get(structure_key(name), index) == index and keys.get(index, structure_key(name)) == structure_key(name)
        for index, name in other.items()
    )


def _by_comparison(
    model: LabelIds, listed: LabelIds, entries: Sequence[Entry], found: Mapping[str, Prediction]
) -> tuple[LabelIds, str]:
    """Decide by overlap with the labels, where that is beyond doubt: it differs by far, and not in sides alone."""
    read = (_overlaps(model, listed, entry, found[entry.name]) for entry in entries)
    overlaps = list(islice((scores for scores in read if scores is not None), LOOKED_AT))
    means = np.mean(overlaps, axis=0) if overlaps else np.zeros(2)
    best, other = (model, listed) if means[0] >= means[1] else (listed, model)
    low, high = sorted(means)
    if high < CLEAR_DICE or high < CLEAR_RATIO * low or all(_sides_only(model.of(e), listed.of(e)) for e in entries):
        problem = f"data list and model number organs differently ({_example(model, listed, entries)})"
        raise SemganError(f"{problem}; nothing tells whose ids the predictions hold", remedy=REMEDY)
    whose = "model" if best is model else "data list"
    why = f"mean Dice {high:.2f}, {low:.2f} with those of the {'data list' if best is model else 'model'}"
    return best, f"ids of the {whose}, by comparison with the labels ({why}); --prediction-labels says it for sure"


def _overlaps(model: LabelIds, listed: LabelIds, entry: Entry, prediction: Prediction) -> tuple[float, float] | None:
    """Mean Dice of a prediction under both meanings; None where it cannot be read."""
    try:
        reference = model.reference(entry)
        stored = read_label(prediction.path, reference, ANY_ID)
    except SemganError:  # it is told when it is scored
        return None
    scores = []
    for ids in (model, listed):
        label = renumbered(stored, ids.of(entry), ids.classes).array
        organs = [index for index in ids.classes if (reference.array == index).any()]
        scores.append(float(np.mean([dice(label == index, reference.array == index) for index in organs] or [0.0])))
    return scores[0], scores[1]


def _sides_only(one: Mapping[int, str], other: Mapping[int, str]) -> bool:
    """Whether two meanings differ in left and right alone: a mirrored result must not pass for other ids."""
    both = one.keys() & other.keys()
    return all(structure_key(one[index])[0] == structure_key(other[index])[0] for index in both)


def _example(model: LabelIds, listed: LabelIds, entries: Sequence[Entry]) -> str:
    for entry in entries:
        names = listed.of(entry)
        for index, name in model.classes.items():
            if structure_key(names.get(index, name)) != structure_key(name):
                return f"{index} is {names[index]} in the list, {name} in the model"
    return "an organ has two ids"
