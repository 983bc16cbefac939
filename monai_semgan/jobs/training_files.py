"""What a training has on disk: its record, and while it is needed the data that it learns from."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label
from monai_semgan.io.writing import write_volume
from monai_semgan.jobs.storage.store import make_folder, remove_folder
from monai_semgan.jobs.train_contract import Training, TrainRequest
from monai_semgan.jobs.training_choice import TrainChoice, table_of
from monai_semgan.jobs.training_labels import SeenLabel
from monai_semgan.utils.file_state import file_state, fingerprint
from monai_semgan.utils.files import write_error, written_aside
from monai_semgan.utils.json_text import json_text

logger = logging.getLogger(__name__)

RECORD, DATA, LABELS, LOG = "training.json", "data.json", "labels", "learn.log"
DIGITS = 16
"""Of the digest that a copied label is called by."""


class Record(BaseModel):
    """A training with what clients are not told.

    Attributes:
        training: as clients see it.
        request: what was asked for.
        owner: digest of who has asked; None if nobody said so.
    """

    training: Training
    request: TrainRequest
    owner: str | None = None


@dataclass(frozen=True)
class TrainingFiles:
    """Folders of trainings.

    Args:
        root: of all.
    """

    root: Path

    def load(self) -> list[Record]:
        """Return the trainings of earlier servers, the oldest first; folders without a readable record are removed."""
        found = []
        for folder in list(self.root.iterdir()) if self.root.is_dir() else []:
            try:
                found.append(Record.model_validate_json((folder / RECORD).read_bytes()))
            except (OSError, ValueError):
                logger.warning("a training without a readable record is removed")
                remove_folder(folder)
        return sorted(found, key=lambda one: one.training.created)

    def folder(self, training: str) -> Path:
        """Return the folder of a training."""
        return self.root / training

    def save(self, record: Record) -> None:
        """Write a record.

        Raises:
            SemganError: it cannot be written.
        """
        folder = self.folder(record.training.id)
        make_folder(folder)
        with written_aside(folder / RECORD) as aside:
            aside.write_text(record.model_dump_json(), encoding="utf-8")

    def remove(self, training: str) -> None:
        """Remove all of a training."""
        remove_folder(self.folder(training))

    def tidy(self, training: str) -> None:
        """Remove what an ended training has learnt from."""
        folder = self.folder(training)
        for name in (DATA, LOG):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / LABELS, ignore_errors=True)

    def write_data(self, training: str, choice: TrainChoice, known: Mapping[int, str]) -> Path:
        """Write the data list of a training, and labels anew whose ids are others than the model's.

        Args:
            training: id.
            choice: what is learnt, from which labels.
            known: names by id of the model.

        Returns:
            The list, in MONAI's form.

        Raises:
            SemganError: a label cannot be read, or nothing can be written.
        """
        folder = self.folder(training)
        names = {**known, **choice.structures}
        entries = []
        for label in choice.labels:
            table = table_of(label, choice, known)
            path = _with_ids(label, table, folder / LABELS)
            told = [names[index] for index in sorted({*table.values()} - {0})]
            entries.append({"image": str(label.source.file), "label": str(path), "labelled": told})
        content = {"labels": {str(index): names[index] for index in sorted(names)}, "training": entries}
        with written_aside(folder / DATA) as aside:
            aside.write_text(json_text(content, indent=1), encoding="utf-8")
        return folder / DATA


def _with_ids(label: SeenLabel, table: Mapping[int, int], folder: Path) -> Path:
    """Return a label whose ids are as a table says: the file itself where they are, else a copy.

    A copy that is there stays: by the state of its files a training knows that it goes on.
    """
    if all(index == target for index, target in table.items()):
        return label.source.label
    path = folder / f"{fingerprint([file_state(label.source.label), sorted(table.items())])[:DIGITS]}.nii.gz"
    if path.is_file():
        return path
    lookup = np.zeros(256, np.uint8)
    for index, target in table.items():
        lookup[index] = target
    stored = read_label(label.source.label)
    if int(stored.array.max()) > 255:
        raise SemganError("label ids over 255 cannot be learnt from", remedy="number them anew")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, path) from error
    return write_volume(lookup[stored.array], stored, path, np.uint8)
