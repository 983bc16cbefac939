"""The scans of a folder or data list, each with a name of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from monai_semgan.data.datalist import SECTIONS, load_datalist
from monai_semgan.data.identity import scan_names
from monai_semgan.errors import SemganError, read_error
from monai_semgan.io.formats import image2d_endings, marked_as_dicom, readable_endings, stem, volume_endings

LABEL_NAME = re.compile(r"(^|[_.\- ])(labels?|seg|segmentation|mask|masks)$", re.IGNORECASE)
LABEL_FOLDERS = re.compile(r"^(labels?(tr|ts)?|segmentations?|masks?)$", re.IGNORECASE)
BOOKKEEPING = ".cohort"
"""Folder in which a cohort's output keeps one record per scan; its owner holds results, not scans."""


@dataclass(frozen=True)
class Case:
    """One scan of a cohort.

    Args:
        name: names its results; unique in the cohort.
        path: file, or folder of a DICOM series.
        modality: `"CT"` or `"MR"` where a data list tells.
        problem: why it cannot be read, if that is known already.
    """

    name: str
    path: Path
    modality: str | None = None
    problem: str = ""


@dataclass(frozen=True)
class Listing:
    """What was found.

    Args:
        cases: the scans, in order of their paths.
        ignored: files and folders left out because their names say that they are labels.
    """

    cases: tuple[Case, ...]
    ignored: tuple[Path, ...] = ()


def find_cases(path: Path, output: Path, section: str | None = None, pictures: bool = False) -> Listing:
    """Find the scans of a cohort.

    In a folder and all folders below, every file with a volume's ending or a zip is a scan; a folder that directly
    holds DICOM files is one scan together with all below it. Left out are hidden files and folders, the output and
    that of other cohorts, and what is named like labels (`x_label.nii.gz`, `x_seg.nrrd`, `x.seg.nrrd`, `labelsTr/`).

    Args:
        path: folder, or data list (`.json`).
        output: folder of the results.
        section: of a data list; all when left out.
        pictures: in a folder, single images are scans (radiographs) instead of volumes: pictures, and DICOM files,
            each for itself.

    Raises:
        SemganError: there is nothing, or the list cannot be used.
    """
    if path.is_dir():
        if section is not None:
            raise SemganError("only a data list has sections", remedy="leave out --section", path=path)
        ignored: list[Path] = []
        root = path.resolve()
        suffixes = image2d_endings() if pictures else volume_endings()
        files = list(_walk(path, suffixes, output.resolve(), ignored))
        names = scan_names(files, path)
        found = [_checked(Case(name, file), root) for name, file in zip(names, files, strict=True)]
    else:
        found, ignored = _of_datalist(path, section), []
    if not found:
        endings = image2d_endings() if pictures else (*volume_endings(), ".dcm")
        raise SemganError("no scan was found", remedy=f"scans end in {', '.join(endings)}", path=path)
    return Listing(tuple(found), tuple(ignored))


def _walk(folder: Path, suffixes: tuple[str, ...], output: Path, ignored: list[Path]) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise read_error(error, folder) from error
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    dicom = [entry for entry in entries if _is_dicom(entry)]
    if dicom and suffixes != image2d_endings():
        yield folder
        return
    for entry in entries:
        path = Path(entry.path)
        if entry in dicom:
            yield path
        elif entry.is_dir(follow_symlinks=False):
            if path.resolve() == output or (path / BOOKKEEPING).is_dir():
                continue
            if LABEL_FOLDERS.match(entry.name):
                ignored.append(path)
                continue
            yield from _walk(path, suffixes, output, ignored)
        elif entry.name.lower().endswith(suffixes):
            if entry.name.lower().endswith(".seg.nrrd") or LABEL_NAME.search(stem(path)):
                ignored.append(path)
            else:
                yield path


def _is_dicom(entry: os.DirEntry[str]) -> bool:
    if not entry.is_file(follow_symlinks=False) or entry.name.upper() == "DICOMDIR":
        return False
    if entry.name.lower().endswith((".dcm", ".ima", ".dicom")):
        return True
    if entry.name.lower().endswith(readable_endings()):
        return False
    try:
        return marked_as_dicom(entry.path)
    except OSError:
        return False


def _checked(case: Case, root: Path) -> Case:
    """Note a link that leads out of the folder that was given as a problem."""
    if Path(os.path.realpath(case.path)).is_relative_to(root):
        return case
    return replace(case, problem=f"{case.path}: is a link that leaves the folder; copy what it points to")


def _of_datalist(path: Path, section: str | None) -> list[Case]:
    if section is not None and section not in SECTIONS:
        raise SemganError(f"unknown section {section!r}", remedy=f"use {', '.join(SECTIONS)}", path=path)
    datalist = load_datalist(path)
    sections = [section] if section is not None else SECTIONS
    return [Case(entry.name, entry.image, entry.modality) for name in sections for entry in getattr(datalist, name)]
