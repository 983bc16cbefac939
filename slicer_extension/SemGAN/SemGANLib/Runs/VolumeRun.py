"""One preview or refinement of one volume, from the click to the result in the scene."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Callable

from ..Protocols import Client, Runner, Task
from ..Scene import Geometry, VolumeExport
from ..Scene.MapImport import MapData
from ..Scene.Records import Record
from ..Server import Errors
from ..Server.Errors import ServerError
from ..Texts import fraction, phase_text
from ..Translation import tr as _
from ..Types import MAPS, Job, JobRequest
from ..Views import EXPORTING, IMPORTING, LOST, Run
from . import Results
from .Results import Fetched, Target
from .Sending import Sending
from .Uploads import Uploads

QUICK_SECONDS = 0.25
SLOW_SECONDS = 1.0
QUICK_FOR_SECONDS = 15.0
"""A job is looked at often while it is young: previews take seconds."""

PATIENCE_SECONDS = 600.0
"""How long a server that does not answer is asked again; jobs go on without their client."""


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        request: without the id of the upload.
        maps: whether maps are fetched.
        name: of a new segmentation node.
        compressed: whether the volume is compressed on its way.
    """

    request: JobRequest
    maps: bool
    name: str
    compressed: bool


class VolumeRun:
    """Sends a volume, follows its job, and brings every result into the scene as it comes.

    Nothing here waits: what takes time runs in the runner's threads, the rest in the main thread.

    Args:
        volume: the volume node.
        target: where results go.
        changed: called with a `Run` whenever something is new.
        arrived: called after a result was put into the scene.
        clock: seconds.
    """

    def __init__(
        self,
        volume: Any,
        plan: Plan,
        target: Target,
        client: Client,
        runner: Runner,
        uploads: Uploads,
        changed: Callable[[Run], None],
        arrived: Callable[[Record, Target], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.volume = volume
        self.plan = plan
        self.target = target
        self._client = client
        self._runner = runner
        self._sending = Sending(
            volume, plan.compressed, client, runner, uploads, self._run, self._show, self._submit
        )
        self._changed = changed
        self._arrived = arrived
        self._clock = clock
        self._begun = clock()
        self._answered = clock()
        self._tasks: list[Task] = []
        self._job: Job | None = None
        self._version = 0
        self._complete = False
        self._cancelling = False
        self._resent = False
        self._shape = VolumeExport.shape_of(volume)
        self._affine: Any = None
        self.view = Run(volume.GetID(), plan.request.mode, EXPORTING, phase_text(EXPORTING, None))

    def start(self) -> None:
        """Begin."""
        self._begun = self._answered = self._clock()
        self._affine = Geometry.ijk_to_world(self.volume)
        if self.plan.request.image is not None:
            self._submit(None)
        else:
            self._sending.begin()

    def cancel(self) -> None:
        """End, and keep what is there. Asked a second time it does not wait for the server to obey."""
        if not self.view.active:
            return
        if self._job is None:
            self._drop()
            self._end("cancelled", _("Cancelled before the server began."))
        elif self._cancelling:
            self._drop()
            self._end("cancelled", _unheard())
        else:
            self._cancelling = True
            self._ask_to_cancel(self._job)

    def abandon(self) -> None:
        """End at once without touching the scene: it is closed, or the volume is gone. The server is told."""
        if not self.view.active:
            return
        self._drop()
        self.view = replace(self.view, active=False, phase="cancelled", text="")
        if self._job is not None:
            self._tell_to_cancel(self._job)

    # the request

    def _submit(self, upload: str | None) -> None:
        """Not dropped when the run ends meanwhile: the server would go on with a job that nobody knows of."""
        request = self.plan.request if self.plan.request.image else replace(self.plan.request, upload=upload)
        self._show("queued")
        self._runner.run(lambda: self._client.submit(request), self._submitted, self._not_submitted)

    def _submitted(self, job: Job) -> None:
        if self.view.active:
            self._look(job)
        else:
            self._tell_to_cancel(job)

    def _not_submitted(self, error: Exception) -> None:
        """The server may have removed the upload meanwhile: it is sent once more."""
        if not self.view.active:
            return
        if isinstance(error, Errors.Gone) and not self._resent and self.plan.request.image is None:
            self._resent = True
            self._sending.again()
        else:
            self._fail(error)

    # the job

    def _poll(self) -> None:
        job = self._job
        if job is not None:
            self._run(lambda: self._client.job(job.id), self._look, self._not_answered)

    def _look(self, job: Job) -> None:
        """What a poll has brought."""
        self._job = job
        self._answered = self._clock()
        if self._wanted(job):
            self._show(IMPORTING if job.ended else job.state)
            self._fetch(job)
        elif job.ended:
            self._end(job.state, job.message)
        else:
            self._show(job.state)
            self._poll_later()

    def _wanted(self, job: Job) -> bool:
        """Whether there is a result to fetch: a newer one, or the last one with all that belongs to it."""
        newer = job.result_version > self._version
        return "label" in job.parts and (newer or (job.ended and not self._complete))

    def _poll_later(self) -> None:
        young = self._clock() - self._begun < QUICK_FOR_SECONDS
        self._tasks.append(self._runner.later(QUICK_SECONDS if young else SLOW_SECONDS, self._poll))

    def _not_answered(self, error: Exception) -> None:
        """A broken connection does no harm to the job: ask again."""
        passing = isinstance(error, ServerError) and error.passing
        if not passing or self._clock() - self._answered > PATIENCE_SECONDS:
            self._fail(error)
            return
        self._show(LOST)
        self._tasks.append(self._runner.later(SLOW_SECONDS, self._poll))

    def _ask_to_cancel(self, job: Job) -> None:
        self._drop()
        self._run(lambda: self._client.cancel(job.id), self._look, self._not_cancelled)

    def _not_cancelled(self, error: Exception) -> None:
        if isinstance(error, Errors.Refused):  # it has ended by itself
            self._poll()
        elif isinstance(error, ServerError) and error.passing:
            self._end("cancelled", _unheard())
        else:
            self._fail(error)

    def _tell_to_cancel(self, job: Job) -> None:
        client = self._client
        self._runner.run(lambda: client.cancel(job.id), _ignore, _ignore)

    # results

    def _fetch(self, job: Job) -> None:
        self._run(
            lambda: Results.fetch(self._client, job.id, self._affine, self._shape),
            lambda fetched: self._put(fetched, job),
            lambda error: self._not_fetched(error, job),
        )

    def _put(self, fetched: Fetched, job: Job) -> None:
        self._version = max(job.result_version, fetched.result.version)
        self._complete = job.ended
        record = Results.put(fetched, self.volume, self.target, self.plan.name)
        self._arrived(record, self.target)
        if not job.ended:
            self._poll_later()
        elif self.plan.maps and set(MAPS) & set(fetched.result.parts):
            self._fetch_maps(record, fetched.result.parts)
        else:
            self._end(job.state, job.message)

    def _fetch_maps(self, record: Record, parts: tuple[str, ...]) -> None:
        """After the label: they are large, and nobody should wait for them to see it."""
        client, job = self._client, record.result.job if record.result else ""
        self._run(
            lambda: Results.fetch_maps(client, job, parts, self._affine, self._shape),
            lambda maps: self._put_maps(maps, record),
        )

    def _put_maps(self, maps: dict[str, MapData], record: Record) -> None:
        Results.put_maps(maps, record)
        self._arrived(record, self.target)
        if self._job is not None:
            self._end(self._job.state, self._job.message)

    def _not_fetched(self, error: Exception, job: Job) -> None:
        passing = isinstance(error, ServerError) and error.passing
        if passing or (isinstance(error, Errors.Refused) and not job.ended):
            self._not_answered(error)
        else:
            self._fail(error)

    # ends

    def _end(self, phase: str, text: str) -> None:
        self._tasks.clear()
        self.view = replace(
            self.view, phase=phase, text=text, active=False, job=self._job, fraction=1.0 if phase == "done" else None
        )
        self._changed(self.view)

    def _fail(self, error: Exception) -> None:
        self._drop()
        text = str(error) if isinstance(error, (ServerError, ValueError)) else _unexpected(error)
        self._end("failed", text)

    def _show(self, phase: str) -> None:
        text = phase_text(phase, self._job)
        self.view = replace(self.view, phase=phase, text=text, job=self._job, fraction=fraction(self._job))
        self._changed(self.view)

    def _run(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        otherwise = failed or self._fail

        def guarded(value: Any) -> None:
            try:
                done(value)
            except Exception as error:  # what the scene refuses must not leave the panel waiting
                self._fail(error)

        self._tasks = [self._runner.run(work, guarded, otherwise)]

    def _drop(self) -> None:
        for task in self._tasks:
            task.drop()
        self._tasks.clear()


def _unexpected(error: Exception) -> str:
    return _("Something unexpected happened ({kind}: {error}). The scene is as it was; try again.").format(
        kind=type(error).__name__, error=error
    )


def _unheard() -> str:
    return _("Ended here. The server has not confirmed it: the job may go on there, and is removed in time.")


def _ignore(_: Any) -> None:
    """For what is only polite to tell the server."""
