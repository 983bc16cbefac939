"""Notices what others do in the folders, and has them looked through again: once for many changes."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.2
"""From the first change until the look, so that a copied folder is one change."""

SHARE = 4.0
"""Looking takes at most one part in so many of the time."""

POLL_SECONDS = 5.0
"""Between two looks where the system does not tell of changes, as on network drives."""

LEFTOVER = re.compile(r"^\.[0-9a-f]{8}\.part\.")
"""Name of a file that is being written, or was when its process was killed."""

CHANGES = ("created", "deleted", "moved", "modified", "closed")


class StudyWatch(FileSystemEventHandler):
    """Looks after every change, in a thread of its own.

    Args:
        folders: which to watch, with all below.
        private: folder whose files are the server's own.
        look: looks through all of it.
    """

    def __init__(self, folders: Iterable[Path], private: Path, look: Callable[[], None]) -> None:
        self._private, self._look = str(private), look
        self._changed, self._stopped = threading.Event(), False
        self._observer: Any = None
        self._polls = any(_is_mounted(folder) for folder in folders)
        if not self._polls:
            self._observe(folders)
        threading.Thread(target=self._run, daemon=True, name="study-watch").start()

    def again(self) -> None:
        """Have the folders looked through again."""
        self._changed.set()

    def stop(self) -> None:
        """End it."""
        self._stopped = True
        self._changed.set()
        if self._observer is not None:
            self._observer.stop()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note a change, unless nothing but a file of the server's own was concerned."""
        if event.event_type not in CHANGES or (event.is_directory and event.event_type == "modified"):
            return
        paths = [os.fsdecode(path) for path in (event.src_path, getattr(event, "dest_path", "")) if path]
        if not all(path.startswith(self._private) or LEFTOVER.match(os.path.basename(path)) for path in paths):
            self._changed.set()

    def _observe(self, folders: Iterable[Path]) -> None:
        try:
            self._observer = Observer()
            for folder in folders:
                self._observer.schedule(self, str(folder), recursive=True)
            self._observer.start()
        except OSError:
            self._observer, self._polls = None, True
            log.warning("the system does not tell of changes: the studies are looked through every few seconds")

    def _run(self) -> None:
        pause = PAUSE_SECONDS
        while not self._stopped:
            self._changed.wait(max(POLL_SECONDS, SHARE * pause) if self._polls else None)
            time.sleep(pause)
            self._changed.clear()
            if self._stopped:
                return
            started = time.monotonic()
            try:
                self._look()
            except Exception as error:  # the next change is looked at again
                log.error("the studies could not be looked through: %s", type(error).__name__)
            pause = max(PAUSE_SECONDS, SHARE * (time.monotonic() - started))


def _is_mounted(folder: Path) -> bool:
    """Tell whether a folder lies on another drive than the system, such as one of the network."""
    return any(os.path.ismount(path) for path in (folder, *folder.parents) if path != path.parent)
