"""Which originals there are: files and series of the folder of studies, found by looking, never written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from monai_semgan.label_app.studies.study_models import LeftOut
from monai_semgan.label_app.studies.study_scan import Group, StudyScan
from monai_semgan.label_app.studies.study_series import GroupContent, SeriesIndex, StudySeries, without_doubles

SETTLING_SECONDS = 1.0
"""A folder of DICOM files that changes within this time is still being copied."""


@dataclass
class Originals:
    """What one look has found.

    Attributes:
        number: counts the looks.
        files: paths below the studies.
        series: by the id of the image.
        left_out: what cannot be served.
        pending: groups of DICOM files that are being read.
    """

    number: int = 0
    files: list[str] = field(default_factory=list)
    series: dict[str, StudySeries] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    pending: int = 0


class Catalogue:
    """Looks through the studies.

    Args:
        scan: of the folder.
        index: of its series.
        waits: whether a look waits until new DICOM files are read; else a thread reads them.
        found: called when that thread has read some.
    """

    def __init__(self, scan: StudyScan, index: SeriesIndex, waits: bool, found: Callable[[], None]) -> None:
        self._scan, self._index, self._waits, self._found = scan, index, waits, found
        self._lock = threading.Lock()
        self._looks = 0
        self._reader: threading.Thread | None = None

    def look(self) -> Originals:
        """Look through all of it."""
        with self._lock:
            self._looks += 1
            number = self._looks
        found = self._scan.look()
        contents: list[GroupContent] = []
        unread: list[Group] = []
        for group in sorted(found.groups, key=lambda one: one.source):
            known = self._index.known(group)
            if known is None and self._waits:
                known = self._index.look(group)
                self._index.keep(found.groups)
            if known is None:
                unread.append(group)
                known = self._index.before(group)  # until it is read, what it held last counts
            if known is not None:
                contents.append(known)
        if unread:
            self._read(unread, found.groups)
        series, left_out = without_doubles(contents)
        return Originals(number, found.files, series, [*found.left_out, *left_out], len(unread))

    def _read(self, unread: list[Group], groups: list[Group]) -> None:
        """Have new groups read in a thread; one that is at work is followed by another look anyway."""
        with self._lock:
            if self._reader is None or not self._reader.is_alive():
                self._reader = threading.Thread(
                    target=self._run, args=(unread, groups), daemon=True, name="study-series"
                )
                self._reader.start()

    def _run(self, unread: list[Group], groups: list[Group]) -> None:
        for group in unread:
            before = self._index.state(group.files)
            time.sleep(SETTLING_SECONDS)
            if before == self._index.state(group.files):
                self._index.look(group)
                self._index.keep(groups)
            self._found()
        with self._lock:
            self._reader = None
        self._found()
