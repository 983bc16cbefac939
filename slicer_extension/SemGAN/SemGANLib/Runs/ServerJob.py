"""A job at the server that must not outlive the run it belongs to."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any, Callable

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner
from ..Server.Errors import ConnectionLost, Gone, Refused, ServerError
from ..Types.JobTypes import Job, JobRequest

RETRY_SECONDS = (1.0, 5.0, 15.0)
"""Waits between attempts to cancel a job at a server that does not answer."""

SUBMIT_SECONDS = (1.0, 3.0)
"""Waits before it is looked whether a job has begun whose submission was not answered."""


class ServerJob:
    """Submits a job, and tells the server once when the run has ended and the job is not wanted any more.

    A job may come to life after its run has ended, since its submission cannot be called back. The thread that has
    submitted it then cancels it itself: when the module is closed there is nobody left to hear of it.

    Args:
        client: speaks to the server.
        runner: runs requests in threads.
        on_unconfirmed: called in the main thread if the job may go on at the server for all that was tried.
    """

    def __init__(self, client: Client, runner: Runner, on_unconfirmed: Callable[[], None]) -> None:
        self._client = client
        self._runner = runner
        self._on_unconfirmed = on_unconfirmed
        self._token = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._id: str | None = None
        self._lost = False
        self._wanted = True
        self._told = False

    @property
    def told(self) -> bool:
        """Whether the server was asked to cancel the job."""
        return self._told

    def submit(self, request: JobRequest) -> Job:
        """Begin the job; to be called in a thread. Where the answer is lost, it is looked for and followed.

        Args:
            request: goes out with a random word behind the name of the client, by which the job can be found again.

        Raises:
            ServerError: as the client.
        """
        job = self._begin(replace(request, client=f"{request.client or ''} {self._token}".strip()))
        with self._lock:
            self._id = job.id
            unwanted = not self._wanted and not self._told
            self._told = self._told or unwanted
        if unwanted:
            try:
                self._client.cancel(job.id)
            except ServerError:
                self._told = False  # `cancel` tries again, if it is called after this
        return job

    def _begin(self, request: JobRequest) -> Job:
        waits = iter(SUBMIT_SECONDS)
        while True:
            try:
                return self._client.submit(request)
            except ServerError as error:
                seconds = next(waits, None)
                if seconds is None or not self._wanted or not (error.passing and error.undecided):
                    raise
                time.sleep(seconds)
                job = self._begun(error)
                if job is not None:
                    return job
                if not isinstance(error, ConnectionLost):  # the request may still be on its way: no second job
                    raise

    def _begun(self, error: ServerError) -> Job | None:
        """Find the job at the server; where the server does not answer, the first error stays what has happened."""
        try:
            return next((job for job in self._client.jobs() if _word(job, self._token)), None)
        except ServerError:
            raise error from None

    def take_up(self, job: str) -> None:
        """Be the job with this id, which the server has already."""
        self._id = job

    def owns(self, job: Job) -> bool:
        """Tell whether a job that the server lists is this one."""
        return job.id == self._id or _word(job, self._token)

    def not_submitted(self, error: Exception) -> None:
        """Note that the submission has failed: the server may have begun the job all the same."""
        self._lost = not isinstance(error, ServerError) or error.undecided
        if not self._wanted:
            self.cancel()

    def cancel(
        self,
        done: Callable[[Job], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Tell the server that the job is not wanted any more, unless it was told already or has no job of ours.

        Args:
            done: called with the job after the first attempt.
            failed: called with the error of the first attempt; the others follow by themselves.
        """
        with self._lock:
            self._wanted = False
            if self._told or (self._id is None and not self._lost):
                return
            self._told = True
        self._attempt(0, done or _ignore, failed or _ignore)

    def _attempt(self, number: int, done: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        def not_cancelled(error: Exception) -> None:
            try:
                failed(error)
            finally:
                self._again(number, error)

        self._runner.run(self._cancel_at_server, done, not_cancelled)

    def _again(self, number: int, error: Exception) -> None:
        """Try again after a failed attempt, if that can help."""
        if isinstance(error, (Refused, Gone)):  # it has ended by itself
            return
        if isinstance(error, ServerError) and error.passing and number < len(RETRY_SECONDS):
            self._runner.later(RETRY_SECONDS[number], lambda: self._attempt(number + 1, _ignore, _ignore))
        else:
            self._on_unconfirmed()

    def _cancel_at_server(self) -> Job | None:
        """Cancel the job, after looking for it where the answer to its submission was lost; in a thread."""
        if self._id is not None:
            return self._client.cancel(self._id)
        for job in self._client.jobs():
            if _word(job, self._token) and not job.ended:
                with suppress(Gone, Refused):  # it has ended meanwhile
                    return self._client.cancel(job.id)
        return None


def _word(job: Job, token: str) -> bool:
    """Whether a job was submitted with a word behind the name of the client."""
    return job.request is not None and token in (job.request.client or "").split()


def _ignore(_: Any) -> None:
    """Take no notice."""
