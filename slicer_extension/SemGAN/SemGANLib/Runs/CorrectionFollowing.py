"""Looks at the corrections at the server, one after the other, until all have ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner, Task
from ..Server.Errors import Gone, ServerError
from ..Types.JobTypes import Job
from .CorrectionJob import Base, Corrected, Pending, get

QUICK_SECONDS = 0.1
SLOW_SECONDS = 1.0
PATIENCE_SECONDS = 600.0
"""How long a server that does not answer is asked again."""

Guard = Callable[[Callable[..., None]], Callable[..., None]]


@dataclass(frozen=True)
class FollowingSteps:
    """What is called on the way, in the main thread.

    Attributes:
        next: finds the correction that is looked at, the first one that the server has; None for none.
        base: finds the state that it is made on.
        client: finds the server that is connected, or None.
        heard: called with a correction whose job was heard of.
        joined: called with a correction and the id of the later one that it is computed together with; False where
            that one is not known here.
        came: called with correction, job, and what it has found; then it is looked at again, or it has ended.
        failed: called with a correction that has failed, and the error, or the server's words.
        lost: called when the server does not have the job any more, or has ended in the middle of it; False where
            that was so before.
    """

    next: Callable[[], Pending | None]
    base: Callable[[], Base]
    client: Callable[[], Client | None]
    heard: Callable[[], None]
    joined: Callable[[Pending, str], bool]
    came: Callable[[Pending, Job, Corrected], None]
    failed: Callable[[Pending, Exception | None, str], None]
    lost: Callable[[Pending], bool]


class Following:
    """Asks again and again as long as there is something to ask for.

    Args:
        runner: runs requests in threads.
        steps: what is called on the way.
        guard: makes a call give up all corrections if it fails.
    """

    def __init__(self, runner: Runner, steps: FollowingSteps, guard: Guard) -> None:
        self._runner, self._steps, self._guard = runner, steps, guard
        self._active = False
        self._heard = time.monotonic()
        self._tasks: list[Task] = []

    def go_on(self) -> None:
        """Look at the next correction, unless one is looked at."""
        if not self._active:
            self._heard = time.monotonic()
            self._next()

    def stop(self) -> None:
        """Look at none any more, until `go_on`."""
        self._active = False
        for task in self._tasks:
            task.drop()
        self._tasks = []

    def _next(self) -> None:
        pending = self._steps.next()
        client = self._steps.client() if pending is not None else None
        self._active = client is not None
        if pending is None or client is None or pending.job is None:
            return
        job = pending.job.id
        self._run(
            lambda: client.job(job),
            lambda answer: self._look(pending, answer, client),
            lambda error: self._unheard(pending, error),
        )

    def _look(self, pending: Pending, job: Job, client: Client) -> None:
        self._heard = time.monotonic()
        if pending.dropped:
            self._next()
            return
        pending.job = job
        if job.joined is not None and self._steps.joined(pending, job.joined):
            self._next()
        elif "label" in job.parts and (job.result_version > pending.version or job.state == "done"):
            base = self._steps.base()
            self._run(
                lambda: get(client, job, base),
                lambda corrected: self._came(pending, job, corrected),
                lambda error: self._unheard(pending, error),
            )
        elif job.ended:
            if not (job.state == "interrupted" and self._steps.lost(pending)):
                self._steps.failed(pending, None, job.message)
            self._next()
        else:
            self._later(QUICK_SECONDS)
        self._steps.heard()

    def _came(self, pending: Pending, job: Job, corrected: Corrected) -> None:
        if not pending.dropped:
            pending.version = max(job.result_version, corrected.result.version)
            self._steps.came(pending, job, corrected)
        if job.ended or pending.dropped:
            self._next()
        else:
            self._later(QUICK_SECONDS)
        self._steps.heard()

    def _unheard(self, pending: Pending, error: Exception) -> None:
        passing = isinstance(error, ServerError) and error.passing
        if passing and time.monotonic() - self._heard < PATIENCE_SECONDS:
            self._later(SLOW_SECONDS)
            return
        if not (isinstance(error, Gone) and self._steps.lost(pending)):
            self._steps.failed(pending, error, "")
        self._next()

    def _later(self, seconds: float) -> None:
        self._tasks = [self._runner.later(seconds, self._guard(self._next))]

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        self._tasks = [self._runner.run(work, self._guard(done), self._guard(failed))]
