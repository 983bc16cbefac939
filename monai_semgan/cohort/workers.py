"""Several processes on one machine that take scans from one list."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from monai_semgan.cohort.cases import Case
from monai_semgan.cohort.cohort_settings import CohortSettings, case_key
from monai_semgan.cohort.records import FAILED, Record, save_record
from monai_semgan.errors import SemganError
from monai_semgan.io.lean_nibabel import import_nibabel
from monai_semgan.utils.forking import ForkServer, can_fork, serve_forks
from monai_semgan.utils.json_text import json_text
from monai_semgan.utils.process_pool import ProcessPool, Slot
from monai_semgan.utils.processes import LineWriter, Started, how_it_ended, module_command, parent_messages, run_child
from monai_semgan.utils.threads import prepare_threads

if TYPE_CHECKING:
    from monai_semgan.cohort.case_runner import CaseRunner

STOP_SECONDS = 10.0
"""Time for processes to remove half-written files when the cohort is stopped."""

LOOK_SECONDS = 0.2
TRIES = 3
"""Processes that end so many times in a row before their first scan are not started any more."""

Outcome = tuple[Case, Record]


def run_cases(
    cases: Sequence[Case], settings: CohortSettings, output: Path, jobs: int = 1, threads: int | None = None
) -> Iterator[Outcome]:
    """Segment scans, in order by one process, as they come by several.

    A process that dies, for example for want of memory, costs the scan it was at; another takes its place.

    Args:
        cases: the scans.
        settings: what to do.
        output: folder of the results, which exists.
        jobs: processes; with 1 the work is done in this one.
        threads: of each process; when left out, each scan gets as many as are free.

    Yields:
        Every scan with its record, once its results are written.

    Raises:
        SemganError: the model cannot be used, or the disk is full.
    """
    jobs = min(jobs, len(cases))
    if jobs > 1:
        yield from _run_processes(cases, settings, output, jobs, threads)
        return
    from monai_semgan.cohort.case_runner import CaseRunner

    if not cases:
        return
    runner = CaseRunner(settings, output)
    for case in cases:
        prepare_threads(threads)  # anew: other programs may have begun or ended
        yield case, runner.run(case)


def _run_processes(
    cases: Sequence[Case], settings: CohortSettings, output: Path, jobs: int, threads: int | None
) -> Iterator[Outcome]:
    pool = CasePool(cases, settings, output, jobs, threads)
    with pool.lock:
        pool.start()
    try:
        while not pool.finished:
            outcome = pool.next_outcome(LOOK_SECONDS)
            if outcome is None:
                continue
            case, record = outcome
            if case.name in pool.lost:  # its process has died and could not write it
                save_record(output, record)
            yield case, record
    finally:
        pool.close(STOP_SECONDS)


@dataclass
class CaseSlot(Slot):
    """A process of a cohort.

    Attributes:
        case: that it was given.
        begun: whether it has said that it is at the scan.
    """

    case: Case | None = None
    begun: bool = False


class CasePool(ProcessPool[CaseSlot]):
    """Hands scans to processes, which are forked from one that has loaded the model where that can be.

    Attributes:
        lost: names of the scans whose process has died at them.

    Args:
        cases: the scans.
        settings: what to do.
        output: folder of the results.
        jobs: processes.
        threads: of each process; when left out, it chooses.

    Raises:
        SemganError: the model cannot be used.
    """

    def __init__(
        self, cases: Sequence[Case], settings: CohortSettings, output: Path, jobs: int, threads: int | None = None
    ) -> None:
        super().__init__([CaseSlot(module_command(__name__), threads) for _ in range(jobs)], threading.RLock())
        self.settings, self.output, self._key = settings, output, settings.key()
        self._todo = deque(cases)
        self._tried: set[str] = set()
        self.lost: set[str] = set()
        self._outcomes: queue.Queue[Outcome | SemganError] = queue.Queue()
        self._server = _fork_server(settings, output) if can_fork(settings.device) else None

    def fork(self) -> Callable[[int | None], Started] | None:
        """Return how a process with the model is forked; None where it has to load the model itself."""
        return None if self._server is None or self._server.lost else self._server.fork

    def close(self, seconds: float = STOP_SECONDS) -> None:
        """End all processes, see `ProcessPool.close`."""
        super().close(seconds)
        if self._server is not None:
            self._server.close()

    @property
    def finished(self) -> bool:
        """Whether every scan has been given out by `next_outcome`."""
        with self.lock:
            busy = any(slot.case is not None for slot in self.slots)
            return not (self._todo or busy) and self._outcomes.empty()

    def next_outcome(self, seconds: float) -> Outcome | None:
        """Wait for a scan with its record; None if there was none for some time.

        Raises:
            SemganError: the processes cannot work.
        """
        with self.lock:
            if self._todo:
                self.tend()
        try:
            outcome = self._outcomes.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(outcome, SemganError):
            raise outcome
        return outcome

    def heard(self, slot: CaseSlot, message: dict[str, Any]) -> None:
        """Note what became of a scan, and give the process the next one."""
        said = message["say"]
        if said == "starting" and slot.process is not None:
            number = next(n for n, one in enumerate(self.slots) if one is slot)
            settings = _to_json(asdict(self.settings))
            slot.process.send("settings", settings=settings, number=number, output=str(self.output))
        elif said == "begun":
            slot.begun = True
        elif said == "record" and slot.case is not None:
            self._outcomes.put((slot.case, Record(**message["record"])))
            slot.case = None
        if said in ("ready", "record"):
            self._give(slot)

    def died(self, slot: CaseSlot, code: int, was_ready: bool) -> None:
        """Record the scan as failed, or put it back if the process had not begun it."""
        case, begun = slot.case, slot.begun
        slot.case, slot.begun = None, False
        if slot.broken:
            self._outcomes.put(SemganError(slot.broken))
        elif case is not None and not begun and case.name not in self._tried:
            self._tried.add(case.name)
            self._todo.appendleft(case)
            for idle in (one for one in self.slots if one.ready and one.case is None):
                self._give(idle)
        elif case is not None:
            message = f"its process {how_it_ended(code)}; if memory ran out, use fewer --jobs"
            self.lost.add(case.name)
            record = Record(case.name, case.source, FAILED, case_key(self._key, case), message=message)
            self._outcomes.put((case, record))
        if slot.deaths >= TRIES:
            slot.start_at = None
        if all(one.process is None and one.start_at is None for one in self.slots):
            problem = f"every process {how_it_ended(code)} before its first scan"
            self._outcomes.put(SemganError(problem, remedy="lower --jobs"))

    def _give(self, slot: CaseSlot) -> None:
        if self._todo and slot.process is not None:
            slot.case, slot.begun = self._todo.popleft(), False
            slot.process.send("case", case=_to_json(asdict(slot.case)))


def _fork_server(settings: CohortSettings, output: Path) -> ForkServer | None:
    values = json_text(_to_json(asdict(settings)))
    try:
        return ForkServer(module_command(__name__, values, str(output)))
    except OSError:  # each process is started by itself then
        return None


def serve(settings: CohortSettings, output: Path, control: int) -> NoReturn:
    """Load everything once and fork the processes of a cohort, see `monai_semgan.utils.forking`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    from monai_semgan.cohort.case_runner import CaseRunner

    runner = None
    with contextlib.suppress(SemganError):  # the first process says why
        runner = CaseRunner(replace(settings, device="cpu"), output)
    serve_forks(control, partial(work, loaded=runner))


