"""Volumes of series that hold several, such as echoes or phases: known once a series was fetched, each an image."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.errors import SemganError
from monai_semgan.label_app.studies.study_scan import Group
from monai_semgan.label_app.studies.study_series import SeriesIndex
from monai_semgan.utils.files import write_utf8
from monai_semgan.utils.json_text import json_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeriesVolume:
    """One of the volumes of a series.

    Args:
        image: its id, as of the same volume in a folder.
        wanted: what the reader of DICOM takes, such as `1.2.3/echo=2`.
    """

    image: str
    wanted: str


class SeriesVolumes:
    """Remembers which series hold several volumes, in a file: an archive tells only how many images a series has.

    Args:
        file: where it is kept; without it a series is looked at again when it is next asked for.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        self._known = _read(file)

    def of(self, series: ArchiveSeries) -> tuple[SeriesVolume, ...]:
        """Return the volumes of a series in its present state; none where it is one volume, or nobody has looked."""
        return self._known.get(series.state, ())

    def learn(self, series: ArchiveSeries, folder: Path) -> tuple[SeriesVolume, ...]:
        """Look which volumes a series holds, and remember them; none if it is one volume, or no volume at all.

        Args:
            series: as the archive lists it.
            folder: with its DICOM files.
        """
        files = sorted(path.relative_to(folder.parent).as_posix() for path in folder.glob("*.dcm"))
        listed = SeriesIndex(folder.parent, self._file).look(Group(folder.name, tuple(files))).series
        found = tuple(SeriesVolume(one.id, one.series) for one in listed if one.series != series.series)
        if found:
            with self._lock:
                self._known = {**self._known, series.state: found}
                self._keep()
        return found

    def _keep(self) -> None:
        content = {state: [[one.image, one.wanted] for one in volumes] for state, volumes in self._known.items()}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_utf8(self._file, json_text(content, indent=1))
        except (SemganError, OSError):
            log.warning("which series hold several volumes could not be kept")


def several_volumes(volumes: Sequence[SeriesVolume]) -> SemganError:
    """Return the error of a request for a whole series that holds several volumes: the server chooses none."""
    told = ", ".join(f"{one.image} ({one.wanted.partition('/')[2] or one.wanted})" for one in volumes)
    count = "several volumes" if len(volumes) > 1 else "more than one volume, of which one can be read"
    return SemganError(
        f"the series holds {count}, each an image of its own now: {told}",
        remedy="list the images again and choose one of these",
    )


def _read(file: Path) -> dict[str, tuple[SeriesVolume, ...]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {
            str(state): tuple(SeriesVolume(str(image), str(wanted)) for image, wanted in volumes)
            for state, volumes in content.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
