"""The labelled scans that are learnt from: those of a data list, or of a folder in which labels lie beside scans."""

from __future__ import annotations

from pathlib import Path

from monai_semgan.data.datalist import Entry, load_datalist, with_names
from monai_semgan.data.scan_folder import LABEL_FOLDERS, LABEL_NAME, ScanSearch, is_label_name
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import image2d_endings, label_endings, stem, volume_endings

LISTS = ("dataset.json", "datalist.json")
"""Data lists that a folder may hold; the first is nnU-Net's."""

CHANNEL = "_0000"

REMEDY = "give a data list, or a folder with scan.nii.gz beside scan_label.nii.gz, or images/ beside labels/"


def labelled_entries(source: Path) -> list[Entry]:
    """Find the scans with labels; those in the `test` section of a list are left out.

    Args:
        source: data list (`.json`), or folder.

    Raises:
        SemganError: there is none, or the list cannot be used.
    """
    if source.is_dir():
        listed = next((source / name for name in LISTS if (source / name).is_file()), None)
        entries = _of_list(listed) if listed is not None else _of_folder(source)
    elif source.is_file():
        entries = _of_list(source)
    else:
        raise SemganError("no such data list or folder", remedy=REMEDY, path=source)
    if not entries:
        raise SemganError("holds no scan with a label", remedy=REMEDY, path=source)
    return entries


def _of_list(path: Path) -> list[Entry]:
    datalist = load_datalist(path)
    return [entry for entry in (*datalist.training, *datalist.validation) if entry.label is not None]


def _of_folder(folder: Path) -> list[Entry]:
    scans = ScanSearch((*volume_endings(), *image2d_endings())).scans(folder)
    labels: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.lower().endswith(label_endings()) and _is_label(path, folder):
            labels.setdefault(_key(path, folder), []).append(path)
    entries, places = [], [_place(scan, folder) for scan in scans]
    for scan, place in zip(scans, places, strict=True):
        alone = labels.get((place, ""), []) if places.count(place) == 1 else []  # called label, mask or seg
        found = labels.get(_key(scan, folder)) or alone
        if len(found) > 1:
            problem = f"has two labels: {found[0].name} and {found[1].name}"
            raise SemganError(problem, remedy="keep one, or give a data list", path=scan)
        entries += [Entry(scan, label, scan_name(scan)) for label in found]
    return with_names(entries, folder)


def scan_name(scan: Path) -> str:
    """Name a scan, or a patient, after its file."""
    return stem(scan).removesuffix(CHANNEL)


def _is_label(path: Path, folder: Path) -> bool:
    return is_label_name(path) or any(LABEL_FOLDERS.match(part) for part in path.relative_to(folder).parts[:-1])


def _key(path: Path, folder: Path) -> tuple[str, str]:
    """Where a file lies, and what it shows, as scans and their labels have it in common."""
    name = path.name[: -len(".seg.nrrd")] if path.name.lower().endswith(".seg.nrrd") else scan_name(path)
    return _place(path, folder), LABEL_NAME.sub("", name).lower()


def _place(path: Path, folder: Path) -> str:
    """The folders between, without those that only tell images from labels."""
    parts = path.relative_to(folder).parts[:-1]
    return "/".join(part for part in parts if not (LABEL_FOLDERS.match(part) or part.lower().startswith("image")))
