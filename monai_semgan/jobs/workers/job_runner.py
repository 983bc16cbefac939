"""One job in the worker: read, segment, write results as they come, tell."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.correction.slice_latents import SliceLatents
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.inference.examination import examine
from monai_semgan.inference.mirror import why_not
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.writing import write_label
from monai_semgan.jobs.storage.result_files import (
    LABEL,
    LATENTS,
    REPORT,
    RESULT,
    new_version,
    page_aside,
    save_grid,
    save_maps,
    share_files,
)
from monai_semgan.jobs.workers.describing import contract_result
from monai_semgan.jobs.workers.messages import Task
from monai_semgan.jobs.workers.pace import PartialPace
from monai_semgan.jobs.workers.scan_reading import read_scan
from monai_semgan.jobs.workers.turns import JobTurn
from monai_semgan.outputs.maps import slice_maps
from monai_semgan.outputs.report import write_report
from monai_semgan.outputs.write import latencies

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume
    from monai_semgan.quality.anatomy import AnatomyReport
    from monai_semgan.utils.progress import StepEvent

Say = Callable[..., None]

TELL_SECONDS = 0.2


class JobProgress:
    """Pass the steps of a segmentation on to the server.

    Args:
        job: id.
        mode: of the job.
        say: sends a message.
    """

    def __init__(self, job: str, mode: str, say: Say) -> None:
        self.job, self.mode, self.say = job, mode, say
        self._told = 0.0

    def __call__(self, event: StepEvent[Any]) -> None:
        """Tell the server; steps of an inversion always, slices of a preview a few times a second."""
        now = time.monotonic()
        often = event.phase == "preview" and 0 < event.step < event.steps and now - self._told < TELL_SECONDS
        if event.phase == "batch" or often:
            return
        self._told = now
        facts: dict[str, Any] = {"message": event.message}
        if event.phase == "step":
            facts |= {"step": event.step, "steps": event.steps, "loss": event.loss}
            facts |= {"slices": event.slices, "converged": event.converged}
        elif self.mode == "preview":
            facts |= {"step": event.step, "steps": event.steps, "slices": event.slices}
        self.say("progress", job=self.job, **facts)


class JobRun:
    """Run one job.

    Args:
        task: what to do.
        bundle: the model.
        say: sends a message to the server.
        turn: whether the job is still wanted, and whether it is its turn.
        partial_seconds: least time between two partial results.
    """

    def __init__(self, task: Task, bundle: Bundle, say: Say, turn: JobTurn, partial_seconds: float) -> None:
        self.task, self.bundle, self.say, self.turn = task, bundle, say, turn
        self._pace = PartialPace(partial_seconds)
        self.results = Path(task.results)
        self.names = {index: bundle.labels[index] for index in task.labels}
        self.version = 0
        self._started = time.perf_counter()
        self._read = 0.0
        self._written: Segmentation | None = None
        self._finished: tuple[Segmentation, Volume, AnatomyReport | None] | None = None

    def run(self) -> tuple[str, str]:
        """Run to the end.

        Returns:
            State and message: `done`, or `cancelled` with or without a result.

        Raises:
            SemganError: if the image cannot be read, or nothing can be written.
        """
        task = self.task
        self.say("progress", job=task.job, message="reading the scan")
        volume = read_scan(task)
        self._read = time.perf_counter()
        tell = JobProgress(task.job, task.mode, self.say)

        def on_step(event: StepEvent[Segmentation]) -> None:
            tell(event)
            self.turn.keep()
            if event.phase == "start" or (event.phase == "step" and event.step < event.steps):
                self._partial(event, volume)

        try:
            found = segment(
                volume,
                self.bundle,
                task.mode,
                modality=task.modality,
                labels=task.labels,
                slice_range_mm=task.slice_range_mm,
                on_step=on_step,
                steps=task.steps,
                objective=task.objective,
            )
        except Cancelled:
            return "cancelled", "cancelled; the preview is kept" if self.version else "cancelled before it had a result"
        self._finish(found, volume)
        if found.cancelled:
            return "cancelled", "cancelled; the best result until then is kept"
        return "done", "done"

    def _partial(self, event: StepEvent[Segmentation], volume: Volume) -> None:
        """Write what was found so far, if the last time is long enough ago; a failure to write ends nothing."""
        if not self._pace.due:
            return
        begun = time.monotonic()
        try:
            found = event.partial()
            if found is None:
                return
            self._write(found, volume, partial=True)
        except SemganError:
            self.say("progress", job=self.task.job, message="a partial result could not be written")
        self._pace.written(begun)

    def _finish(self, found: Segmentation, volume: Volume) -> None:
        """Write the result; first without the look at the mirror image, which takes part of a preview's time."""
        anatomy = None
        if self.task.report and not found.cancelled and not why_not(self.bundle, found.prepared):
            self._write(found, volume, partial=True)
            self._written = found
            self.say("progress", job=self.task.job, message="checking right and left")
            anatomy = examine(found, volume, self.bundle, self.names)
        self._write(found, volume, partial=False, anatomy=anatomy)
        self._finished = found, volume, anatomy

    def _write(self, found: Segmentation, volume: Volume, partial: bool, anatomy: AnatomyReport | None = None) -> None:
        segmented, version = time.perf_counter(), self.version + 1
        with new_version(self.results, version) as folder:
            if version == 1:
                save_grid(self.results, volume, found.prepared.geometry)
            if found is self._written:
                share_files(self.results / str(version - 1), folder)
            else:
                write_label(found.label, volume, folder / LABEL)
                save_maps(folder, slice_maps(found))
                self._save_latents(found, folder)
            result = contract_result(self.task.job, version, found, volume, self.bundle, self.names, partial, anatomy)
            result.model.name = self.task.model or result.model.name  # two bundles may have one in their metadata
            paused = self.turn.paused_seconds
            times = [self._started + paused, self._read + paused, segmented, time.perf_counter()]
            result.latencies = latencies(times)
            (folder / RESULT).write_text(result.model_dump_json(), encoding="utf-8")
        self.version = version
        self.say("result", job=self.task.job, version=version, residual=result.residual_per_slice)

    def _save_latents(self, found: Segmentation, folder: Path) -> None:
        """Keep what an inversion has found, for corrections to go on from; of a part of a scan it fits no whole one."""
        if found.inversion is not None and self.task.slice_range_mm is None:
            latent = found.inversion.latent
            SliceLatents(np.arange(len(found.inversion.label)), latent).save(folder / LATENTS)

    def report(self) -> None:
        """Write the page of the result if it is wanted; it takes as long as a preview, so it comes after the end.

        Raises:
            SemganError: if it cannot be written.
            OSError: if the job was removed meanwhile.
        """
        if self._finished is None or not self.task.report:
            return
        found, volume, anatomy = self._finished
        with page_aside(self.results) as aside:
            files = write_report(found, volume, self.bundle, aside, labels=self.names, anatomy=anatomy)
            os.replace(files.html, self.results / str(self.version) / REPORT)
