"""The server's log: what happened when, never whose scan it was."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
MAX_BYTES = 10 << 20
BACKUPS = 3

TALKATIVE = ("monailabel", "timeloop", "schedule", "filelock", "watchdog", "urllib3", "PIL", "nibabel", "multipart")
"""Loggers whose messages hold file names, requests, tokens or nothing of use."""


class LogFile(RotatingFileHandler):
    """A file that leaves out what finds no room on the disk; others would write a traceback for every line of it."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Do nothing: requests go on, and their answers say that the disk is full."""


def start_log(path: Path) -> None:
    """Log into a file; warnings also on stderr.

    Args:
        path: of the file, whose folder is made.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    file = LogFile(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", errors="backslashreplace")
    file.setFormatter(logging.Formatter(FORMAT))
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    console.setFormatter(logging.Formatter("semgan: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [file, console]
    root.setLevel(logging.WARNING)
    logging.getLogger("monai_semgan").setLevel(logging.INFO)
    silence()


def silence() -> None:
    """Switch off loggers that would name files; again after imports, which set levels of their own."""
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.CRITICAL if name == "uvicorn.access" else logging.WARNING)
