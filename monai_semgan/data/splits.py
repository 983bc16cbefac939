"""Which patients of a training list a training is scored on: a share of them, or one fold of several.

Patients are taken by a hash of their names, so that the same list is divided alike by every command, stage and machine,
whatever the order of its entries.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monai_semgan.data.datalist import DataList, Entry
from monai_semgan.data.identity import name_key
from monai_semgan.errors import SemganError

SHARE = 0.2
"""Part of the labelled patients that is held out where nobody tells: as one of five folds."""

MOST = 20
"""Patients held out at most: more would make the score no surer, and labels are dear."""

LEAST_LABELLED = 3
"""Labelled patients from which on one is held out: of two, training would lose half."""


@dataclass(frozen=True)
class Fold:
    """One of several equal parts of the labelled patients.

    Args:
        number: 1 to `count`.
        count: 2 or more.

    Raises:
        SemganError: if there is no such fold.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if self.count < 2 or not 1 <= self.number <= self.count:
            raise SemganError(f"there is no fold {self}", remedy="give for example 2/5, the second of five")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @staticmethod
    def parse(text: str) -> Fold:
        """Read a fold as it is written, such as `2/5`.

        Raises:
            SemganError: it is not written so, or there is no such fold.
        """
        found = re.fullmatch(r"\s*(\d{1,4})\s*/\s*(\d{1,4})\s*", text)
        if found is None:
            raise SemganError(f"{text!r} is no fold", remedy="give for example 2/5, the second of five")
        return Fold(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class Choice:
    """How a validation is chosen where the list names none.

    Args:
        fold: which part is held out; a share of the patients when left out.
        keep: patients that an earlier stage of the run was scored on, which are held out again; empty where it had no
            validation. None for a new run.
    """

    fold: Fold | None = None
    keep: Collection[str] | None = None


ONE_SHARE = Choice()
"""A share of the labelled patients, for a new run."""


def with_validation(datalist: DataList, choice: Choice = ONE_SHARE, path: Path | None = None) -> DataList:
    """Take the validation of a training from its training list, by patient, where the list names none.

    Only labelled patients are held out, with all their scans; those without label stay in training.

    Args:
        datalist: as it was read.
        choice: of the patients.
        path: of the list, for errors.

    Returns:
        The list itself where it has labelled validation entries; else one with another training and validation, and
        a note on it.

    Raises:
        SemganError: a fold is asked for and the list has a validation, or fewer labelled patients than folds.
    """
    if any(entry.label is not None for entry in datalist.validation):
        if choice.fold is not None:
            remedy = 'move its entries into "training", or leave out --fold'
            raise SemganError(f'has a "validation" of its own beside the fold {choice.fold}', remedy=remedy, path=path)
        return datalist
    labelled = _labelled_patients(datalist.training)
    if choice.fold is not None and len(labelled) < choice.fold.count:
        problem = f"has {len(labelled)} labelled patients, too few for {choice.fold.count} folds"
        raise SemganError(problem, remedy="ask for fewer folds", path=path)
    held_out, note = _held_out(labelled, choice)
    notes = (*datalist.notes, *_without_label(datalist.validation), note)
    validation = tuple(entry for entry in datalist.training if entry.patient in held_out)
    training = tuple(entry for entry in datalist.training if entry.patient not in held_out)
    return replace(datalist, training=training, validation=(*datalist.validation, *validation), notes=notes)


def _labelled_patients(entries: Sequence[Entry]) -> list[str]:
    """Patients with a label, each once, in the order of a hash of their names."""
    found = {entry.patient for entry in entries if entry.label is not None}
    return sorted(
        found, key=lambda name: (hashlib.sha256(name_key(name).encode(errors="surrogatepass")).digest(), name)
    )


def _held_out(labelled: Sequence[str], choice: Choice) -> tuple[set[str], str]:
    """Patients to be scored on, and a sentence on them; folds share no patient and differ in size by one at most."""
    if choice.fold is not None:
        chosen = set(labelled[choice.fold.number - 1 :: choice.fold.count])
        return chosen, f"fold {choice.fold} is the validation: {_named(chosen)}"
    if choice.keep is not None:
        chosen = set(choice.keep) & set(labelled)
        return chosen, f"the validation of this run stays: {_named(chosen)}" if chosen else "this run has no validation"
    if not labelled:
        return set(), "no validation: no scan of the list is labelled"
    if len(labelled) < LEAST_LABELLED:
        count = f"{len(labelled)} labelled patient{'' if len(labelled) == 1 else 's'}"
        return set(), f"no validation: the list names none, and with {count} all are needed for training"
    chosen = set(labelled[: min(MOST, max(1, round(SHARE * len(labelled))))])
    why = f"{len(chosen)} of {len(labelled)} labelled patients, since the data list names none"
    return chosen, f"validation is taken from the training list: {_named(chosen)} ({why})"


def _without_label(validation: Sequence[Entry]) -> list[str]:
    return ['no entry of "validation" has a label, so that none can be scored on'] if validation else []


def _named(patients: Collection[str], most: int = 8) -> str:
    names = sorted(patients)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
