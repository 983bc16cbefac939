"""What organs are called where label files are scored: as bundle or data list say, and never as some model might."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.labels import METADATA, bundle_folder, organ_labels, read_metadata
from monai_semgan.data.entries import read_entry_label
from monai_semgan.data.scan_folder import BOOKKEEPING
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.prediction_ids import NNUNET, ids_in_files, names_of_file
from monai_semgan.io.formats import find_segment_reader

if TYPE_CHECKING:
    from monai_semgan.data.datalist import Entry

UNNAMED = 'their list does not name them: add "labels" to it, or give --bundle'


@dataclass(frozen=True)
class OrganNames:
    """Names of the organs to score.

    Args:
        labels: organ name by id that predictions hold unless something tells otherwise.
        files: organ name by id in label files of a list without names.
        note: what the reader of the figures should know; empty if nothing.
    """

    labels: Mapping[int, str]
    files: Mapping[int, str]
    note: str = ""


def organ_names(
    entries: Sequence[Entry],
    predictions: Path,
    bundle: str | Path | None = None,
    prediction_labels: str | Path | None = None,
) -> OrganNames:
    """Tell what the organs in predictions are called.

    The bundle tells, or the model that has left its record beside the predictions; else the data list, or nnU-Net's
    `dataset.json` beside them. Where nothing does, organs are called by their ids.

    Args:
        entries: of a data list, with labels.
        predictions: folder of label files.
        bundle: folder of the model; None where none is given.
        prediction_labels: see `choose_ids`.

    Raises:
        SemganError: the bundle cannot be used; another model has written the predictions; or ids of the model are
            asked for without one.
    """
    folder = Path(bundle) if bundle is not None else _writer(predictions, prediction_labels)
    if folder is not None:
        folder = bundle_folder(folder)
        labels = organ_labels(read_metadata(folder), folder / METADATA)
        return OrganNames(labels, ids_in_files(folder, labels))
    if prediction_labels == "model":
        raise SemganError("--prediction-labels model, and no model is given", remedy="give --bundle DIR")
    listed: dict[int, str] = {}
    for entry in entries:
        listed |= {index: name for index, name in entry.names if index not in listed}
    if not listed and (predictions / NNUNET).is_file():
        listed = names_of_file(predictions / NNUNET)
    if listed:
        return OrganNames(listed, listed)
    numbered = _numbered(entries)
    return OrganNames(numbered, numbered, f"organs are called by their ids, {UNNAMED}")


def _writer(predictions: Path, prediction_labels: str | Path | None) -> Path | None:
    """The bundle that comes with the package, where its record lies beside the predictions; None without a record."""
    if prediction_labels not in (None, "model"):
        return None
    for path in sorted((predictions / BOOKKEEPING).glob("*.json")):
        try:
            model = json.loads(path.read_text(encoding="utf-8"))["model"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        shipped = bundle_folder()
        if model != weights_digest(shipped):
            problem = "were made by another model than the one that comes with the package"
            raise SemganError(f"the predictions {problem}", remedy="give --bundle DIR", path=predictions)
        return shipped
    return None


def _numbered(entries: Sequence[Entry]) -> dict[int, str]:
    """Names `label 1`, `label 2` ... of the ids that the labels of a list hold."""
    ids = set[int]()
    for entry in entries:
        assert entry.label is not None
        if entry.label.is_dir() or find_segment_reader(entry.label) is not None:
            raise SemganError(
                "holds organs by name", remedy='name them in the list\'s "labels", or give --bundle', path=entry.label
            )
        try:
            ids |= set(map(int, np.unique(read_entry_label(entry).array)))
        except SemganError:  # it is told when it is scored
            continue
    return {index: f"label {index}" for index in sorted(ids - {0})}
