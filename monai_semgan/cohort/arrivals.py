"""What lies in a watched folder or archive at one moment."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from monai_semgan.cohort.arrival_headers import Image, ImageHeaders
from monai_semgan.cohort.arrival_names import ArrivalNames
from monai_semgan.cohort.cases import Case, archive_case, checked_link
from monai_semgan.cohort.records import Record
from monai_semgan.data.scan_folder import ScanSearch
from monai_semgan.dicomweb.archive import FEW, VOLUMES, Archive
from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.series_ids import series_id
from monai_semgan.io.formats import volume_endings
from monai_semgan.utils.file_state import files_of, fingerprint


@dataclass(frozen=True)
class Arrival:
    """A scan that is there, or still arrives.

    Args:
        case: the scan.
        seen: hash of what of it is there; another one as long as it arrives.
        modality: CT or MR; empty where the file does not tell.
        descriptions: those of series and study in DICOM, else the file's name.
    """

    case: Case
    seen: str
    modality: str
    descriptions: tuple[str, ...]


@dataclass(frozen=True)
class Arrivals:
    """What a look finds.

    Args:
        found: volumes, in order of their names or paths.
        single: how many series of single images there are besides, such as overviews.
    """

    found: tuple[Arrival, ...]
    single: int = 0


class ArrivalSource(Protocol):
    """Where scans arrive."""

    def look(self) -> Arrivals:
        """Return what is there now.

        Raises:
            SemganError: it cannot be read or asked.
        """


class ArchiveArrivals:
    """Series of an archive.

    Args:
        address: of it, and what series have to match.
        output: folder of the results.
    """

    def __init__(self, address: ArchiveAddress, output: Path) -> None:
        self._address, self._output = address, output
        self._volumes: dict[tuple[str, int], bool] = {}

    def look(self) -> Arrivals:
        """Return the CT and MR series that may be volumes.

        Raises:
            ArchiveError: there is no answer.
        """
        archive = Archive(self._address)
        listed = [one for one in archive.list_series() if one.modality in VOLUMES]
        counted = [one if one.images is not None else _counted(archive, one) for one in listed]
        volumes = [one for one in counted if self._may_be_volume(archive, one)]
        return Arrivals(tuple(map(self._arrival, volumes)), len(listed) - len(volumes))

    def _arrival(self, one: ArchiveSeries) -> Arrival:
        case = archive_case(one, self._address, self._output)
        return Arrival(case, one.state, one.modality, (one.description, one.study_description))

    def _may_be_volume(self, archive: Archive, one: ArchiveSeries) -> bool:
        """Ask for each series and number of instances once."""
        key = (one.series, one.images or 0)
        if key not in self._volumes:
            self._volumes[key] = archive.may_be_volume(one)
        return self._volumes[key]


class FolderArrivals:
    """Files and DICOM series of a folder and all folders below; each series is a scan, wherever its files lie.

    Args:
        folder: which is looked into.
        output: folder of the results, which is left out.
        records: of scans that have their names already.
        follow_links: look behind links too, wherever they lead.
    """

    def __init__(self, folder: Path, output: Path, records: Iterable[Record] = (), follow_links: bool = False) -> None:
        self._folder, self._output, self._follow = folder.resolve(), output.resolve(), follow_links
        self._names, self._headers = ArrivalNames(self._folder, records), ImageHeaders()

    def look(self) -> Arrivals:
        """Return the volumes.

        Raises:
            SemganError: a folder cannot be read.
        """
        endings = volume_endings()
        try:
            paths = self._paths()
        except SemganError:  # perhaps a folder was taken away in the middle
            paths = self._paths()
        files = [path for path in paths if path.name.lower().endswith(endings)]
        images = self._headers.read(set(paths) - set(files))
        found = [self._file(path) for path in files]
        groups: dict[str, list[Image]] = {}
        for image in images:
            if image.modality in VOLUMES:
                groups.setdefault(image.series, []).append(image)
        series = [members for members in groups.values() if _may_be_volume(members)]
        return Arrivals((*found, *map(self._series, series)), len(groups) - len(series))

    def _paths(self) -> list[Path]:
        return ScanSearch(volume_endings(), True, self._output, self._follow).scans(self._folder)

    def _file(self, path: Path) -> Arrival:
        case = Case(self._names.name(path), path)
        case = case if self._follow else checked_link(case, self._folder)
        return Arrival(case, fingerprint([_state(file) for file in files_of(path)]), "", (path.name,))

    def _series(self, images: list[Image]) -> Arrival:
        images = sorted(images, key=lambda image: image.path)
        first = images[0]
        path = Path(os.path.commonpath([image.path for image in images]))
        state = fingerprint(sorted({(image.uid, image.size) for image in images}))
        case = Case(
            series_id(first.modality, first.number, first.series, ""),
            path,
            first.modality,
            state=state,
            series=first.series,
        )
        seen = fingerprint([[str(image.path), image.size, image.changed] for image in images])
        texts = {text for image in images for text in image.descriptions}
        return Arrival(case, seen, first.modality, tuple(sorted(texts)))


def _counted(archive: Archive, series: ArchiveSeries) -> ArchiveSeries:
    return replace(series, images=len(archive.list_instances(series)))


def _may_be_volume(images: Collection[Image]) -> bool:
    return len(images) >= FEW or any(image.frames >= FEW for image in images)


def _state(file: Path) -> list[str | int]:
    try:
        found = file.stat()
    except OSError:
        return [str(file), -1, 0]
    return [str(file), found.st_size, found.st_mtime_ns]
