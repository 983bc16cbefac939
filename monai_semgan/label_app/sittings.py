"""Readers who correct a scan step by step with clients that keep no history: the server remembers it for them.

A sitting is one reader with one scan: a preview, and the corrections that were made of it by jobs.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label
from monai_semgan.io.writing import write_label, write_volume
from monai_semgan.jobs.correction_contract import CorrectionRequest, StrokeInput
from monai_semgan.jobs.job_errors import Conflict, JobError, Unknown
from monai_semgan.label_app.grids import read_grid
from monai_semgan.label_app.infer_request import InferRequest
from monai_semgan.label_app.stock_prompts import Point, PointPrompts, ScribblePrompts, point_strokes
from monai_semgan.organs import Segments
from monai_semgan.utils.file_state import file_state, fingerprint

if TYPE_CHECKING:
    from monai_semgan.jobs.service import JobService
    from monai_semgan.label_app.job_engine import JobEngine

SITTINGS = 16
"""So many are remembered; the one that was not used for the longest time goes first."""

LOCKS = 64
"""Readers who may share one by chance wait for each other."""

Key = tuple[str, str, str]
Found = tuple[str, dict[str, Any]]


@dataclass
class Sitting:
    """One reader with one scan.

    Attributes:
        root: job of the preview.
        newest: job whose label is in force.
        applied: points that have been followed, by structure.
        base: number of the correction before the first point; 0: the preview.
    """

    root: str
    newest: str
    applied: dict[str, set[tuple[Point, bool]]] = field(default_factory=dict)
    base: int = 0


class Sittings:
    """Corrects by the job API what clients of MONAI Label ask for.

    Args:
        engine: runs the jobs.
    """

    def __init__(self, engine: JobEngine) -> None:
        self.engine = engine
        self._sittings: OrderedDict[Key, Sitting] = OrderedDict()
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    def by_points(self, image: str, client: str, prompts: PointPrompts, extension: str) -> tuple[str, dict[str, Any]]:
        """Follow the points that are new; where some were taken away, all once more from where they began.

        Args:
            image: file of the scan.
            client: who asks.
            prompts: all points of a structure.
            extension: of the file that is returned.

        Returns:
            A file with the structure alone, and the facts.

        Raises:
            SemganError: a point lies outside, or the scan cannot be read.
            JobError: the queue or the disk is full, or the server is stopping.
        """
        with self._at(image, client, prompts.reset) as key:
            return self._again_if_lost(key, lambda: self._points(key, prompts, extension))

    def by_scribbles(
        self, image: str, client: str, prompts: ScribblePrompts, extension: str
    ) -> tuple[str, dict[str, Any]]:
        """Follow scribbles on the label that came with them, or on the one in force where that is empty.

        Args:
            image: file of the scan.
            client: who asks.
            prompts: what was drawn.
            extension: of the file that is returned.

        Returns:
            A file with the structure alone, and the facts.

        Raises:
            SemganError: the scan cannot be read.
            JobError: the queue or the disk is full, or the server is stopping.
        """
        with self._at(image, client, False) as key:
            return self._again_if_lost(key, lambda: self._scribbles(key, prompts, extension))

    @contextlib.contextmanager
    def _at(self, image: str, client: str, reset: bool) -> Iterator[Key]:
        """Hold the sitting of a reader with a scan: their requests come one after the other."""
        key = (image, fingerprint(file_state(image)), client)
        with self._locks[hash(key) % LOCKS]:
            if reset:
                self._forget(key)
            yield key

    def _again_if_lost(self, key: Key, work: Callable[[], Found]) -> Found:
        """Do it; where what it goes on from has expired, or another version of the model made it, begin anew."""
        try:
            return work()
        except (Unknown, Conflict):
            self._forget(key)
            return work()

    def _points(self, key: Key, prompts: PointPrompts, extension: str) -> tuple[str, dict[str, Any]]:
        sitting, service = self._sitting(key), self._service
        wanted, applied = prompts.points(), sitting.applied.get(prompts.structure, set())
        shape = service.results.newest(sitting.root).shape
        fresh = {prompts.structure: sorted(wanted - applied)}
        if applied - wanted:
            sitting.applied[prompts.structure] = wanted
            fresh = {name: sorted(points) for name, points in sitting.applied.items() if points}
            service.corrections.go_to(sitting.root, sitting.base, self.engine.asker)
            sitting.newest = self._job_of(sitting, sitting.base)
        strokes = [one for name, points in fresh.items() for one in point_strokes(name, points, shape)]
        if strokes:
            self._correct(sitting, CorrectionRequest(strokes=strokes, reach_mm=prompts.reach_mm, shape=list(shape)))
        sitting.applied[prompts.structure] = wanted
        return self._shown(sitting, prompts.structure, extension)

    def _scribbles(self, key: Key, prompts: ScribblePrompts, extension: str) -> tuple[str, dict[str, Any]]:
        sitting = self._sitting(key)
        strokes: list[StrokeInput] = prompts.strokes()
        if not strokes:
            raise SemganError("there are no scribbles", remedy="draw some first")
        label = self._upload(prompts.label, key[0]) if prompts.label.any() else None
        shape = list(prompts.label.shape)
        request = CorrectionRequest(strokes=strokes, reach_mm=prompts.reach_mm, shape=shape, label=label)
        sitting.base = self._correct(sitting, request)
        sitting.applied.clear()
        return self._shown(sitting, prompts.structure, extension)

    def _sitting(self, key: Key) -> Sitting:
        """Return the sitting, with a preview if it begins."""
        found = self._sittings.get(key)
        if found is None:
            root = self.engine.keep(key[0], InferRequest("preview"))
            found = self._sittings[key] = Sitting(root, root)
        self._sittings.move_to_end(key)
        for old in list(self._sittings)[:-SITTINGS]:
            self._forget(old)
        return found

    def _correct(self, sitting: Sitting, request: CorrectionRequest) -> int:
        """Correct, and return the number of the correction."""
        job = self._service.corrections.correct(sitting.root, request, self.engine.asker, report=False)
        self.engine.wait(job.id)
        sitting.newest = job.id
        return job.correction or 0

    def _job_of(self, sitting: Sitting, number: int) -> str:
        steps = {step.number: step.job for step in self._service.corrections.history(sitting.root).steps}
        return steps.get(number, sitting.root)

    def _shown(self, sitting: Sitting, structure: str, extension: str) -> tuple[str, dict[str, Any]]:
        """Write the structure alone, which is what clients take the place of their segment with."""
        file, facts = self.engine.collect(sitting.newest, InferRequest("preview", extension))
        index = facts["label_names"][structure]
        try:
            label = read_label(file)
            alone = np.where(label.array == index, label.array, 0)
            write_label(alone, label, file, Segments({index: structure}, facts["model"]["name"], ""))
        except BaseException:
            Path(file).unlink(missing_ok=True)
            raise
        names, colours = facts["label_names"], facts["label_colors"]
        shown = {"label_names": {structure: names[structure]}, "label_colors": {structure: colours[structure]}}
        return file, {**facts, **shown}

    def _upload(self, label: np.ndarray, image: str) -> str:
        """Hand a label to the job API."""
        reception, asker = self._service.reception, self.engine.asker
        with tempfile.TemporaryDirectory(prefix="semgan_") as folder:
            path = write_volume(label, read_grid(image), Path(folder) / "label.nii.gz", np.uint8)
            with reception.receiving(".nii.gz", path.stat().st_size, asker) as incoming:
                incoming.write(path.read_bytes())
                return reception.accept(incoming).id

    def _forget(self, key: Key) -> None:
        found = self._sittings.pop(key, None)
        if found is not None:
            with contextlib.suppress(JobError):
                self.engine.release(found.root)

    @property
    def _service(self) -> JobService:
        assert self.engine.service is not None, "the service comes with `use_jobs`"
        return self.engine.service
