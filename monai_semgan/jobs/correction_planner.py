"""From corrections to what a worker needs to know of them; those that make no sense are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.inference.segmentation import parse_labels
from monai_semgan.jobs.contract import Result
from monai_semgan.jobs.correction_book import CorrectionBook
from monai_semgan.jobs.correction_contract import CorrectionRequest, StrokeInput
from monai_semgan.jobs.correction_history import StepRecord
from monai_semgan.jobs.job_errors import Conflict, JobError, in_words
from monai_semgan.jobs.joint_corrections import Joint
from monai_semgan.jobs.models import ServedModel
from monai_semgan.jobs.storage.correction_files import STROKES, given_label
from monai_semgan.jobs.storage.result_files import LABEL, LATENTS, read_result, versions
from monai_semgan.jobs.storage.store import JobStore
from monai_semgan.jobs.workers.messages import CorrectionTask

SHIFT = 0.1
"""Voxels by which the corners of two grids may differ that are the same."""

DROPPED = "the state that this correction goes on from was removed; send the strokes again"


class CorrectionPlanner:
    """Knows what corrections mean.

    Args:
        models: returns those of the server by name, the default one first.
        store: where jobs lie.
        book: which corrections there are.
    """

    def __init__(self, models: Callable[[], Mapping[str, ServedModel]], store: JobStore, book: CorrectionBook) -> None:
        self._models, self._store, self._book = models, store, book

    def check(self, request: CorrectionRequest, result: Result, other_grids: list[np.ndarray]) -> None:
        """Make sure that strokes can be followed.

        Args:
            request: the strokes.
            result: what is corrected.
            other_grids: (4, 4) voxel index to RAS mm, as other programs see the scan.

        Raises:
            JobError: if they are of another grid, leave the scan, or name a structure that the result has not.
        """
        _check_grid(request, result, other_grids)
        size = int(np.prod(result.shape, dtype=np.int64))
        for stroke in request.strokes:
            _check_runs(stroke, size)
        names = {label.id: label.name for label in result.labels}
        try:
            for name in (*(stroke.structure for stroke in request.strokes), *request.locked):
                parse_labels(name, names)
        except SemganError as error:
            raise JobError(in_words(error).replace("this model knows", "the result has")) from error

    def check_model(self, result: Result) -> None:
        """Make sure that the model is the one that has made a result.

        Raises:
            Conflict: if it is another one by now.
        """
        model = self._models().get(result.model.name)
        if model is None or model.info.sha256 != result.model.sha256:
            raise Conflict("the result was made by another version of the model; segment the scan again to correct it")

    def plan(self, joint: Joint) -> CorrectionTask:
        """Return what a worker needs to know, beside the scan and the model.

        Raises:
            JobError: if what is corrected is gone, or was made by another model.
        """
        job = joint.carrier.job
        root, history = str(job.corrects), self._book.history(str(job.corrects))
        steps = [step for entry in joint.entries if (step := self._book.step_of(entry.job))]
        if not steps:
            raise JobError(DROPPED)
        try:
            made = self._newest(root)
            result = read_result(made)
        except OSError:
            raise JobError(DROPPED) from None
        self.check_model(result)
        before = history.before(steps[0].number)
        label, latents = made / LABEL, made / LATENTS
        if before is not None:
            folder = self._newest(before.job)
            label, latents = folder / LABEL, folder / LATENTS
        shown = [step for step in history.followed() if step.number < steps[0].number]
        followed, state = self._with_label(steps, shown)
        if state is not None:
            label = state
        names = {one.id: one.name for one in result.labels}
        return CorrectionTask(
            root=root,
            state="" if state is not None else before.job if before is not None else root,
            label=str(label),
            latents=str(latents),
            requests=self._requests(followed),
            earlier=self._requests([step for step in shown if step not in followed]),
            result=str(made),
            reach_mm=steps[-1].reach_mm,
            locked=tuple(parse_labels(steps[-1].locked, names)) if steps[-1].locked else (),
            dropped=joint.carrier.dropped,
        )

    def _with_label(self, steps: list[StepRecord], before: list[StepRecord]) -> tuple[list[StepRecord], Path | None]:
        """Return the corrections whose strokes are followed, and the label to follow them on if one came with them.

        Strokes of corrections that this label does not show yet are followed on it once more.
        """
        given = [step for step in steps if step.shown is not None]
        if not given:
            return steps, None
        newest = given[-1]
        missing = [step for step in (*before, *steps) if step.number > (newest.shown or 0)]
        return missing, given_label(self._store.folder(newest.job))

    def _requests(self, steps: list[StepRecord]) -> tuple[str, ...]:
        return tuple(str(self._store.folder(step.job) / STROKES) for step in steps)

    def _newest(self, job: str) -> Path:
        results = self._store.results(job)
        found = versions(results)
        if not found:
            raise JobError(DROPPED)
        return results / str(found[-1])


def voxels_of(stroke: StrokeInput) -> int:
    """Count the voxels of a stroke's runs."""
    return sum(length for _, length in stroke.runs)


def _check_grid(request: CorrectionRequest, result: Result, other_grids: list[np.ndarray]) -> None:
    if tuple(request.shape) != tuple(result.shape):
        given, wanted = (" x ".join(map(str, shape)) for shape in (request.shape, result.shape))
        raise JobError(f"the strokes are of a grid of {given} voxels, the scan has {wanted}; draw on the scan's grid")
    if request.affine is None:
        return
    affine = np.asarray(request.affine, dtype=np.float64)
    if not any(_alike(affine, grid, result.shape) for grid in (np.asarray(result.affine), *other_grids)):
        raise JobError("the strokes are of a grid that lies elsewhere than the scan; draw on the scan's grid")


def _alike(first: np.ndarray, second: np.ndarray, shape: tuple[int, int, int]) -> bool:
    """Tell whether two grids have their corners at the same places."""
    corners = np.stack(np.meshgrid(*((0, n - 1) for n in shape), [1], indexing="ij"), axis=-1).reshape(-1, 4)
    with np.errstate(over="ignore", invalid="ignore"):
        shifts = np.linalg.norm((corners @ (first - second).T)[:, :3], axis=1)
    return bool(np.all(shifts <= SHIFT * np.linalg.norm(second[:3, :3], axis=0).min()))


def _check_runs(stroke: StrokeInput, size: int) -> None:
    runs = np.asarray(stroke.runs, dtype=np.int64)
    if (runs[:, 1] < 1).any():
        raise JobError("a run of a stroke has no voxels; give its first voxel and its length, 1 at least")
    if (runs.sum(axis=1) > size).any():
        raise JobError(f"a stroke leaves the volume, which has {size} voxels; draw on the scan's grid")
    if int(runs[:, 1].sum()) > size:
        raise JobError("a stroke has more voxels than the volume; send every voxel once")
