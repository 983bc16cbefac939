"""What the Train button of MONAI Label's clients starts: trainings of the job API, with MONAI Label's status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from monailabel.interfaces.tasks.train import TrainTask

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import Conflict
from monai_semgan.jobs.ownership import NOBODY, Asker
from monai_semgan.jobs.train_contract import (
    LONGEST,
    SECONDS,
    SHORTEST,
    StructureInput,
    Training,
    TrainKind,
    TrainRequest,
)

if TYPE_CHECKING:
    from monai_semgan.jobs.service import JobService

KINDS = {
    "semgan_tune": (TrainKind.tune, "All structures that final labels hold, better; the old ones do not get worse"),
    "semgan_structure": (TrainKind.structure, "Structures that the model lacks and final labels name"),
}

STATES = {
    "queued": "SUBMITTED",
    "running": "RUNNING",
    "paused": "RUNNING",
    "done": "DONE",
    "cancelled": "STOPPED",
    "interrupted": "STOPPED",
    "failed": "ERROR",
}
"""MONAI Label's word for every state."""


class StockTrainer(TrainTask):
    """A kind of training, as MONAI Label lists it.

    Args:
        service: runs it.
        name: one of `KINDS`.
    """

    def __init__(self, service: JobService, name: str) -> None:
        self.service, self.kind = service, KINDS[name][0]
        super().__init__(KINDS[name][1])

    def config(self) -> dict[str, Any]:
        """Return what clients may choose: seconds of learning, and names with commas between (all when empty)."""
        return {"seconds": SECONDS, "structures": ""}

    def stats(self) -> dict[str, Any]:
        """Return how far the newest training is, and the mean Dice of what was held out."""
        for one in self.service.training.trainings().trainings:
            if one.kind is self.kind:
                dice = sum(one.figures.values()) / len(one.figures) if one.figures else 0.0
                told = {"epoch": one.step, "total_epochs": one.steps or 1, "best_metric": round(dice, 4)}
                return told if one.finished is None else {**told, "total_time": one.finished - one.created}
        return {}

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Refuse: MONAI Label's own server calls this in a process without the job service.

        Raises:
            SemganError: always.
        """
        raise SemganError("training needs the server `semgan serve`", remedy="start it in place of monailabel")

    def start(self, params: Mapping[str, Any], asker: Asker = NOBODY) -> Training:
        """Begin a training.

        Args:
            params: as in `config`, and what else a client sends.
            asker: whose it will be.

        Raises:
            SemganError: a value makes no sense.
            JobError: it cannot be learnt.
        """
        seconds = params.get("seconds", SECONDS)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not SHORTEST <= seconds <= LONGEST:
            raise SemganError(f"seconds is no number from {SHORTEST:.0f} to {LONGEST:.0f}")
        structures = [StructureInput(name=name) for name in self._names(params.get("structures") or "")]
        asked = TrainRequest(kind=self.kind, structures=structures, seconds=float(seconds), client="train")
        return self.service.training.submit(asked, asker)

    def _names(self, told: object) -> list[str]:
        listed = told.split(",") if isinstance(told, str) else told
        if not isinstance(listed, list) or not all(isinstance(name, str) and len(name) <= 64 for name in listed):
            raise SemganError("structures is neither a list of names nor names with commas between")
        names = [name.strip() for name in listed if name.strip()]
        if names or self.kind is TrainKind.tune:
            return names
        found = self.service.training.labels().structures
        unknown = [one.name for one in found if one.name is not None and not one.known]
        if not unknown:
            raise Conflict("no final label names a structure that the model lacks")
        return unknown


def stock_trainers(service: JobService) -> dict[str, TrainTask]:
    """Return the trainers by name."""
    return {name: StockTrainer(service, name) for name in KINDS}


def stock_status(training: Training) -> dict[str, Any]:
    """Return a training as MONAI Label tells its tasks."""
    told: dict[str, Any] = {
        "id": training.id,
        "status": STATES[training.state.value],
        "request": {"model": f"semgan_{training.kind.value}"},
        "start_ts": _time(training.started or training.created),
        "details": [training.message] if training.message else [],
        "progress": {"step": training.step, "steps": training.steps, "eta_seconds": training.eta_seconds},
        "result": {"figures": training.figures, "version": training.version},
    }
    return told if training.finished is None else {**told, "end_ts": _time(training.finished)}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
