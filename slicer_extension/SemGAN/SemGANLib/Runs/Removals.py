"""Uploads that are to go from their servers, also those that a job still needs for a while."""

from __future__ import annotations

import time

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner
from ..Server.Errors import Busy, Conflict, ServerError

WAIT_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
"""Waits before further attempts: a cancelled job ends within seconds, at most when the server has killed its worker."""

CLOSING_WAIT_SECONDS = (0.2, 0.3, 0.5, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
"""When the module is closed: the first ones count, for nobody waits long for the rest."""


class Removals:
    """Removes uploads; one that a job still needs, or whose server does not answer, again after a while.

    Args:
        runner: runs requests in threads.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._pending: dict[tuple[str, str], Client] = {}

    def remove(self, client: Client, upload: str) -> None:
        """Remove an upload, sooner or later; the server would do so in time as well."""
        self._pending[client.address, upload] = client
        self._attempt(client, upload, 0)

    def close(self) -> None:
        """Go on in threads of their own accord with what is not removed: nobody calls from the main thread any more."""
        for (_address, upload), client in self._pending.items():
            self._runner.run(lambda client=client, upload=upload: _insist(client, upload), _ignore, _ignore)
        self._pending.clear()

    def _attempt(self, client: Client, upload: str, number: int) -> None:
        key = (client.address, upload)
        if key in self._pending:
            self._runner.run(
                lambda: client.delete_upload(upload),
                lambda _: self._pending.pop(key, None),
                lambda error: self._again(client, upload, number, error),
            )

    def _again(self, client: Client, upload: str, number: int, error: Exception) -> None:
        if _worth_another(error) and number < len(WAIT_SECONDS):
            self._runner.later(WAIT_SECONDS[number], lambda: self._attempt(client, upload, number + 1))
        else:
            self._pending.pop((client.address, upload), None)


def _insist(client: Client, upload: str) -> None:
    for seconds in (*CLOSING_WAIT_SECONDS, None):
        try:
            client.delete_upload(upload)
        except ServerError as error:
            if seconds is None or not isinstance(error, (Busy, Conflict)):  # nobody waits for a server that is gone
                return
            time.sleep(seconds)
        else:
            return


def _worth_another(error: Exception) -> bool:
    return isinstance(error, Conflict) or (isinstance(error, ServerError) and error.passing)


def _ignore(_: object) -> None:
    """Take no notice."""
