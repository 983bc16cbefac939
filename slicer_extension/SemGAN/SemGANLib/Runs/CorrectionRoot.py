"""The job at the server whose result is corrected; where it is gone, the scan is segmented there once more."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner, Task
from ..Server.Errors import ServerError
from ..Translation import tr as _
from ..Types.JobTypes import Job, JobRequest
from ..Types.ResultTypes import Result
from .Sending import Sending, SendingSteps
from .ServerJob import ServerJob

if TYPE_CHECKING:
    from .Runs import Runs

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 600.0


class NotRooted(ServerError):
    """The scan could not be segmented once more; the text says why."""


@dataclass(frozen=True)
class Root:
    """A job whose result can be corrected, and the scan as the server has it.

    Attributes:
        affine: 4 x 4, voxel index to RAS mm.
        shape: voxels along I, J and K.
        values: numbers of the structures at the server, by name.
    """

    job: str
    affine: tuple[tuple[float, ...], ...]
    shape: tuple[int, int, int]
    values: Mapping[str, int]

    @classmethod
    def of(cls, result: Result) -> Root:
        """Take the job of a result."""
        return cls(result.job, result.affine, result.shape, {label.name: label.id for label in result.labels})

    @classmethod
    def read(cls, text: str) -> Root | None:
        """Read what `text` has written; None if it is nothing."""
        content = json.loads(text or "null")
        if content is None:
            return None
        i, j, k = content["shape"]
        return cls(content["job"], tuple(map(tuple, content["affine"])), (i, j, k), content["values"])

    def text(self) -> str:
        """Write all of it."""
        return json.dumps(dataclasses.asdict(self))


class Rooting:
    """Has a scan segmented once more, so that there is a job to correct; what it finds is not shown.

    Args:
        volume: the volume node.
        result: what was found before; says model and modality.
        client: speaks to the server.
        runner: runs work in threads.
        runs: know what the server has of the volume.
        compressed: whether the scan is compressed on its way.
        show: called with a sentence about where it stands.
        done: called with the `Root`.
        failed: called with the error.
    """

    def __init__(
        self,
        volume: Any,
        result: Result,
        client: Client,
        runner: Runner,
        runs: Runs,
        compressed: bool,
        show: Callable[[str], None],
        done: Callable[[Root], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._result, self._client, self._runner = result, client, runner
        self._show, self._done, self._failed = show, done, failed
        self._image = runs.stored_as(volume, client)
        self._active = True
        self._tasks: list[Task] = []
        self._job = ServerJob(client, runner, lambda: None)
        self._ended = False
        self._answered = time.monotonic()
        steps = SendingSteps(
            self._run,
            lambda _phase: self._show(_("The server no longer has the scan: sending it again")),
            lambda _phase, _transfer: self._show(_("The server no longer has the scan: sending it again")),
            self._submit,
            self._fail,
            lambda upload: runs.remove_upload(client, upload),
        )
        self._sending = Sending(volume, compressed, client, runner, runs.uploads_of(client), steps)

    def start(self) -> None:
        """Begin."""
        if self._image is not None:
            self._submit(None)
        else:
            self._sending.begin()

    def stop(self) -> None:
        """Give up; the server is told."""
        if not self._active:
            return
        self._active = False
        for task in self._tasks:
            task.drop()
        self._sending.stop()
        if not self._ended:
            self._job.cancel()

    def _submit(self, upload: str | None) -> None:
        modality = self._result.modality
        request = JobRequest(
            upload=upload,
            image=None if upload else self._image,
            model=self._result.model.name or None,
            modality=modality if modality in ("CT", "MR") else None,
        )
        self._show(_("The server no longer has the result: preparing the scan for corrections"))
        self._runner.run(lambda: self._job.submit(request), self._look, self._not_submitted)

    def _not_submitted(self, error: Exception) -> None:
        self._job.not_submitted(error)
        self._fail(error)

    def _look(self, job: Job) -> None:
        if not self._active:
            self._job.cancel()
            return
        self._answered = time.monotonic()
        self._ended = job.ended
        if job.state == "done":
            self._run(lambda: self._client.result(job.id), lambda result: self._found(job, result))
        elif job.ended:
            self._fail(NotRooted(job.message))
        else:
            self._poll_later(job)

    def _poll_later(self, job: Job) -> None:
        self._tasks = [self._runner.later(POLL_SECONDS, lambda: self._poll(job))]

    def _poll(self, job: Job) -> None:
        self._tasks = [
            self._runner.run(lambda: self._client.job(job.id), self._look, lambda error: self._unheard(job, error))
        ]

    def _unheard(self, job: Job, error: Exception) -> None:
        patient = time.monotonic() - self._answered < PATIENCE_SECONDS
        if isinstance(error, ServerError) and error.passing and patient:
            self._poll_later(job)
        else:
            self._fail(error)

    def _found(self, job: Job, result: Result) -> None:
        self._active = False
        self._done(Root.of(replace(result, job=job.id)))

    def _fail(self, error: Exception) -> None:
        if self._active:
            self.stop()
            self._failed(error)

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._tasks = [self._runner.run(work, lambda value: self._active and done(value), self._fail)]
