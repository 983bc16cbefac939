"""The series among the DICOM files of the studies, each an image; what was found is kept until files change."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_folder import DicomFolder, read_folder
from monai_semgan.io.dicom.series import Series
from monai_semgan.io.dicom.series_ids import series_id
from monai_semgan.io.dicom.series_listing import ListedSeries, listed_series
from monai_semgan.io.dicom.unused_files import unused_note
from monai_semgan.label_app.studies.study_ids import shown
from monai_semgan.label_app.studies.study_models import LeftOut
from monai_semgan.label_app.studies.study_scan import Group
from monai_semgan.utils.file_state import fingerprint
from monai_semgan.utils.files import written_aside

log = logging.getLogger(__name__)

NEEDS_OPTION = "; needs --resample"


@dataclass(frozen=True)
class StudySeries:
    """A series, or one of the volumes that it holds.

    Args:
        id: of the image.
        source: path below the studies of its folder or zip.
        series: what the reader of DICOM takes.
        files: its files, below the studies.
        state: hash of their names, sizes and times of change.
        size: columns, rows and slices.
    """

    id: str
    source: str
    series: str
    files: tuple[str, ...]
    state: str
    size: tuple[int, ...]


@dataclass(frozen=True)
class GroupContent:
    """What a group of DICOM files holds.

    Args:
        state: of its files, when they were read.
        series: those that can be served.
        left_out: the others.
    """

    state: str
    series: tuple[StudySeries, ...]
    left_out: tuple[LeftOut, ...]


class SeriesIndex:
    """What the groups hold, kept in a file, since reading all headers takes long.

    Args:
        root: the studies.
        file: where it is kept; it need not be there and may be lost.
    """

    def __init__(self, root: Path, file: Path) -> None:
        self.root, self.file = root, file
        self._known: dict[str, GroupContent] = _read(file)

    def known(self, group: Group) -> GroupContent | None:
        """Return what a group holds if that is known of its files as they are."""
        kept = self._known.get(group.source)
        return kept if kept is not None and kept.state == self.state(group.files) else None

    def before(self, group: Group) -> GroupContent | None:
        """Return what a group held when it was read last."""
        return self._known.get(group.source)

    def state(self, files: Iterable[str]) -> str:
        """Return a hash that changes with names, sizes and times of files."""
        return fingerprint([[file, *_facts(os.path.join(self.root, file))] for file in files])

    def look(self, group: Group) -> GroupContent:
        """Read the headers of a group, and keep what it holds."""
        state = self.state(group.files)
        try:
            series, left_out = self._listed(group)
        except SemganError as error:
            series, left_out = [], [LeftOut(shown(group.source) or ".", _words(error))]
        except Exception as error:  # whatever a damaged file makes pydicom raise
            log.warning("DICOM files could not be read: %s", type(error).__name__)
            series, left_out = [], [LeftOut(shown(group.source) or ".", "its DICOM files cannot be read")]
        content = GroupContent(state, tuple(series), tuple(left_out))
        self._known[group.source] = content
        return content

    def keep(self, groups: Iterable[Group]) -> None:
        """Write what is known of these groups; what cannot be written is read anew at the next start."""
        sources = {group.source for group in groups}
        self._known = {source: content for source, content in self._known.items() if source in sources}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(self.file) as temporary:
                known = {name: asdict(kept) for name, kept in self._known.items()}
                temporary.write_text(json.dumps(known), encoding="utf-8")
        except (SemganError, OSError):
            log.warning("the list of DICOM series could not be kept")

    def _listed(self, group: Group) -> tuple[list[StudySeries], list[LeftOut]]:
        path = self.root / group.source
        folder = read_folder(path, None if path.is_file() else [self.root / file for file in group.files])
        found: list[StudySeries] = []
        where = shown(group.source) or "."
        left_out = [LeftOut(where, note) for note in unused_note([*folder.unused, *_copies(folder)])]
        for series in folder.series:
            files = group.files if path.is_file() else self._files(series)
            for entry in listed_series(series, folder):
                reason = _reason(entry)
                if reason:
                    left_out.append(LeftOut(f"{where}, series {shown(entry.name)}", reason))
                    continue
                wanted = _wanted(series, entry, folder)
                part = entry.name.partition("/")[2]
                image = series_id(entry.modality, series.number, entry.uid, part)
                size = entry.size or ()
                found.append(StudySeries(image, group.source, wanted, files, self.state(files), size))
        return found, left_out

    def _files(self, series: Series) -> tuple[str, ...]:
        files = (os.path.relpath(header.file.path, self.root) for header in series.headers)
        return tuple(dict.fromkeys(file.replace(os.sep, "/") for file in files))


def without_doubles(contents: Iterable[GroupContent]) -> tuple[dict[str, StudySeries], list[LeftOut]]:
    """Return the series by id; of one in several folders the first copy, and none if its slices are spread."""
    found: dict[str, list[StudySeries]] = {}
    left_out: list[LeftOut] = []
    for content in contents:
        left_out.extend(content.left_out)
        for series in content.series:
            found.setdefault(series.id, []).append(series)
    kept = {}
    for image, same in found.items():
        spread = len({(one.size, len(one.files)) for one in same}) > 1
        if not spread:
            kept[image] = same[0]
        for one in same if spread else same[1:]:
            reason = (
                "slices of one series lie in several folders; put them into one"
                if spread
                else f"it is a copy of the series in {shown(same[0].source) or '.'}"
            )
            left_out.append(LeftOut(f"{shown(one.source) or '.'}, series {shown(one.series)}", reason))
    return kept, left_out


def _copies(folder: DicomFolder) -> list[Any]:
    return [copy for series in folder.series for copy in series.copies]


def _reason(entry: ListedSeries) -> str:
    """Tell why a series cannot be served; empty if it can."""
    if entry.problem:
        return shown(entry.problem.removesuffix(NEEDS_OPTION))
    return "" if entry.size is not None else "single images, no volume"


def _wanted(series: Series, entry: ListedSeries, folder: DicomFolder) -> str:
    """Return what the reader takes: the UID, or the number where several series have one UID."""
    shared = sum(series.uid in other.uids for other in folder.series) > 1
    whole = series.number if shared or not series.uid else series.uid
    part = entry.name.partition("/")[2]
    return f"{whole}/{part}" if part else whole


def _words(error: SemganError) -> str:
    return f"{error.problem}; {error.remedy}" if error.remedy else error.problem


def _facts(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return -1, 0
    return found.st_size, found.st_mtime_ns


def _read(file: Path) -> dict[str, GroupContent]:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {source: _content(one) for source, one in kept.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _content(kept: dict[str, Any]) -> GroupContent:
    series = tuple(
        StudySeries(**{**one, "files": tuple(one["files"]), "size": tuple(one["size"])}) for one in kept["series"]
    )
    return GroupContent(str(kept["state"]), series, tuple(LeftOut(**one) for one in kept["left_out"]))
