"""The process that computes: `python -m monai_semgan.jobs.workers.worker`, started by the server, one per device.

Reads and writes the messages of `messages.py` on stdin and stdout. Its stderr names no file and no patient.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.errors import SemganError
from monai_semgan.io.lean_nibabel import import_nibabel
from monai_semgan.jobs.job_errors import in_words
from monai_semgan.jobs.storage.job_log import log_without_values
from monai_semgan.jobs.workers.corrector_shelf import CorrectorShelf
from monai_semgan.jobs.workers.messages import Task
from monai_semgan.jobs.workers.turns import JobTurn, TurnGate
from monai_semgan.utils.processes import LineWriter, parent_messages, run_child
from monai_semgan.utils.threads import prepare_threads, refresh_threads

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.jobs.workers.correction_run import CorrectionRun
    from monai_semgan.jobs.workers.job_runner import JobRun

    Run = JobRun | CorrectionRun

logger = logging.getLogger("monai_semgan.worker")

MODELS_IN_MEMORY = 2
"""So many stay loaded, those that were used last; a job that has been paused keeps its own beside them."""

CORRECTIONS_IN_MEMORY = 4
"""So many wait for their reports; strokes that come faster than these are written wait then."""

NICENESS = 5
"""So that the server answers at once while this process uses every core."""


class WorkerLoop:
    """Takes tasks one after the other; previews that are marked `quick` go before what is being computed.

    Args:
        say: sends a message to the server.
        device: where to compute.
        partial_seconds: least time between two partial results.
    """

    def __init__(self, say: LineWriter, device: str, partial_seconds: float) -> None:
        self.say, self.device, self.partial_seconds = say, device, partial_seconds
        self._tasks: queue.Queue[Task] = queue.Queue()
        self._quick_tasks: queue.Queue[Task] = queue.Queue()
        self._reports: queue.Queue[tuple[Task, Run | None]] = queue.Queue()
        self._reporting = threading.Semaphore(1)  # a result takes much memory: few are kept for their reports
        self._correction_reporting = threading.Semaphore(CORRECTIONS_IN_MEMORY)
        self._gate = TurnGate()
        self._cancelled: set[str] = set()
        self._bundles: dict[str, Bundle] = {}
        self._loading = threading.Lock()
        self._correctors = CorrectorShelf()

    def listen(self) -> None:
        """Read messages until the server is gone, then end the process, whatever it is doing."""
        for message in parent_messages():
            if message["say"] == "cancel":
                self._cancelled.add(message["job"])
                self._gate.wake()
            elif message["say"] == "run":
                values: dict[str, Any] = message["task"]
                self._cancelled.discard(values["job"])  # a wish that came after the end of the try before
                self._take(Task.from_dict(values))

    def run(self, bundle: str) -> None:
        """Warm up, then work until the server is gone."""
        self.say("warming")
        loaded = self._load(bundle)
        self.say("warming", device=str(loaded.device))  # `auto` says nothing to people, and a GPU may be full
        warm_up(loaded)
        self.say("ready")
        for work in (self._compute_quick, self._write_reports):
            threading.Thread(target=work, daemon=True).start()
        while True:
            task = self._tasks.get()
            self._await_turn(task.job)
            with self._gate.computing():
                run = self._work(task)
            self._hand_over(task, run)
            del run

    def _await_turn(self, job: str) -> None:
        if self._gate.wanted:
            self._gate.pause(lambda: job in self._cancelled)

    def _take(self, task: Task) -> None:
        if task.quick:
            self._gate.announce()
            self._quick_tasks.put(task)
        else:
            self._tasks.put(task)

    def _compute_quick(self) -> None:
        while True:
            task = self._quick_tasks.get()
            try:
                self._gate.await_pause()
                run = self._work(task)
            finally:
                self._gate.done()
            self._hand_over(task, run)
            del run

    def _write_reports(self) -> None:
        while True:
            task, run = self._reports.get()
            if task.correction is not None:
                self._gate.await_quiet()
            if run is not None:
                self._report(run)
            del run
            self.say("parts", job=task.job)
            release_memory()
            self._places(task).release()

    def _places(self, task: Task) -> threading.Semaphore:
        """Return what limits how many results are kept for their reports; corrections share their scan."""
        return self._reporting if task.correction is None else self._correction_reporting

    def _work(self, task: Task) -> Run | None:
        run: Run | None = None
        if task.job in self._cancelled:
            state, message = "cancelled", "cancelled before it began"
        else:
            try:
                run = self._begin(task)
                state, message = run.run()
            except Exception as error:
                state, message = "failed", in_plain_words(error)
        self._cancelled.discard(task.job)
        self.say("end", job=task.job, state=state, message=message)
        return run

    def _hand_over(self, task: Task, run: Run | None) -> None:
        """Let the report be written, beside the next job; while too many wait to be written, wait for one.

        That of a correction is written when no stroke is being followed, but not much later.
        """
        self._places(task).acquire()
        self._reports.put((task, run))

    def _begin(self, task: Task) -> Run:
        from monai_semgan.jobs.workers.job_runner import JobRun

        bundle = self._load(task.bundle)
        refresh_threads()
        self.say("started", job=task.job)
        turn = JobTurn(task.job, self.say, None if task.quick else self._gate, self._cancelled)
        if task.correction is not None:
            from monai_semgan.jobs.workers.correction_run import CorrectionRun

            return CorrectionRun(task, task.correction, bundle, self.say, turn, self.partial_seconds, self._correctors)
        return JobRun(task, bundle, self.say, turn, self.partial_seconds)

    def _report(self, run: Run) -> None:
        try:
            run.report()
        except (SemganError, OSError):
            logger.warning("a report could not be written")
        except Exception as error:
            log_without_values(logger, error)

    def _load(self, folder: str) -> Bundle:
        from monai_semgan.bundle.load import load_bundle

        with self._loading:
            bundle = self._bundles.pop(folder, None)
            while bundle is None and len(self._bundles) >= MODELS_IN_MEMORY:
                del self._bundles[next(iter(self._bundles))]
            self._bundles[folder] = bundle or load_bundle(folder, self.device)  # the last one is the latest
            return self._bundles[folder]


def warm_up(bundle: Bundle) -> None:
    """Run everything once on a few slices: the first time takes seconds."""
    import numpy as np

    from monai_semgan.inference.segmentation import segment
    from monai_semgan.io.volume import Volume

    thick = 1 if bundle.preprocessing.field_of_view == "image" else 2
    array = np.full((48, 40, thick), -1000.0, dtype=np.float32)
    array[8:40, 8:32] = 60.0
    array[16:24, 12:24] = 200.0
    volume = Volume(array, np.diag([-8.0, 8.0, 5.0, 1.0]))
    mode = "refine" if "refine" in bundle.modes else "preview"
    segment(volume, bundle, mode, modality=(bundle.modalities or ("CT",))[0], steps=1)


def in_plain_words(error: Exception) -> str:
    """Say what went wrong, for the user; what nobody foresaw is logged."""
    if isinstance(error, SemganError):
        return in_words(error)
    if isinstance(error, MemoryError):
        return "not enough memory for this scan"
    if type(error).__name__ == "OutOfMemoryError":
        return "not enough memory on the device for this scan"
    log_without_values(logger, error)
    return f"an unexpected problem ({type(error).__name__}); the server's log has more"


def release_memory() -> None:
    """Give freed memory back, so that a large scan does not stay for good."""
    import ctypes
    import gc

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        trim(0)


def work(say: LineWriter) -> int:
    """Work until the server is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--partial-seconds", type=float, default=2.0)
    options = parser.parse_args()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    prepare_threads()
    import_nibabel()
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    warnings.simplefilter("ignore")
    loop = WorkerLoop(say, options.device, options.partial_seconds)
    threading.Thread(target=loop.listen, daemon=True).start()
    try:
        loop.run(str(options.bundle))
    except BrokenPipeError:
        return 0
    except Exception as error:
        say("broken", message=in_plain_words(error))
    return 1


if __name__ == "__main__":
    run_child(work)
