"""What the JSON record beside each checkpoint tells of the data, and whether a resumed run has the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TRAINING = "training"


@dataclass
class DataRecord:
    """Which patients a model has seen; never paths, which tell where a hospital keeps its data.

    Args:
        labelled: patients whose labels were used.
        unlabelled: patients whose images alone were used.
        validation: patients of the validation score.
        slices: number of training slices.
        labelled_slices: number of training slices with a label.
        sections: patients by section of the data list, whether the stage used them or not.
        partly_labelled: by patient, what labels know that know some classes only.
    """

    labelled: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    validation: list[str] = field(default_factory=list)
    slices: int = 0
    labelled_slices: int = 0
    sections: dict[str, list[str]] = field(default_factory=dict)
    partly_labelled: dict[str, list[str]] = field(default_factory=dict)

    def patients_hash(self) -> str:
        """SHA-256 of the patients of all sections, whatever their order."""
        content = {name: sorted(patients) for name, patients in self.sections.items() if patients}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def is_complete(record: Mapping[str, Any]) -> bool:
    """Whether a stage has come to its end, its last check included; records of before 0.3 do not tell of the check."""
    return bool(record.get("finished")) and bool(record.get("validated", True))


def dice_scores(history: Iterable[Mapping[str, Any]]) -> list[float]:
    """Dice of all checks that found one, oldest first."""
    scores = (entry.get("dice") for entry in history)
    return [score for score in scores if score is not None and math.isfinite(score)]


def sections_of(data: Mapping[str, Any]) -> dict[str, str]:
    """Section by patient in a record's part `data`; records of 0.1 tell used patients only."""
    sections = data.get("sections") or {
        TRAINING: [*data.get("labelled", ()), *data.get("unlabelled", ())],
        "validation": data.get("validation", ()),
    }
    return {patient: name for name, patients in sections.items() for patient in patients}


def moved_patient(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """A sentence about the first patient who was trained on and is scored now, or the other way round."""
    old, new = sections_of(before), sections_of(now)
    for patient in sorted(set(old) & set(new)):
        if old[patient] != new[patient] and TRAINING in (old[patient], new[patient]):
            return f'patient {patient} was in "{old[patient]}" and is in "{new[patient]}" now'
    return None


def other_patients(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """A sentence about the first patient who moved, is gone or new; None if all sections hold the same."""
    moved = moved_patient(before, now)
    old, new = sections_of(before), sections_of(now)
    if moved:
        return moved
    if not before.get("sections"):  # of 0.1: unused patients are not known, and a student used no unlabelled ones
        unlabelled = now["unlabelled"] if before.get("unlabelled") else []
        new = {patient: new[patient] for patient in [*now["labelled"], *unlabelled, *now["validation"]]}
    for patient in sorted(set(old) | set(new)):
        if patient not in new:
            return f'patient {patient} of "{old[patient]}" is no longer in the data list'
        if patient not in old:
            return f'patient {patient} of "{new[patient]}" was not in the data list'
        if old[patient] != new[patient]:
            return f'patient {patient} was in "{old[patient]}" and is in "{new[patient]}" now'
    return None


def new_labels(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Training patients that have a label now and had none, and those that had one and have none."""
    old, new = set(before.get("labelled", ())), set(now["labelled"])
    return sorted(new - old), sorted(old - new)
