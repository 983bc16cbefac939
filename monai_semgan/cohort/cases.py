"""The scans of a folder or data list, each with a name of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from monai_semgan.data.datalist import SECTIONS, load_datalist
from monai_semgan.data.identity import scan_names
from monai_semgan.data.scan_folder import BOOKKEEPING, ScanSearch
from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import image2d_endings, volume_endings

FETCHED = "fetched"
"""Folder for series of archives, one at a time of each process."""


@dataclass(frozen=True)
class Case:
    """One scan of a cohort.

    Args:
        name: names its results; unique in the cohort.
        path: file, or folder of a DICOM series.
        modality: `"CT"` or `"MR"` where a data list tells.
        problem: why it cannot be read, if that is known already.
        address: of a series in an archive, which is fetched to `path` when its turn comes; empty for files.
        state: of that series, a hash; empty where the files themselves tell.
        series: UID of a DICOM series in a file or folder that may hold others as well.
    """

    name: str
    path: Path
    modality: str | None = None
    problem: str = ""
    address: str = ""
    state: str = ""
    series: str = ""

    @property
    def source(self) -> str:
        """Return the file, folder or address that it comes from."""
        return self.address or (f"{self.path}, series {self.series}" if self.series else str(self.path))


@dataclass(frozen=True)
class Listing:
    """What was found.

    Args:
        cases: the scans, in order of their paths.
        ignored: files and folders left out because their names say that they are labels.
        unfollowed: links to folders and DICOM files, left out because links are not followed.
        single: series of an archive left out because they are single images, no volumes.
    """

    cases: tuple[Case, ...]
    ignored: tuple[Path, ...] = ()
    unfollowed: tuple[Path, ...] = ()
    single: int = 0


def find_cases(
    source: Path | ArchiveAddress,
    output: Path,
    section: str | None = None,
    pictures: bool = False,
    follow_links: bool = False,
) -> Listing:
    """Find the scans of a cohort.

    What is a scan in a folder, and what is left out besides the output, see `ScanSearch`.

    Args:
        source: folder, data list (`.json`), or address of an archive, whose CT and MR series are the scans.
        output: folder of the results.
        section: of a data list; all when left out.
        pictures: in a folder, single images are scans (radiographs) instead of volumes: pictures, and DICOM files,
            each for itself.
        follow_links: in a folder, look behind links too, wherever they lead; a scan is named by its link.

    Raises:
        SemganError: there is nothing, the list cannot be used, or the archive does not answer.
    """
    if isinstance(source, ArchiveAddress):
        return find_archive_cases(source, output, section)
    return _find_files(source, output, section, pictures, follow_links)


def _find_files(path: Path, output: Path, section: str | None, pictures: bool, follow_links: bool) -> Listing:
    if path.is_dir():
        if section is not None:
            raise SemganError("only a data list has sections", remedy="leave out --section", path=path)
        root = path.resolve()
        endings = image2d_endings() if pictures else volume_endings()
        search = ScanSearch(endings, pictures, output.resolve(), follow_links)
        files, ignored = search.scans(path), search.ignored
        names = scan_names(files, path)
        found = [Case(name, file) for name, file in zip(names, files, strict=True)]
        found = found if follow_links else [checked_link(case, root) for case in found]
    else:
        found, search, ignored = _of_datalist(path, section), None, []
    if not found:
        endings = image2d_endings() if pictures else (*volume_endings(), ".dcm")
        raise SemganError("no scan was found", remedy=f"scans end in {', '.join(endings)}", path=path)
    return Listing(tuple(found), tuple(ignored), tuple(search.unfollowed) if search else ())


def find_archive_cases(address: ArchiveAddress, output: Path, section: str | None = None) -> Listing:
    """Find the series of an archive that may be volumes, see `find_cases`."""
    if section is not None:
        raise SemganError("only a data list has sections", remedy="leave out --section")
    archive = Archive(address)
    listed = archive.list_series()
    found = [one for one in listed if archive.may_be_volume(one)]
    if not found:
        what = "holds no CT or MR series that fits" if not listed else "holds single images alone of what was asked for"
        raise SemganError(f"the archive {address.host} {what}", remedy=f"check {address}")
    cases = tuple(archive_case(one, address, output) for one in found)
    return Listing(cases, single=len(listed) - len(found))


def archive_case(series: ArchiveSeries, address: ArchiveAddress, output: Path) -> Case:
    """Return the scan that a series of an archive is."""
    path = output / BOOKKEEPING / FETCHED / series.name
    return Case(series.name, path, series.modality, address=str(series.address(address)), state=series.state)


def checked_link(case: Case, root: Path) -> Case:
    """Note a link that leads out of the folder that was given as a problem."""
    if Path(os.path.realpath(case.path)).is_relative_to(root):
        return case
    return replace(
        case, problem=f"{case.path}: is a link that leaves the folder; copy what it points to, or --follow-links"
    )


def _of_datalist(path: Path, section: str | None) -> list[Case]:
    if section is not None and section not in SECTIONS:
        raise SemganError(f"unknown section {section!r}", remedy=f"use {', '.join(SECTIONS)}", path=path)
    datalist = load_datalist(path)
    sections = [section] if section is not None else SECTIONS
    return [Case(entry.name, entry.image, entry.modality) for name in sections for entry in getattr(datalist, name)]
