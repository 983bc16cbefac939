"""Data lists in MONAI's format, checked before anything long starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from monai_semgan.data.identity import name_key, patient_names, scan_names
from monai_semgan.data.list_keys import check_keys, check_sections, renamed_sections
from monai_semgan.data.list_names import labelled_in, names_in
from monai_semgan.data.nnunet import is_nnunet, nnunet_sections, with_channel
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.dicom.headers import read_dataset
from monai_semgan.io.formats import image2d_endings
from monai_semgan.io.organ_folder import is_label_file
from monai_semgan.modalities import PROJECTIONS, canonical_modality
from monai_semgan.utils.foreign_text import is_windows_path, listed_path, listed_text, read_foreign_json

SECTIONS = ("training", "validation", "test")


@dataclass(frozen=True)
class Entry:
    """One volume of a data list.

    Args:
        image: image file, or folder or zip of a DICOM series.
        label: label file, or folder with one file per organ; None for an unlabelled volume.
        patient: who it shows; see `patient_names` when the list does not say.
        modality: `CT`, `MR`, `DX` or None: to be guessed. Pictures and DICOM radiographs are `DX`.
        names: label ids with their organ names, if the list tells.
        name: of the scan, unique in its list: what predictions, scores and records are called.
        labelled: names, or ids where there are no names, of what the label file knows: background in it may be any
            other label. Empty where it knows all; see `monai_semgan.data.entries.known_keys`.
    """

    image: Path
    label: Path | None = None
    patient: str = ""
    modality: str | None = None
    names: tuple[tuple[int, str], ...] = ()
    name: str = ""
    labelled: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataList:
    """Volumes by section.

    Args:
        training: labelled and unlabelled volumes.
        validation: volumes that a training is scored on.
        test: volumes that no training sees.
        notes: what a user should know of the list, one sentence each.
    """

    training: tuple[Entry, ...] = ()
    validation: tuple[Entry, ...] = ()
    test: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()


def load_datalist(path: str | Path, base_dir: str | Path | None = None) -> DataList:
    """Read `{"training": [{"image": ..., "label": ...}, {"image": ...}], "validation": [...], "test": [...]}`.

    An entry without label is unlabelled; `patient` and `modality` are optional, and so is ``"labels": {"1":
    "liver", ...}`` beside the sections. An image may be a folder or zip of a DICOM series, a label a folder with one
    file per organ. `"labelled": ["liver"]` tells that a label knows the liver alone. Sections may be called by other
    words in use, such as `val` (see `SECTION_WORDS`), which is noted.

    Args:
        path: JSON file; or `dataset.json` of nnU-Net, beside `imagesTr` and `labelsTr`.
        base_dir: what relative paths are relative to; the folder of the JSON file when left out.

    Raises:
        SemganError: the list is malformed or empty, files are missing, or a patient or a label is in two sections.
    """
    path = Path(path)
    content = read_json_object(path)
    base = Path(base_dir) if base_dir is not None else path.parent
    nnunet = is_nnunet(content)
    if nnunet:
        content = nnunet_sections(content, path, base)
    else:
        check_sections(content, path)
    content, notes = renamed_sections(content, path)
    names = names_in(content, path)
    sections = {name: _section(content.get(name, []), name, base, path, names) for name in SECTIONS}
    if not any(sections.values()):
        raise SemganError(
            "the data list is empty", remedy='fill "training" with {"image": ..., "label": ...}', path=path
        )
    sections, assumed = _with_patients(sections)
    if "numTraining" in content:
        sections = {n: tuple(replace(e, image=with_channel(e.image)) for e in found) for n, found in sections.items()}
    datalist = DataList(sections["training"], sections["validation"], sections["test"])
    _check_files(datalist, path, base)
    _check_patients(datalist, path, assumed)
    entries = [entry for _, entry in _entries(datalist)]
    if nnunet:  # its predictions are called like the case, without the channel
        entries = [replace(entry, name=entry.patient) for entry in entries]
    named = iter(with_names(entries, base))
    training, validation, test = (tuple(islice(named, len(sections[name]))) for name in SECTIONS)
    return DataList(training, validation, test, (*notes, *shared_labels(datalist, path)))


def with_names(entries: Sequence[Entry], root: Path | None = None) -> list[Entry]:
    """Give entries names that are unique among them, where they have none: those of one data list have.

    Args:
        entries: all that stand together.
        root: see `scan_names`; the folder that all of them share when left out.

    Raises:
        SemganError: a scan is listed twice.
    """
    if not entries or "" not in (keys := {name_key(entry.name) for entry in entries}) and len(keys) == len(entries):
        return list(entries)
    images = [entry.image for entry in entries]
    if root is None:
        root = Path(os.path.commonpath([os.path.abspath(image.parent) for image in images]))
    return [replace(entry, name=name) for entry, name in zip(entries, scan_names(images, root), strict=True)]


def read_json_object(path: Path, what: str = "data list") -> dict[str, Any]:
    """Read a data list, or what describes a data set, as it stands in its file.

    Args:
        path: JSON file.
        what: it is, in messages.

    Raises:
        SemganError: it cannot be read, or is no JSON object.
    """
    content = read_foreign_json(path, what)
    if not isinstance(content, dict):
        example = ' with "training"' if what == "data list" else ""
        raise SemganError(f"a {what} is a JSON object{example}", remedy="correct the file", path=path)
    return dict(content)


def _section(items: Any, name: str, base: Path, path: Path, names: tuple[tuple[int, str], ...]) -> tuple[Entry, ...]:
    if not isinstance(items, list):
        raise SemganError(f'"{name}" is not a list', remedy="correct the file", path=path)
    return tuple(
        _entry(item, f'"{name}" entry {number}', base, path, names) for number, item in enumerate(items, start=1)
    )


def _entry(item: Any, where: str, base: Path, path: Path, names: tuple[tuple[int, str], ...]) -> Entry:
    item = {"image": item} if isinstance(item, str) else item
    if not isinstance(item, dict) or not isinstance(item.get("image"), str) or not item["image"]:
        if isinstance(item, dict):
            check_keys(item, where, path)
        raise SemganError(f'{where} has no "image"', remedy="give the image's file name", path=path)
    check_keys(item, where, path)
    label = item.get("label") or None
    label = None if label is not None and listed_text(label) == "" else label  # NaN: a table's gap
    if not isinstance(label, (str, type(None))):
        raise SemganError(f'{where}: "label" is not a file name', remedy="correct the file", path=path)
    try:
        modality = canonical_modality(item["modality"]) if listed_text(item.get("modality")) != "" else None
    except SemganError as error:
        raise SemganError(f"{where}: {error.problem}", remedy=error.remedy, path=path) from None
    patient = listed_text(item.get("patient"))
    if patient is None:
        raise SemganError(f'{where}: "patient" is not a name', remedy="correct the file", path=path)
    image = listed_path(item["image"], base)
    if modality is None and _is_radiograph(image):
        modality = "DX"
    return Entry(
        image=image,
        label=listed_path(label, base) if label else None,
        patient=patient,
        modality=modality,
        names=names,
        labelled=labelled_in({**item, "label": label}, names, where, path),
    )


def _is_radiograph(image: Path) -> bool:
    """Whether it is a picture, or a DICOM file that says so."""
    if image.name.lower().endswith(image2d_endings()):
        return True
    if not image.name.lower().endswith((".dcm", ".ima", ".dicom")) or not image.is_file():
        return False
    try:
        return read_dataset(DicomFile(image), tags=["Modality"]).get("Modality") in PROJECTIONS
    except SemganError:  # it is told when the image is read
        return False


def _entries(datalist: DataList) -> list[tuple[str, Entry]]:
    return [(name, entry) for name in SECTIONS for entry in getattr(datalist, name)]


def _check_files(datalist: DataList, path: Path, base: Path) -> None:
    missing = [
        file
        for _, entry in _entries(datalist)
        for file, there in ((entry.image, entry.image.exists()), (entry.label, entry.label and _is_label(entry.label)))
        if file is not None and not there
    ]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        foreign = next(
            (name for name in map(str, missing) if is_windows_path(name.removeprefix(f"{base}{os.sep}"))), None
        )
        if foreign is not None:
            raise SemganError(
                f"lists paths of Windows: {foreign}", remedy="write / for \\, and paths of this computer", path=path
            )
        raise SemganError(
            f"lists files that do not exist: {missing[0]}{more}",
            remedy="correct the list; relative names start at its folder",
            path=path,
        )


def _is_label(path: Path) -> bool:
    """Whether there is a label file, or a folder with some, one for every organ."""
    return path.is_file() or (path.is_dir() and any(is_label_file(file) for file in path.iterdir()))


def _with_patients(sections: Mapping[str, Sequence[Entry]]) -> tuple[dict[str, tuple[Entry, ...]], set[str]]:
    """Entries with a patient each, and which of the patients the list does not name."""
    unnamed = [entry.image for section in sections.values() for entry in section if not entry.patient]
    assumed = dict(zip(unnamed, patient_names(unnamed), strict=True))
    found = {
        name: tuple(replace(entry, patient=entry.patient or assumed[entry.image]) for entry in section)
        for name, section in sections.items()
    }
    return found, set(assumed.values())


def _check_patients(datalist: DataList, path: Path, assumed: Set[str]) -> None:
    """A patient, or an image file, must not stand in two sections, and an image not twice in one."""
    section_of: dict[str, str] = {}
    seen: dict[Path, str] = {}
    for section, entry in _entries(datalist):
        file = entry.image.resolve()
        if file in seen:
            other = f'"{seen[file]}" and "{section}"' if seen[file] != section else f'"{section}"'
            raise SemganError(f"the image {entry.image.name} is listed twice, in {other}", remedy="keep one", path=path)
        seen[file] = section
        other = section_of.setdefault(entry.patient, section)
        if other != section:
            whom = f"{entry.patient}, going by file names," if entry.patient in assumed else entry.patient
            raise SemganError(
                f'patient {whom} is in "{other}" and in "{section}"',
                remedy='split by patient, or results are too good; give different ones "patient" names',
                path=path,
            )


def shared_labels(datalist: DataList, path: Path) -> list[str]:
    """Sentences on label files that stand for images of different patients; scans of one patient may share theirs.

    Args:
        datalist: with a patient for every entry.
        path: of the list.

    Raises:
        SemganError: the images are in different sections.
    """
    first: dict[Path, tuple[str, Entry]] = {}
    notes = []
    for section, entry in _entries(datalist):
        if entry.label is None:
            continue
        other_section, other = first.setdefault(entry.label.resolve(), (section, entry))
        if other is entry or (other.patient == entry.patient and other_section == section):
            continue
        told = f"the label {entry.label.name} is given to {other.image.name} and to {entry.image.name}"
        if other_section != section:
            remedy = "correct one of them, or results are too good"
            raise SemganError(f'{told}, in "{other_section}" and "{section}"', remedy=remedy, path=path)
        notes.append(f'{told}: correct one of them, or give both the same "patient"')
    return notes