def work(say: LineWriter, loaded: CaseRunner | None = None) -> int:
    """Answer every scan with its record, in a process of its own, until the parent is gone.

    Args:
        say: sends a message to the parent.
        loaded: what has been loaded for this process, if so.

    Returns:
        The exit code.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="semgan: %(message)s")
    warnings.simplefilter("ignore")
    import_nibabel()
    tasks: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    say("starting")
    first = tasks.get()
    from monai_semgan.cohort.case_runner import CaseRunner

    try:
        settings = _settings_of(first["settings"])
        settings = replace(settings, device=device_of(settings.device, first["number"]))
        runner = loaded or CaseRunner(settings, Path(first["output"]))
        say("ready")
        while True:
            values = tasks.get()["case"]
            say("begun")
            record = runner.run(Case(**{**values, "path": Path(values["path"])}))
            say("record", record=asdict(record))
    except SemganError as error:
        say("broken", message=str(error))
        return 1


def _listen(tasks: queue.Queue[dict[str, Any]]) -> None:
    for message in parent_messages():
        tasks.put(message)


def _to_json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _settings_of(values: dict[str, Any]) -> CohortSettings:
    bundle = None if values["bundle"] is None else Path(values["bundle"])
    return CohortSettings(**{**values, "bundle": bundle, "labels": tuple(values["labels"])})


def device_of(name: str, number: int) -> str:
    """Return the GPU of a process for `auto` and `cuda`: they are dealt out in turn."""
    import torch

    if name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{number % torch.cuda.device_count()}"
    return name


if __name__ == "__main__":
    if sys.argv[1:]:
        serve(_settings_of(json.loads(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]))
    run_child(work)
