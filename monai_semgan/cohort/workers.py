"""Several processes on one machine that take scans from one list."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from monai_semgan.cohort.cases import Case
from monai_semgan.cohort.cohort_settings import CohortSettings
from monai_semgan.cohort.records import FAILED, Record, save_record
from monai_semgan.errors import SemganError

STOP_SECONDS = 10.0


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    case: Case | None = None


def run_cases(
    cases: Sequence[Case], settings: CohortSettings, output: Path, jobs: int = 1, threads: int | None = None
) -> Iterator[tuple[Case, Record]]:
    """Segment scans, in order by one process, as they come by several.

    A process that dies, for example for want of memory, costs the scan it was at; another takes its place.

    Args:
        cases: the scans.
        settings: what to do.
        output: folder of the results, which exists.
        jobs: processes; with 1 the work is done in this one.
        threads: of each process; as torch likes when left out.

    Yields:
        Every scan with its record, once its results are written.

    Raises:
        SemganError: the model cannot be used, or the disk is full.
    """
    jobs = min(jobs, len(cases))
    if jobs > 1:
        yield from _run_processes(list(cases), settings, output, jobs, threads)
        return
    from monai_semgan.cohort.case_runner import CaseRunner

    if not cases:
        return
    _limit(threads)
    runner = CaseRunner(settings, output)
    for case in cases:
        yield case, runner.run(case)


def _run_processes(
    cases: list[Case], settings: CohortSettings, output: Path, jobs: int, threads: int | None
) -> Iterator[tuple[Case, Record]]:
    workers = [_start(settings, output, number, threads) for number in range(jobs)]
    try:
        while workers:
            ready = wait([worker.pipe for worker in workers])
            for number, worker in enumerate(list(workers)):
                if worker.pipe not in ready:
                    continue
                outcome = _receive(worker, output)
                if outcome is not None:
                    yield outcome
                if not worker.process.is_alive() and cases:
                    workers[workers.index(worker)] = _start(settings, output, number, threads)
                elif not cases or not worker.process.is_alive():
                    worker.pipe.close()
                    workers.remove(worker)
                else:
                    worker.case = cases.pop(0)
                    worker.pipe.send(worker.case)
    finally:
        _stop(workers)


def _receive(worker: _Worker, output: Path) -> tuple[Case, Record] | None:
    """What a process has to say: ready, a record, or why it stopped."""
    try:
        said = worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        code, case = worker.process.exitcode, worker.case
        if case is None:
            raise SemganError(
                f"a process ended with code {code} before its first scan", remedy="lower --jobs"
            ) from None
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        message = f"its process {how}; if memory ran out, use fewer --jobs"
        record = Record(case.name, str(case.path), FAILED, message=message)
        save_record(output, record)
        return case, record
    if isinstance(said, SemganError):
        raise said
    case, worker.case = worker.case, None
    return None if case is None else (case, said)


def _start(settings: CohortSettings, output: Path, number: int, threads: int | None) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, settings, output, number, threads), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.pipe.close()
        worker.process.terminate()
    for worker in workers:
        worker.process.join(STOP_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()


def _work(pipe: Connection, settings: CohortSettings, output: Path, number: int, threads: int | None) -> None:
    """A process: says that it is ready, then answers every scan with its record, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    from monai_semgan.cohort.case_runner import CaseRunner

    _limit(threads)
    try:
        runner = CaseRunner(replace(settings, device=device_of(settings.device, number)), output)
        pipe.send("ready")
        while True:
            pipe.send(runner.run(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionError):
        return
    except SemganError as error:
        pipe.send(SemganError(str(error)))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is leaving already


def _leave(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def _leave_with_parent() -> None:
    """End as soon as the first process is gone, also by `kill -9`: its successor may be at the same scan already."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _limit(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def device_of(name: str, number: int) -> str:
    """`auto` and `cuda` become the GPU of this process: they are dealt out in turn."""
    import torch

    if name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{number % torch.cuda.device_count()}"
    return name
