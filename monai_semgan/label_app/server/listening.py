"""Where the server listens: on the same port at every start, if it can be had."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monai_semgan.errors import SemganError
from monai_semgan.utils.files import written_aside

USUAL_PORT = 8000
TRIED_PORTS = 100
"""So many ports from the usual one on are tried."""


@dataclass(frozen=True)
class Listener:
    """A socket that listens, and what the person at the keyboard has to know about it.

    Attributes:
        socket: bound to the address.
        note: empty where the port is the one expected.
    """

    socket: socket.socket
    note: str = ""

    @property
    def port(self) -> int:
        """The port."""
        return int(self.socket.getsockname()[1])


def listen(host: str, port: int | None, port_file: Path) -> Listener:
    """Listen on a port: the given one, or else that of the last start, or else the first free one from 8000 on.

    Args:
        host: address.
        port: 0 for any free one, None for the rule above.
        port_file: remembers the port that the rule has chosen.

    Raises:
        SemganError: the given port is taken, or none is free, or the address cannot be used.
    """
    if port is not None:
        return Listener(_bound(host, port))
    before = _remembered(port_file)
    taken: SemganError | None = None
    for candidate in _candidates(before):
        try:
            bound = _bound(host, candidate)
        except _PortTaken as error:
            taken = taken or error
            continue
        with contextlib.suppress(SemganError, OSError):  # then the next start looks for a port again
            _remember(port_file, candidate)
        expected = before or USUAL_PORT
        note = f"port {expected} is taken; this server takes {candidate}, from now on"
        return Listener(bound, "" if candidate == expected else note)
    assert taken is not None
    raise taken


class _PortTaken(SemganError):
    """Another program listens there."""


def _candidates(before: int | None) -> Iterator[int]:
    if before is not None:
        yield before
    yield from (port for port in range(USUAL_PORT, USUAL_PORT + TRIED_PORTS) if port != before)


def _remembered(port_file: Path) -> int | None:
    try:
        port = int(port_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return port if 0 < port <= 65535 else None


def _remember(port_file: Path, port: int) -> None:
    port_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with written_aside(port_file) as aside:
        aside.write_text(f"{port}\n", encoding="ascii")


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(1)  # some systems let two programs bind, and tell only now
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = f"cannot listen on {host} port {port}: {reason.lower()}"
        if getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES):
            raise _PortTaken(problem, remedy="give another --port, or leave it out") from error
        raise SemganError(problem, remedy="see --host and --port") from error
    return listener
