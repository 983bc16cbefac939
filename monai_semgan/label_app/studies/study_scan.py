"""Looks through the folder of studies: files that are images, DICOM files in groups, and what is left out and why."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from monai_semgan.data.scan_folder import LABEL_FOLDERS, LABEL_NAME, MAP_NAME, is_dicom_file
from monai_semgan.io.formats import image2d_endings, volume_endings
from monai_semgan.label_app.studies.study_ids import LABEL_ONLY, problem_of_name, shown, split_ending
from monai_semgan.label_app.studies.study_models import LeftOut

_RAW = (".raw", ".zraw", ".raw.gz", ".img", ".img.gz")
"""Voxels of a header beside them."""

_HEADERS = (".mhd", ".nhdr", ".hdr", ".hdr.gz")
_QUIET = ("dicomdir", "thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Group:
    """DICOM files that belong together.

    Args:
        source: path below the studies of the folder or zip; empty for the studies themselves.
        files: paths of the files, below the studies.
    """

    source: str
    files: tuple[str, ...]


@dataclass
class Found:
    """What a look has found.

    Attributes:
        files: images, as paths below the studies in their order.
        groups: of DICOM files.
        left_out: the rest.
    """

    files: list[str] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


class StudyScan:
    """Looks through a folder and all folders below; hidden files are none of its business.

    Args:
        root: the studies, without links.
        skip: folders that are not entered, such as those of the server.
        own: names of the server's own files in the folder itself.
    """

    def __init__(self, root: Path, skip: Iterable[Path] = (), own: Iterable[str] = ()) -> None:
        self.root = str(root)
        self._skip, self._own = {str(path) for path in skip}, frozenset(own)

    def look(self) -> Found:
        """Look through all of it."""
        found = Found()
        self._walk(self.root, "", None, found)
        return found

    def _walk(self, folder: str, prefix: str, group: list[str] | None, found: Found) -> None:
        try:
            with os.scandir(folder) as listed:
                entries = sorted((one for one in listed if not one.name.startswith(".")), key=lambda one: one.name)
        except OSError as error:
            reason = (error.strerror or "unknown").lower()
            found.left_out.append(LeftOut(shown(prefix) or ".", f"the folder cannot be read: {reason}"))
            return
        if not prefix:
            entries = [entry for entry in entries if entry.name not in self._own]
        files, folders = self._usable(entries, prefix, found)
        stems = {stem for stem, ending in (split_ending(entry.name) for entry in files) if ending}
        headers = any(entry.name.lower().endswith(_HEADERS) for entry in files)
        files = [entry for entry in files if not self._is_volume(entry, prefix, stems, found)]
        others = [entry for entry in files if _may_be_dicom(entry.name)]
        top = group is None and any(is_dicom_file(Path(entry.path)) for entry in others)
        group = [] if top else group
        if group is not None:
            group.extend(prefix + entry.name for entry in others)
            files = [entry for entry in files if not _may_be_dicom(entry.name)]
        found.left_out.extend(_no_scans(files, prefix, headers))
        for entry in folders:
            if entry.path not in self._skip:
                self._walk(entry.path, f"{prefix}{entry.name}/", group, found)
        if top and group is not None:
            found.groups.append(Group(prefix.rstrip("/"), tuple(group)))

    def _usable(
        self, entries: Iterable[os.DirEntry[str]], prefix: str, found: Found
    ) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
        """Files and folders that may be looked at."""
        files: list[os.DirEntry[str]] = []
        folders: list[os.DirEntry[str]] = []
        for entry in entries:
            is_folder = entry.is_dir()
            reason = problem_of_name(entry.name) if is_folder else ""
            if not reason and entry.is_symlink():
                reason = self._problem_of_link(entry)
            if not reason and is_folder and LABEL_FOLDERS.match(entry.name):
                reason = "its name says that it holds labels; rename it if it holds scans"
            if reason:
                if entry.path not in self._skip:
                    found.left_out.append(LeftOut(shown(prefix + entry.name), reason))
            elif is_folder:
                if not entry.is_symlink():  # what it points to lies in the studies and is found there
                    folders.append(entry)
            elif entry.is_file():
                files.append(entry)
            else:
                found.left_out.append(LeftOut(shown(prefix + entry.name), "it is no regular file"))
        return files, folders

    def _problem_of_link(self, entry: os.DirEntry[str]) -> str:
        target = os.path.realpath(entry.path)
        if not target.startswith(os.path.join(self.root, "")):
            return "it is a link that leads out of the folder; copy what it points to"
        return "" if os.path.exists(target) else "it is a link that leads nowhere"

    def _is_volume(self, entry: os.DirEntry[str], prefix: str, stems: set[str], found: Found) -> bool:
        """Take a file whose ending says that it is a volume, or a zip."""
        stem, ending = split_ending(entry.name)
        if not ending:
            return False
        name = prefix + entry.name
        reason = "it holds labels" if ending.lower() == LABEL_ONLY else problem_of_name(entry.name)
        reason = reason or _of_another(stem, stems) or _problem_of_content(entry)
        if reason:
            found.left_out.append(LeftOut(shown(name), reason))
        elif ending.lower() == ".zip":
            found.groups.append(Group(name, (name,)))
        else:
            found.files.append(name)
        return True


def seen(left_out: Iterable[LeftOut]) -> str:
    """Tell in one line, without names, what a folder without images holds."""
    counts = Counter(_kind(one.name) for one in left_out)
    told = [f"{number} {kind}" for kind, number in counts.most_common(5)]
    return ", ".join(told) + (", ..." if len(counts) > 5 else "")


def _kind(name: str) -> str:
    ending = split_ending(name)[1] or os.path.splitext(name)[1]
    return ending.lower() if re.fullmatch(r"(\.[A-Za-z0-9]{1,6}){1,2}", ending) else "other"


def _no_scans(files: Iterable[os.DirEntry[str]], prefix: str, headers: bool) -> Iterator[LeftOut]:
    """Files that are neither volumes nor DICOM, without those that belong to others."""
    for entry in files:
        name = entry.name.lower()
        if name in _QUIET or (headers and name.endswith(_RAW)):
            continue
        if name.endswith(image2d_endings()):
            reason = "it is a single picture, no volume"
        else:
            what = (
                f"the ending {shown(ending)} is" if (ending := os.path.splitext(name)[1]) else "it has no ending and is"
            )
            reason = f"{what} none of a scan ({', '.join(volume_endings())}, DICOM)"
        yield LeftOut(shown(prefix + entry.name), reason)


def _may_be_dicom(name: str) -> bool:
    """Tell whether a file may be DICOM, whose names often have no ending, or numbers behind a dot."""
    return name.lower() not in _QUIET and not name.lower().endswith((*image2d_endings(), *_RAW))


def _of_another(stem: str, stems: set[str]) -> str:
    """Tell of which scan beside it a file is the label or a map; empty if it is none."""
    label, map_of = LABEL_NAME.search(stem), MAP_NAME.match(stem)
    if label and stem[: label.start()] in stems:
        return f"its name says that it is a label of {stem[: label.start()]}; rename it if it is a scan"
    if map_of and f"{map_of[1]}_seg" in stems:
        return f"its name says that it is a map beside {map_of[1]}_seg; rename it if it is a scan"
    return ""


def _problem_of_content(entry: os.DirEntry[str]) -> str:
    try:
        if entry.stat().st_size == 0:
            return "the file is empty; copy or export it again"
    except OSError as error:
        return f"it cannot be read: {(error.strerror or 'unknown').lower()}"
    return "" if os.access(entry.path, os.R_OK) else "no permission to read it; change its permissions"
