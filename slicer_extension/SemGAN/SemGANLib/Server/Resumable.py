"""A volume on its way to the server in parts: what has arrived stays there when the connection breaks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Callable
from urllib.parse import quote, urlencode

from ..Protocols.RunnerProtocol import Transfer
from ..Translation import tr as _
from ..Types.JobTypes import Upload, UploadProgress
from . import Errors
from .Exchange import STEP_SECONDS
from .Http import Answer

PART = 8 * 2**20
"""Bytes of one request; a proxy that hands on whole requests only loses no more than this."""

ANSWER_SECONDS = 300.0
"""Patience while the server reads the whole volume to check it."""

WAIT_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 30.0)
"""Waits before further tries; they begin anew whenever something has arrived."""

BEGIN_WAIT_SECONDS = WAIT_SECONDS[:2]

LEAST = 2**16
"""Bytes that count as something: a connection that breaks at once each time is given up in the end."""

Ask = Callable[..., Answer]
"""Sends a request; see `Http.request`."""

Read = Callable[[Answer], UploadProgress]


class PartsUnknown(Exception):
    """The server is older: it takes volumes in one go only."""


class Resumable:
    """Sends a volume; goes on where it was after a broken connection, a bounded number of times.

    Args:
        ask: sends requests.
        read: understands the answer.
        transfer: counts, and may stop it.
        pause: waits between tries.
    """

    def __init__(self, ask: Ask, read: Read, transfer: Transfer, pause: Callable[[float], None] | None = None) -> None:
        self._ask = ask
        self._read = read
        self._transfer = transfer
        self._pause = pause or self._wait

    def send(self, data: bytes, suffix: str) -> Upload:
        """Send a volume.

        Args:
            data: the file's content.
            suffix: ending of its name.

        Raises:
            PartsUnknown: if the server knows no uploads in parts.
            Errors.ServerError: if it cannot be sent; `Stopped` if it was stopped.
        """
        try:
            return self._send(data, suffix)
        except Errors.Gone:  # the server has lost what had arrived: once more
            return self._send(data, suffix)

    def _send(self, data: bytes, suffix: str) -> Upload:
        state = self._begin(len(data), suffix)
        try:
            return self._follow(state, memoryview(data))
        except Errors.Gone:
            raise
        except Exception:
            with suppress(Errors.ServerError):  # what is left there expires
                self._ask("DELETE", _path(state.id))
            raise

    def _begin(self, size: int, suffix: str) -> UploadProgress:
        path = "/semgan/uploads/parts?" + urlencode({"suffix": suffix, "bytes": size})
        waits = iter(BEGIN_WAIT_SECONDS)
        self._transfer.begin(size)
        while True:
            try:
                return self._read(self._ask("POST", path))
            except (Errors.Gone, Errors.NotAllowed) as error:
                raise PartsUnknown from error
            except Errors.ServerError as error:
                if not (error.passing and error.undecided):  # nobody listens there: the user hears it at once
                    raise
                self._after(error, waits)

    def _follow(self, state: UploadProgress, data: memoryview) -> Upload:
        waits, secured, sure = iter(WAIT_SECONDS), state.received, True
        while state.upload is None:
            whole = state.received >= len(data)
            try:
                state = self._part(state, data) if sure and not whole else self._look(state)
                sure = True
                if whole and state.upload is None:
                    self._after(Errors.timed_out(_("The check of the volume at the server"), ANSWER_SECONDS), waits)
            except Errors.ServerError as error:
                if not (error.passing or isinstance(error, Errors.Conflict)):
                    raise
                self._after(error, waits)
                sure = False
            if state.received >= secured + LEAST:
                waits, secured = iter(WAIT_SECONDS), state.received
        return state.upload

    def _part(self, state: UploadProgress, data: memoryview) -> UploadProgress:
        self._transfer.begin(len(data), state.received)
        path = f"{_path(state.id)}?{urlencode({'offset': state.received})}"
        part = data[state.received : state.received + PART]
        last = state.received + len(part) == len(data)
        seconds = ANSWER_SECONDS if last else STEP_SECONDS
        return self._read(self._ask("PATCH", path, part, seconds=seconds, transfer=self._transfer))

    def _look(self, state: UploadProgress) -> UploadProgress:
        """Ask how much has arrived; where all has, the server may read it to check it before it answers."""
        seconds = ANSWER_SECONDS if state.received >= state.bytes else None
        return self._read(self._ask("GET", _path(state.id), seconds=seconds))

    def _after(self, error: Errors.ServerError, waits: Iterator[float]) -> None:
        """Wait before another try; where there were enough of them, the error is the last word."""
        seconds = next(waits, None)
        if seconds is None:
            raise error
        self._transfer.waits(True)
        self._pause(seconds)
        self._transfer.waits(False)
        if self._transfer.stopped:
            raise Errors.stopped()

    def _wait(self, seconds: float) -> None:
        stopped = threading.Event()
        self._transfer.on_stop(stopped.set)
        try:
            stopped.wait(seconds)
        finally:
            self._transfer.on_stop(None)


def _path(upload: str) -> str:
    return f"/semgan/uploads/{quote(upload, safe='')}"
