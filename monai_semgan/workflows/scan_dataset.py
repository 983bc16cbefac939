"""The scans of a bundle's run as MONAI's data set: one that cannot be read is told, and does not end the run."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.data import Dataset, MetaTensor, list_data_collate

from monai_semgan.cohort.case_runner import reason
from monai_semgan.data.identity import scan_names
from monai_semgan.errors import SemganError
from monai_semgan.transforms.scan_meta import NAME, notes_of

logger = logging.getLogger(__name__)

FAILURE = "failure"
"""Key of an item of a scan that could not be read, with the reason."""

FAILED = "failed"
"""Key of a batch with the items of scans that could not be read."""

ENTRY = "entry"
"""Key of an item with the entry that it was made from, as JSON."""


class ScanDataset(Dataset):
    """Scans, each with a name of its own.

    An item holds its entry under `entry`. That of a scan that cannot be read or prepared holds nothing else but the
    reason, under `failure`, which passes through the workers of a data loader; `collate_scans` and `ScanEvaluator` know
    what to do with it.

    Args:
        data: `{"image": file, ...}`; those without `"name"` get one.
        transform: from files to slices.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Any = None) -> None:
        super().__init__(with_names(data), transform)

    def __getitem__(self, index: Any) -> Any:
        """Prepare a scan; of a range of numbers, a part of the data set."""
        if not isinstance(index, int):
            return super().__getitem__(index)
        entry = json.dumps(self.data[index], default=str)
        try:
            item = super().__getitem__(index)
        except Exception as error:
            return {ENTRY: entry, FAILURE: explained(error)}
        image = item.get("image")
        for note in notes_of(image) if isinstance(image, MetaTensor) else ():
            logger.warning("%s: %s", self.data[index][NAME], note)
        return {**item, ENTRY: entry}


def entries_of(batch: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries that a batch was made from."""
    return [json.loads(text) for text in batch.get(ENTRY, ("{}",))]


def with_names(data: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Entries of which each has a name that no other has."""
    entries = [dict(entry) for entry in data]
    files = [str(entry["image"]) for entry in entries]
    if not entries or all(entry.get(NAME) for entry in entries):
        return entries
    root = os.path.commonpath([Path(file).absolute().parent for file in files])
    named = zip(entries, scan_names([Path(file) for file in files], Path(root)), strict=True)
    return [{**entry, NAME: name} for entry, name in named]


def collate_scans(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make a batch, as MONAI does, of what could be read; the rest stands under `failed`."""
    good = [item for item in items if FAILURE not in item]
    failed = [item for item in items if FAILURE in item]
    batch: dict[str, Any] = list_data_collate(good) if good else {}
    return {**batch, FAILED: failed} if failed else batch


def explained(error: BaseException) -> str:
    """Why a scan failed, in one line; a fault of ours shows its traceback too."""
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__) is not None:
        chain.append(inner)
    known = next((one for one in chain if isinstance(one, SemganError)), None)
    if known is not None:
        return str(known)
    logger.error("not expected", exc_info=error)
    last = chain[-1]
    return reason(last if isinstance(last, Exception) else RuntimeError(str(last)))
