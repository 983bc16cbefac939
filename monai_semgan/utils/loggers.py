"""Loggers of other libraries."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_silent: dict[str, tuple[int, int]] = {}
"""How many blocks keep a logger silent, in whatever threads, and the level that it had before the first."""

_lock = threading.Lock()


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """Let a logger say nothing meanwhile: libraries repeat values of the file, which may name the patient."""
    logger = logging.getLogger(name)
    with _lock:
        depth, level = _silent.get(name, (0, logger.level))
        _silent[name] = depth + 1, level
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _lock:
            depth, level = _silent.pop(name)
            if depth > 1:
                _silent[name] = depth - 1, level
            else:
                logger.setLevel(level)
