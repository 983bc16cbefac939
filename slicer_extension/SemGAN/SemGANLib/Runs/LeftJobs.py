"""Jobs of this installation that go on at the server and that no run follows, as after a crash."""

from __future__ import annotations

from typing import Callable

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner
from ..Server.Errors import Conflict, Gone
from ..Signal import Signal
from ..Types.JobTypes import Job
from ..Views import ERROR, LeftJob
from .Runs import Runs


class LeftJobs:
    """Finds them when a server is connected; they can be taken up, if their image is the server's, or ended.

    Args:
        runner: runs requests in threads.
        runs: know which jobs belong to runs of this session.
        tell: called with level and text.
    """

    def __init__(self, runner: Runner, runs: Runs, tell: Callable[[str, str], None]) -> None:
        self.jobs: tuple[LeftJob, ...] = ()
        self.changed = Signal("tuple of LeftJob")
        self._runner = runner
        self._runs = runs
        self._tell = tell
        self._found: dict[str, Job] = {}

    def look(self, client: Client) -> None:
        """Ask a server for them."""
        self._show({})
        self._runner.run(client.jobs, self._heard, lambda _error: None)

    def leave(self) -> None:
        """Forget them: the server was left."""
        self._show({})

    def take(self, job: str) -> Job | None:
        """Hand a job over to whoever follows it from now on; None if it is none of them."""
        found = self._found.get(job)
        self._remove(job)
        return found

    def end(self, client: Client, job: str) -> None:
        """Cancel a job."""
        self._runner.run(lambda: client.cancel(job), lambda _job: self._remove(job), lambda e: self._not_ended(job, e))

    def _not_ended(self, job: str, error: Exception) -> None:
        if isinstance(error, (Conflict, Gone)):  # it has ended by itself
            self._remove(job)
        else:
            self._tell(ERROR, str(error))

    def _heard(self, jobs: tuple[Job, ...]) -> None:
        left = [job for job in jobs if job.mine and not job.ended and job.corrects is None]
        self._show({job.id: job for job in left if not self._runs.has(job)})

    def _remove(self, job: str) -> None:
        self._show({name: found for name, found in self._found.items() if name != job})

    def _show(self, found: dict[str, Job]) -> None:
        self._found = found
        jobs = tuple(_view(job) for job in found.values())
        if jobs != self.jobs:
            self.jobs = jobs
            self.changed.emit(jobs)


def _view(job: Job) -> LeftJob:
    request = job.request
    image, mode = (request.image or "", request.mode) if request is not None else ("", "")
    return LeftJob(job.id, image, mode, job.state, job.created)
