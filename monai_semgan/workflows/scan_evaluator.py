"""MONAI's evaluator for scans: the others are segmented though one fails, and the failures are told at the end."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from monai.engines import SupervisedEvaluator
from torch import distributed

from monai_semgan.cohort.case_runner import disk_full
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.networks import InversionSegmenter
from monai_semgan.transforms.scan_meta import NAME
from monai_semgan.workflows.scan_dataset import ENTRY, FAILED, FAILURE, entries_of, explained

logger = logging.getLogger(__name__)

SHOWN = 5
"""Failures that the last line names; all were told when they happened."""


class ScanEvaluator(SupervisedEvaluator):
    """Run a bundle over scans as MONAI's `SupervisedEvaluator` does, and do not stop at one that fails.

    A scan may fail when it is read (`ScanDataset`), segmented, or written. It is told at once, and handlers see an
    empty batch in its place. When all others are done, `run` raises, so that the program's exit code is not 0. Over
    several processes, each raises when all are done. A full disk ends the run.

    Arguments are those of `SupervisedEvaluator`; the data loader needs `collate_scans`.

    Attributes:
        failures: entries of the scans that failed, with the reason under `failure`.
        count: number of scans up to now.
    """

    failures: list[dict[str, Any]]
    count: int

    def run(self, global_epoch: int = 1) -> None:
        """Segment all scans.

        Raises:
            SemganError: scans failed, all others are done; or the model cannot do what the inferer asks of it.
        """
        mode = getattr(self.inferer, "run_mode", "preview")
        if mode != "preview" and isinstance(self.network, InversionSegmenter):
            self.network.check_renders(f"mode {mode}")
        self.failures, self.count = [], 0
        super().run(global_epoch)
        failures = [failure for part in from_all(self.failures) for failure in part]
        if failures:
            raise _summary(failures, sum(from_all(self.count)))

    def _iteration(self, engine: Any, batchdata: dict[str, Any]) -> Any:
        for item in batchdata.pop(FAILED, ()):
            self.count += 1
            self.fail(json.loads(item[ENTRY]), item[FAILURE])
        if not batchdata:
            return self._nothing()
        entries = entries_of(batchdata)
        self.count += len(entries)
        try:
            return super()._iteration(engine, batchdata)
        except Exception as error:
            if isinstance(error, Cancelled) or disk_full(error):
                raise
            for entry in entries:
                self.fail(entry, explained(error))
            return self._nothing()

    def fail(self, entry: Mapping[str, Any], problem: str) -> None:
        """Note that a scan failed, and tell it."""
        logger.error("%s: %s", entry.get(NAME, "scan"), problem)
        self.failures.append({**entry, FAILURE: problem})

    def _nothing(self) -> list[Any]:
        self.state.batch = []
        return []


def from_all(value: Any) -> list[Any]:
    """The values of all processes; of one, if it runs alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, value)
    return parts


def _summary(failures: Sequence[Mapping[str, Any]], total: int) -> SemganError:
    if total == 1:
        return SemganError(str(failures[0][FAILURE]))
    more = f" and {len(failures) - SHOWN} more" if len(failures) > SHOWN else ""
    told = ", ".join(f"{failure.get(NAME, 'scan')} ({failure[FAILURE]})" for failure in failures[:SHOWN])
    remedy = "correct or remove them and run again; all others are done"
    return SemganError(f"{len(failures)} of {total} scans failed: {told}{more}", remedy=remedy)
