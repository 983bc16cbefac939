"""One correction in the worker: follow the strokes, write the label slice by slice, tell."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.corrector import Corrector
from monai_semgan.correction.drawn_voxels import DrawnVoxels
from monai_semgan.correction.slice_latents import SliceLatents
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.inference.examination import covered_slices
from monai_semgan.io.reading import read_label
from monai_semgan.io.writing import write_label
from monai_semgan.jobs.contract import Result
from monai_semgan.jobs.storage.correction_files import link_or_copy, read_request
from monai_semgan.jobs.storage.result_files import (
    GRID,
    LABEL,
    LATENTS,
    MAPS,
    REPORT,
    RESULT,
    new_version,
    page_aside,
    read_result,
    slice_geometry,
    versions,
)
from monai_semgan.jobs.workers.correction_facts import corrected_result
from monai_semgan.jobs.workers.correction_reporting import Finished, reported, strokes_of
from monai_semgan.jobs.workers.corrector_shelf import CorrectorShelf, Shelved
from monai_semgan.jobs.workers.pace import PartialPace
from monai_semgan.jobs.workers.scan_reading import check_unchanged, read_scan
from monai_semgan.outputs.report import write_correction_report
from monai_semgan.outputs.write import latencies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monai_semgan.bundle.load import Bundle
    from monai_semgan.correction.correction_result import Correction
    from monai_semgan.correction.strokes import Stroke
    from monai_semgan.jobs.workers.messages import CorrectionTask, Task
    from monai_semgan.jobs.workers.turns import JobTurn
    from monai_semgan.utils.progress import StepEvent

GONE = "the strokes, or the label that they correct, are not there any more; send the strokes again"


class CorrectionRun:
    """Run one correction.

    Args:
        task: what to do.
        correction: what is corrected.
        bundle: the model.
        say: sends a message to the server.
        turn: whether the job is still wanted.
        partial_seconds: least time between two partial results.
        shelf: correctors of earlier corrections.
    """

    def __init__(
        self,
        task: Task,
        correction: CorrectionTask,
        bundle: Bundle,
        say: Callable[..., None],
        turn: JobTurn,
        partial_seconds: float,
        shelf: CorrectorShelf,
    ) -> None:
        self.task, self.correction, self.bundle = task, correction, bundle
        self.say, self.turn, self.shelf = say, turn, shelf
        self.results = Path(task.results)
        # another worker may have died with this correction, or it was computed with one that was cancelled
        self.version = max([correction.dropped, *versions(self.results)])
        self._pace = PartialPace(partial_seconds)
        self._started = time.perf_counter()
        self._read = 0.0
        self._finished: Finished | None = None

    def run(self) -> tuple[str, str]:
        """Run to the end.

        Returns:
            State and message: `done`, or `cancelled`, with what was found until then.

        Raises:
            SemganError: if something cannot be read or written.
        """
        task = self.task
        self.say("progress", job=task.job, message="reading the strokes")
        try:
            before = read_result(Path(self.correction.result))
            strokes = self._strokes(self.correction.requests, before)
            shelved = self._corrector(before)
        except (OSError, ValueError) as error:
            raise SemganError(GONE) from error
        self._read = time.perf_counter()
        corrector = shelved.corrector

        def on_step(event: StepEvent[Correction]) -> None:
            self._tell(event)
            if event.phase == "step" and 0 < event.step < event.steps and self._pace.due:
                self._partial(event, corrector, before)
            self.turn.keep()

        settings = CorrectionSettings(reach_mm=self.correction.reach_mm, locked=self.correction.locked)
        try:
            found = corrector.correct(strokes, settings, on_step)
        except Cancelled:
            return "cancelled", "cancelled before it had a result"
        self._write(found, corrector, before, partial=False)
        self._finished = Finished(found, corrector.volume, corrector.scan.prepared, before)
        self.shelf.put(self._key, Shelved(corrector, str(self.results / str(self.version) / LABEL)))
        return ("cancelled", "cancelled") if found.cancelled else ("done", "done")

    def report(self) -> None:
        """Write the page of the corrected label if it is wanted: of all strokes that it follows.

        Raises:
            SemganError: if it cannot be written, or what it tells of is gone.
            OSError: if the job was removed meanwhile.
        """
        if self._finished is None or not self.task.report:
            return
        label = reported(self._finished, self.correction)
        done = self._finished
        with page_aside(self.results) as aside:
            files = write_correction_report(label, done.volume, done.prepared, self.bundle, aside)
            os.replace(files.html, self.results / str(self.version) / REPORT)

    @property
    def _key(self) -> tuple[str, str, str | None]:
        return self.correction.root, self.task.bundle, self.task.image_state

    def _strokes(self, paths: Sequence[str], before: Result) -> list[Stroke]:
        return strokes_of([read_request(Path(path)) for path in paths], before)

    def _corrector(self, before: Result) -> Shelved:
        """Return the corrector of the scan, with the label that is to be corrected."""
        correction, shelved = self.correction, self.shelf.take(self._key)
        if shelved is not None and correction.state and shelved.label_file == correction.label:
            check_unchanged(self.task)
            return shelved
        if shelved is None:
            self.say("progress", job=self.task.job, message="reading the scan")
            volume = read_scan(self.task)
        else:
            check_unchanged(self.task)
            volume = shelved.corrector.volume
        label = read_label(Path(correction.label), None if correction.state else volume).array
        _check_ids(label, before)
        latents = _latents(Path(correction.latents))
        if shelved is None:
            shelved = Shelved(Corrector(self.bundle, volume, label, latents, modality=before.modality))
        else:
            shelved.corrector.restore(label, latents)
        drawn = DrawnVoxels.of(self._strokes(correction.earlier, before), label.shape)
        shelved.corrector.pins = drawn.agreeing(shelved.corrector.label)
        return shelved

    def _tell(self, event: StepEvent[Correction]) -> None:
        facts: dict[str, Any] = {"message": f"correcting slice {event.step} of {event.steps}"}
        if event.phase == "step":
            facts |= {"step": event.step, "steps": event.steps, "slices": event.slices}
        self.say("progress", job=self.task.job, **facts)

    def _partial(self, event: StepEvent[Correction], corrector: Corrector, before: Result) -> None:
        """Write what was found so far; a failure to write ends nothing."""
        begun = time.monotonic()
        try:
            found = event.partial()
            if found is None:
                return
            self._write(found, corrector, before, partial=True)
        except SemganError:
            self.say("progress", job=self.task.job, message="a partial result could not be written")
        self._pace.written(begun)

    def _write(self, found: Correction, corrector: Corrector, before: Result, partial: bool) -> None:
        computed, version, source = time.perf_counter(), self.version + 1, Path(self.correction.result)
        names = {label.id: label.name for label in before.labels}
        with new_version(self.results, version) as folder:
            if not (self.results / GRID).exists():  # it may be there, from a partial result that found no room
                link_or_copy(source.parent / GRID, self.results / GRID)
            write_label(found.label, corrector.volume, folder / LABEL)
            if (source / MAPS).exists():
                link_or_copy(source / MAPS, folder / MAPS)
            if len(found.latents.slices):
                found.latents.save(folder / LATENTS)
            covered = covered_slices(slice_geometry(self.results), corrector.volume)
            result = corrected_result(before, found.label, corrector.volume, covered, found.remarks, names)
            times = [self._started, self._read, computed, time.perf_counter()]
            changes = {"job": self.task.job, "version": version, "partial": partial, "parts": []}
            result = result.model_copy(update={**changes, "latencies": latencies(times)})
            (folder / RESULT).write_text(result.model_dump_json(), encoding="utf-8")
        self.version = version
        self.say("result", job=self.task.job, version=version, residual=result.residual_per_slice)


def _check_ids(label: np.ndarray, before: Result) -> None:
    """Refuse a label with structures that the result, which names all of them, could not tell."""
    names = {entry.id: entry.name for entry in before.labels}
    unknown = [index for index in np.unique(label).tolist() if index and index not in names]
    if unknown:
        known = ", ".join(f"{index} {name}" for index, name in names.items())
        problem = f"the label that was sent has the id {unknown[0]}, which the model does not know"
        raise SemganError(problem, remedy=f"use {known}, and 0 for the rest")


def _latents(path: Path) -> SliceLatents | None:
    """Return what was found for slices before; None if nothing was, or it cannot be used any more."""
    if not path.exists():
        return None
    try:
        return SliceLatents.load(path)
    except SemganError:
        return None
