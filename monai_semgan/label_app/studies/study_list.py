"""The list of images and labels on the disk: written with a backup, and read as far as it can be read.

A damaged entry costs what was noted of that image. A damaged file is put together from its readable entries and those
of the backup, which is one change older; what neither knows is found again from the files of images and labels.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.label_app.image_ids import is_image_id, is_tag
from monai_semgan.label_app.storable import MAX_SIZE, storable
from monai_semgan.label_app.studies.study_models import StudiesModel, StudyEntry
from monai_semgan.utils.files import written_aside
from monai_semgan.utils.json_text import json_text

log = logging.getLogger(__name__)

BACKUP = ".bak"
DAMAGED = ".damaged"
"""Endings of the backup, and of a list that could not be read as a whole and was put aside."""

_ENTRY = re.compile(r'^    ("(?:[^"\\\n]|\\.)*"): (\{$.*?^    \}),?$', re.MULTILINE | re.DOTALL)
"""One image, as it stands in the list: four blanks before its id and before its closing bracket."""

_HIDDEN = re.compile(r'^  "hidden": (\[.*?\]),$', re.MULTILINE | re.DOTALL)
"""Originals that were removed from the list, as they stand before the images."""

_TEXTS = ("ext", "source", "series")


def read_list(path: Path, empty: StudiesModel) -> StudiesModel:
    """Read the list; one that is damaged is mended from its backup, and put aside as it was.

    Args:
        path: the file.
        empty: the list to begin with.
    """
    entries, others, sound = _read(path)
    if not sound:
        kept, backup, _ = _read(_beside(path, BACKUP))
        others = {**backup, **others}
        new = [image for image in kept if image not in entries]
        entries = {**kept, **entries}
        log.warning(
            "the list of images and labels was damaged: %d entries were read from it and %d from its backup, the rest "
            "is found from the files",
            len(entries) - len(new),
            len(new),
        )
        with contextlib.suppress(OSError):
            os.replace(path, _beside(path, DAMAGED))
    model = empty.model_copy(deep=True)
    model.objects, spoilt = _checked(entries)
    model.missing, more = _checked(_mapping(others.get("missing")))
    model.hidden = [place for place in _list(others.get("hidden")) if isinstance(place, str)]
    for name in ("name", "description"):
        if isinstance(others.get(name), str):
            setattr(model, name, others[name])
    if spoilt + more:
        log.warning("%d entries of the list of images and labels were damaged; what was noted in them is lost", spoilt)
    return model


def write_list(path: Path, model: StudiesModel, known: bool) -> None:
    """Write the list; the one before stays as backup.

    Args:
        path: the file.
        model: the list.
        known: whether the file that is there is one that was read or written, and so fit to be the backup.

    Raises:
        SemganError: it cannot be written; the list that was there stays.
    """
    content = {"hidden": model.hidden, **model.model_dump(exclude={"base_path", "hidden"})}  # a cut list still has it
    text = json_text(content, indent=2, default=str)
    with written_aside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if known:
            _back_up(path)


def list_state(path: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever the list is written; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _back_up(path: Path) -> None:
    if path.exists():
        with written_aside(_beside(path, BACKUP)) as copy:
            try:
                os.link(path, copy)
            except OSError:  # a file system without links
                shutil.copyfile(path, copy)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Entries by id, the rest, and whether the file is sound; one that is not there is."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return {}, {}, not _beside(path, BACKUP).exists()
    except OSError:
        return {}, {}, False
    try:
        content = json.loads(text)
        if isinstance(content, dict) and isinstance(content.get("objects"), dict):
            return content["objects"], content, True
    except (ValueError, RecursionError):
        pass
    return _salvaged(text), _salvaged_hidden(text), False


def _salvaged(text: str) -> dict[str, Any]:
    """Entries of a list that is no JSON as a whole, each read by itself."""
    found: dict[str, Any] = {}
    for match in _ENTRY.finditer(text.split('\n  "missing": {')[0]):
        with contextlib.suppress(ValueError, RecursionError):
            found[json.loads(match[1])] = json.loads(match[2])
    return found


def _salvaged_hidden(text: str) -> dict[str, Any]:
    match = _HIDDEN.search(text)
    with contextlib.suppress(ValueError, RecursionError):
        return {"hidden": json.loads(match[1])} if match else {}
    return {}


def _checked(entries: Mapping[str, Any]) -> tuple[dict[str, StudyEntry], int]:
    """Entries that can be used, and how many had to be mended or left out."""
    found: dict[str, StudyEntry] = {}
    spoilt = 0
    for image, entry in entries.items():
        try:
            if not is_image_id(image):
                raise ValueError
            found[image], whole = _entry(entry)
        except (ValueError, TypeError):
            spoilt += 1
        else:
            spoilt += not whole
    return found, spoilt


def _entry(entry: Any) -> tuple[StudyEntry, bool]:
    """An entry without what cannot be stored, and whether it is as it was."""
    content = _mapping(entry)
    image, whole = _mended(_mapping(content.get("image")))
    labels = {}
    for tag, label in _mapping(content.get("labels")).items():
        if is_tag(tag) and isinstance(label, dict):
            labels[tag], sound = _mended(label)
            whole = whole and sound
        else:
            whole = False
    return StudyEntry.model_validate({"image": image, "labels": labels}), whole


def _mended(model: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """An image or a label of an entry without what cannot be stored, and whether it is as it was."""
    kept = {name: value for name, value in model.items() if _fits(name, value)}
    return kept, len(kept) == len(model)


def _fits(name: str, value: Any) -> bool:
    if name in _TEXTS and not isinstance(value, str) or name == "info" and not isinstance(value, dict):
        return False
    try:
        storable(name)
        storable(value, limit=2 * MAX_SIZE)  # what the server itself notes comes on top
    except SemganError:
        return False
    return True


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
