"""One preview or refinement of one volume, from the click to the result in the scene."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any, Callable

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner, Task
from ..Server import Errors
from ..Server.Errors import ServerError
from ..Server.Transfer import Transfer
from ..Texts import unexpected_text, unheard_text
from ..Translation import tr as _
from ..Types.JobTypes import Job
from ..Views import IMPORTING, LOST, Run
from .Arrival import Arrival, ArrivalSteps
from .Patience import Patience
from .Plans import Plan, RunCallbacks
from .Results import OtherGrid, Target
from .RunSigns import RunSigns
from .Sending import Sending, SendingSteps
from .ServerJob import ServerJob
from .Uploads import Uploads

FAILURES = ("failed", "interrupted")
"""Phases in which a run has ended without all of its result."""


class VolumeRun:
    """Sends a volume, follows its job, and brings every result into the scene as it comes.

    Nothing here waits: what takes time runs in the runner's threads, the rest in the main thread. However a run ends,
    unless the server has ended the job, the server is told to cancel it.

    Args:
        volume: the volume node.
        plan: what is run.
        target: where results go.
        client: speaks to the server.
        runner: runs work in threads.
        uploads: what that server has of the volumes.
        callbacks: who is to hear of the run, and do what belongs to no run.
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
        callbacks: RunCallbacks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.volume = volume
        self.plan = plan
        self.target = target
        self._client = client
        self._runner = runner
        self._callbacks = callbacks
        self._patience = Patience(clock)
        steps = SendingSteps(
            self._run,
            self._show,
            self._show_moving,
            self._guarded(self._submit),
            self._fail,
            lambda upload: callbacks.remove(client, upload),
        )
        self._sending = Sending(volume, plan.compressed, client, runner, uploads, steps)
        arriving = ArrivalSteps(
            self._run,
            lambda transfer: self._show_moving(IMPORTING, transfer),
            lambda record: callbacks.on_result(record, target),
            self._poll_later,
            lambda job: self._end(job.state, job.message),
            self._not_fetched,
            self._maps_not_fetched,
        )
        self._arrival = Arrival(volume, plan, target, client, arriving)
        self._server_job = ServerJob(client, runner, self._unconfirmed)
        self._tasks: list[Task] = []
        self._job: Job | None = None
        self._resent = False
        self._abandoned = False
        self.sent_instead = False
        self._signs = RunSigns(volume.GetID(), plan.request.mode, runner, callbacks.on_change, self._guarded)

    @property
    def view(self) -> Run:
        """What is shown of it."""
        return self._signs.run

    def start(self) -> None:
        """Begin; whatever is in the way of it ends the run."""
        self._patience.begin()
        self._guarded(self._begin)()

    def take_up(self, job: Job) -> None:
        """Follow a job that the server has already, instead of beginning one."""
        self._server_job.take_up(job.id)
        self._arrival.begin()
        self._guarded(self._look)(job)

    def owns(self, job: Job) -> bool:
        """Tell whether a job at the server is the one of this run."""
        return self._server_job.owns(job)

    def cancel(self) -> None:
        """End, and keep what is there. Asked a second time it does not wait for the server to obey."""
        if not self.view.active:
            return
        if self._job is None:
            self._end("cancelled", _("Cancelled before the server began."))
        elif self._server_job.told:
            self._end("cancelled", self._job.message if self._job.ended else unheard_text())
        else:
            self._drop()
            self._server_job.cancel(self._guarded(self._look), self._guarded(self._not_cancelled))

    def abandon(self) -> None:
        """End at once without touching the scene: it is closed, or the volume is gone. The server is told."""
        self._abandoned = True
        if self.view.active:
            self._signs.abandoned()
            self._release()

    # the request

    def _begin(self) -> None:
        self._arrival.begin()
        if self.plan.request.image is not None:
            self._submit(None)
        else:
            self._sending.begin()

    def _submit(self, upload: str | None) -> None:
        """Ask for the job. The task is not dropped when the run ends: see `ServerJob`."""
        request = self.plan.request if self.plan.request.image else replace(self.plan.request, upload=upload)
        self._show("queued")
        self._runner.run(lambda: self._server_job.submit(request), self._submitted, self._not_submitted)

    def _submitted(self, job: Job) -> None:
        if self.view.active:
            self._guarded(self._look)(job)
        else:
            self._server_job.cancel()

    def _not_submitted(self, error: Exception) -> None:
        """Send the upload once more if the server has removed it meanwhile; otherwise end."""
        self._server_job.not_submitted(error)
        if not self.view.active:
            return
        if isinstance(error, Errors.Gone) and not self._resent and self.plan.request.image is None:
            self._resent = True
            self._guarded(self._sending.again)()
        else:
            self._fail(error)

    # the job

    def _poll(self) -> None:
        job = self._job
        if job is not None:
            self._run(lambda: self._client.job(job.id), self._look, self._not_answered)

    def _look(self, job: Job) -> None:
        """Take note of where the job stands."""
        self._job = job
        self._patience.answered()
        if self._arrival.wanted(job):
            if not job.ended:
                self._show(job.state)
            self._arrival.fetch(job)
        elif job.ended:
            self._end(job.state, job.message)
        else:
            self._show(job.state)
            self._poll_later()

    def _poll_later(self) -> None:
        self._tasks.append(self._runner.later(self._patience.pause(), self._poll))

    def _not_answered(self, error: Exception) -> None:
        """Ask again after a broken connection: it does no harm to the job."""
        self._later_if_it_passes(error, self._poll)

    def _later_if_it_passes(self, error: Exception, again: Callable[[], None]) -> None:
        if self._patience.bears(error):
            self._show(LOST)
            self._tasks.append(self._runner.later(self._patience.long_pause(), again))
        else:
            self._fail(error)

    def _not_cancelled(self, error: Exception) -> None:
        if isinstance(error, Errors.Refused):  # it has ended by itself
            self._poll()
        elif isinstance(error, ServerError) and error.passing:
            self._end("cancelled", unheard_text())
        else:
            self._fail(error)

    # results

    def _maps_not_fetched(self, error: Exception, again: Callable[[], None]) -> None:
        self._later_if_it_passes(error, self._guarded(again))

    def _not_fetched(self, error: Exception, job: Job) -> None:
        passing = isinstance(error, ServerError) and error.passing
        if isinstance(error, OtherGrid) and self.plan.request.image is not None:
            self._send_instead()
        elif passing or (isinstance(error, Errors.Refused) and not job.ended):
            self._not_answered(error)
        else:
            self._fail(error)

    def _send_instead(self) -> None:
        """Send the volume, since the server reads the place of its image otherwise than Slicer does.

        Files may tell two places (the sform and qform of NIfTI), of which each program believes one.
        """
        self._drop()
        self._server_job.cancel()
        self._server_job = ServerJob(self._client, self._runner, self._unconfirmed)
        self.plan = replace(self.plan, request=replace(self.plan.request, image=None))
        self._arrival.restart()
        self._job, self.sent_instead = None, True
        self._sending.begin()

    # ends

    def _end(self, phase: str, text: str) -> None:
        """End the run: first what it holds here and at the server, so that no listener is in the way of it."""
        self._release()
        try:
            self._signs.ended(phase, text, self._job)
        finally:
            if phase in FAILURES:
                self._callbacks.on_failure(self.view)

    def _fail(self, error: Exception) -> None:
        self._end("failed", str(error) if isinstance(error, (ServerError, ValueError)) else unexpected_text(error))

    def _release(self) -> None:
        """Give up what is under way, and the job unless the server has ended it."""
        self._drop()
        self._sending.stop()
        if self._job is None or not self._job.ended:
            self._server_job.cancel()

    def _unconfirmed(self) -> None:
        """Say once that the job may go on at the server."""
        if not self._abandoned and not self.view.active:
            self._signs.add(unheard_text())

    # helpers

    def _show(self, phase: str) -> None:
        self._signs.phase(phase, self._job)

    def _show_moving(self, phase: str, transfer: Transfer) -> None:
        self._signs.moving(phase, self._job, transfer)

    def _run(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        self._tasks = [self._runner.run(work, self._guarded(done), self._guarded(failed or self._fail))]

    def _guarded(self, call: Callable[..., None]) -> Callable[..., None]:
        """Make a call end the run if it fails: what the scene or the panel refuses must leave nobody waiting."""

        def guarded(*values: Any) -> None:
            if not self.view.active:
                return
            try:
                call(*values)
            except Exception as error:
                if not self.view.active:  # it was the news of the end that failed
                    raise
                logging.exception("SemGAN: a run ends by an error")
                self._fail(error)

        return guarded

    def _drop(self) -> None:
        self._arrival.stop()
        for task in self._tasks:
            task.drop()
        self._tasks.clear()
