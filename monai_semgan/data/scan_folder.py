"""Which files and folders below a folder are scans, and which only lie beside them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from monai_semgan.errors import read_error
from monai_semgan.io.formats import marked_as_dicom, readable_endings, stem

LABEL_NAME = re.compile(r"(^|[_.\- ])(labels?|seg|segmentation|mask|masks)$", re.IGNORECASE)
LABEL_FOLDERS = re.compile(r"^(labels?(tr|ts)?|segmentations?|masks?)$", re.IGNORECASE)
MAP_NAME = re.compile(r"^(.+)_(uncertainty|reconstruction|residual)$")
BOOKKEEPING = ".cohort"
"""Folder in which a cohort's output keeps one record per scan; its owner holds results, not scans."""

DICOM_ENDINGS = (".dcm", ".ima", ".dicom")


@dataclass(frozen=True)
class ScanSearch:
    """Looks for scans in a folder and all folders below.

    Every file with a volume's ending or a zip is a scan; a folder that directly holds DICOM files is one scan together
    with all below it. Left out are hidden files and folders, results of cohorts, what is named like labels
    (`x_label.nii.gz`, `x_seg.nrrd`, `x.seg.nrrd`, `labelsTr/`), and the maps of a model beside its label.

    Args:
        endings: of the files that are scans, lower case.
        each_dicom_file: DICOM files are scans each for itself, as radiographs are, and not folders of them.
        skip: folder of results, which is not entered.
        follow_links: look into folders and files that are links too. A folder is entered once: by its own path where
            that lies in the folder that is searched, else by the first link to it.
    """

    endings: tuple[str, ...]
    each_dicom_file: bool = False
    skip: Path | None = None
    follow_links: bool = False
    ignored: list[Path] = field(default_factory=list)
    """Files and folders left out because of their names, up to now."""

    unfollowed: list[Path] = field(default_factory=list)
    """Links left out up to now, because links are not followed: to folders, and to DICOM files."""

    def scans(self, folder: Path) -> list[Path]:
        """Find the scans, in order of their paths.

        Raises:
            SemganError: a folder cannot be read.
        """
        found: list[Path] = []
        self._walk(folder, found, _Entered(folder))
        return found

    def is_scan(self, path: Path) -> bool:
        """Tell whether a file would be taken; notes it if its name alone forbids that."""
        name = path.name.lower()
        if not name.endswith(self.endings):
            return is_dicom_file(path)
        if is_label_name(path) or self._is_map(path):
            self.ignored.append(path)
            return False
        return True

    def _walk(self, folder: Path, found: list[Path], entered: _Entered) -> None:
        entries = _entries(folder)
        dicom = {entry.name for entry in entries if self._is_file(entry) and is_dicom_file(Path(entry.path))}
        if dicom and not self.each_dicom_file:
            found.append(folder)
            return
        for entry in entries:
            path = Path(entry.path)
            if entry.name in dicom:
                found.append(path)
            elif entry.is_dir(follow_symlinks=self.follow_links):
                if self._enters(path) and entered.add(path, entry.is_symlink()):
                    self._walk(path, found, entered)
            elif entry.name.lower().endswith(self.endings) and self.is_scan(path):
                found.append(path)
            elif entry.is_symlink() and not self.follow_links and (entry.is_dir() or is_dicom_file(path)):
                self.unfollowed.append(path)

    def _is_file(self, entry: os.DirEntry[str]) -> bool:
        return entry.is_file(follow_symlinks=self.follow_links)

    def _enters(self, folder: Path) -> bool:
        if folder.resolve() == self.skip or (folder / BOOKKEEPING).is_dir():
            return False
        if LABEL_FOLDERS.match(folder.name):
            self.ignored.append(folder)
            return False
        return True

    def _is_map(self, path: Path) -> bool:
        """Whether it is a map that a bundle wrote: `x_residual.nii.gz` beside `x_seg.nii.gz`."""
        short = stem(path)
        named = MAP_NAME.match(short)
        ending = path.name[len(short) :]
        return named is not None and path.with_name(f"{named[1]}_seg{ending}").is_file()


class _Entered:
    """Folders entered up to now, so that links in a circle end and nothing is found twice."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._places = {self._root}

    def add(self, folder: Path, link: bool) -> bool:
        """Note a folder, and tell whether it is new and not found without the link."""
        place = os.path.realpath(folder)
        if place in self._places or (link and Path(place).is_relative_to(self._root)):
            return False
        self._places.add(place)
        return True


def is_label_name(path: Path) -> bool:
    """Tell whether a file is named like a label."""
    return path.name.lower().endswith(".seg.nrrd") or LABEL_NAME.search(stem(path)) is not None


def is_dicom_file(path: Path) -> bool:
    """Tell whether a file is DICOM, by its ending or its mark."""
    name = path.name
    if name.upper() == "DICOMDIR":
        return False
    if name.lower().endswith(DICOM_ENDINGS):
        return True
    if name.lower().endswith(readable_endings()):
        return False
    try:
        return marked_as_dicom(path)
    except OSError:
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise read_error(error, folder) from error
    return [entry for entry in entries if not entry.name.startswith(".")]
