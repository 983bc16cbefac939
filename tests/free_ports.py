"""Ports for servers that must be told theirs; others take port 0, and say what they have got."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

LOWEST, HIGHEST = 20_000, 32_000
"""Below all ports that systems give to whoever asks for any, so that nobody gets them meanwhile."""


def free_port(following: int = 0) -> int:
    """Find a free port of this computer, with so many free ones after it."""
    for _ in range(100):
        first = random.SystemRandom().randrange(LOWEST, HIGHEST)
        with ExitStack() as held:
            try:
                for port in range(first, first + following + 1):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise AssertionError("no port is free")
