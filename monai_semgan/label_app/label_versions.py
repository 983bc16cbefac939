"""Versions of labels: what each file was made by, and the files that later ones have replaced.

Beside the labels lie, in `.versions/TAG/IMAGE/`, a file `000003.json` for every version, with its facts, and the label
itself, `000003.nii.gz`, once another one has taken its place. The facts hold the digest of the file that they are
about: a process killed between two steps leaves facts of a file that is not there, which count for nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from monai_semgan.label_app.kept_maps import is_map
from monai_semgan.label_app.label_facts import MODEL, SAVED_BY, LabelVersion, described, etag_of, is_review
from monai_semgan.utils.files import write_utf8, written_aside
from monai_semgan.utils.json_text import json_text

log = logging.getLogger(__name__)

FOLDER = ".versions"
MAX_VERSIONS = 200
"""Replaced files that are kept of a label; the oldest go first."""

MAX_BYTES = 10 << 30
"""... and of all labels together; the label whose versions take most loses its oldest."""

PERSONS = frozenset({"user", "annotator"})
"""Keys of a label's info that tell who has sent it."""


@dataclass
class LabelVersions:
    """The versions of all labels; whoever calls it holds the datastore's lock.

    Args:
        labels: the folder of the labels.
        max_versions: see `MAX_VERSIONS`.
        max_bytes: see `MAX_BYTES`.
    """

    labels: Path
    max_versions: int = MAX_VERSIONS
    max_bytes: int = MAX_BYTES
    _sizes: dict[Path, dict[Path, int]] | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def current(self, place: tuple[str, str], file: str | Path, ext: str, info: Mapping[str, Any]) -> LabelVersion:
        """Return the facts of the file that is the label.

        Args:
            place: id of the image and tag of the label.
            file: the label.
            ext: its ending.
            info: of the label; counts where no version has been noted yet, and only if it is of this file.

        Raises:
            OSError: the file cannot be read.
        """
        etag, known = etag_of(file), self._noted(*place)
        found = next((one for one in reversed(known) if one.etag == etag), None)
        if found is not None:
            return found
        saved = datetime.fromtimestamp(os.stat(file).st_mtime, timezone.utc)
        stamp = info.get("ts")
        own = info if isinstance(stamp, int | float) and abs(stamp - saved.timestamp()) < 3 else {}
        if is_map(place[1]) and own and not PERSONS & own.keys():  # noted so by a version that had no word for it
            own = {**own, SAVED_BY: MODEL}
        return described(own, self._highest(*place) + 1, etag, ext, saved.isoformat(timespec="seconds"))

    def earlier(self, image: str, tag: str, current: LabelVersion | None) -> list[LabelVersion]:
        """Return versions whose files are kept, the newest first, without the one that is the label."""
        kept = [one for one in self._noted(image, tag) if self._file(image, tag, one).is_file()]
        return [one for one in reversed(kept) if current is None or one.version != current.version]

    def tags(self, image: str) -> list[str]:
        """Return the tags under which an image has versions."""
        folder = self.labels / FOLDER
        return sorted(one.name for one in _entries(folder) if (folder / one.name / image).is_dir())

    def file(self, image: str, tag: str, version: int) -> Path | None:
        """Return the file of an earlier version."""
        found = next((one for one in self._noted(image, tag) if one.version == version), None)
        file = self._file(image, tag, found) if found else None
        return file if file is not None and file.is_file() else None

    def keep(self, image: str, tag: str, file: Path, current: LabelVersion) -> list[Path]:
        """Copy the label to its versions.

        Returns:
            The files that were made; whoever fails afterwards removes them.

        Raises:
            SemganError: they cannot be written.
        """
        made = []
        copy = self._file(image, tag, current)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            with written_aside(copy) as temporary:
                shutil.copyfile(file, temporary)
            made.append(copy)
        notes = copy.with_name(f"{current.version:06d}.json")
        if _read(notes) != current:
            known = notes.exists()
            self.note(image, tag, current)
            made += [] if known else [notes]
        return made

    def note(self, image: str, tag: str, version: LabelVersion) -> Path:
        """Write the facts of a version.

        Raises:
            SemganError: they cannot be written.
        """
        path = self._folder(image, tag) / f"{version.version:06d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_utf8(path, json_text(asdict(version), indent=1))

    def next_number(self, image: str, tag: str, current: LabelVersion | None) -> int:
        """Return the number of a version that is about to be saved."""
        kept = max((int(path.name[:6]) for path in _sizes_of(self._folder(image, tag))), default=0)
        return max(current.version if current else 0, kept) + 1

    def prune(self, image: str, tag: str, current: int | None) -> None:
        """Remove what is too much, and facts of files that are not there.

        Args:
            image: id.
            tag: of the label that was saved or removed.
            current: number of the label that is there now, if there is one.
        """
        with self._lock:
            sizes = self._all_sizes()
            folder = self._folder(image, tag)
            sizes[folder] = _sizes_of(folder)
            kept = {path.name[:6] for path in sizes[folder]} | ({f"{current:06d}"} if current else set())
            for entry in _entries(folder):
                if entry.name.endswith(".json") and entry.name[:6] not in kept:
                    Path(entry.path).unlink(missing_ok=True)
            if not kept:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            while len(sizes[folder]) > self.max_versions:
                _remove_oldest(sizes[folder])
            while sum(sum(files.values()) for files in sizes.values()) > self.max_bytes:
                _remove_oldest(max(sizes.values(), key=lambda files: sum(files.values())))

    def _all_sizes(self) -> dict[Path, dict[Path, int]]:
        if self._sizes is None:
            self._sizes = defaultdict(dict)
            for tag in _entries(self.labels / FOLDER):
                for image in _entries(Path(tag.path)):
                    self._sizes[Path(image.path)] = _sizes_of(Path(image.path))
        return self._sizes

    def _folder(self, image: str, tag: str) -> Path:
        return self.labels / FOLDER / tag / image

    def _file(self, image: str, tag: str, version: LabelVersion) -> Path:
        return self._folder(image, tag) / f"{version.version:06d}{version.ext}"

    def _highest(self, image: str, tag: str) -> int:
        """The highest number that any version has, even one of which the facts are damaged."""
        numbers = (one.name[:6] for one in _entries(self._folder(image, tag)))
        return max((int(number) for number in numbers if number.isdigit()), default=0)

    def _noted(self, image: str, tag: str) -> list[LabelVersion]:
        """Facts by number; damaged ones are left out."""
        folder = self._folder(image, tag)
        names = sorted(one.name for one in _entries(folder) if one.name.endswith(".json") and one.name[:6].isdigit())
        return [one for name in names if (one := _read(folder / name)) is not None]


def _read(path: Path) -> LabelVersion | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = LabelVersion(**{one.name: content[one.name] for one in fields(LabelVersion) if one.name in content})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        log.warning("facts of a version of a label are damaged and count for nothing")
        return None
    texts = (found.etag, found.saved, found.ext, found.annotator or "", found.model or "")
    whole = isinstance(found.version, int) and all(isinstance(text, str) for text in texts)
    return found if whole and is_review(found.review) and not {"/", os.sep} & set(found.ext) else None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return [entry for entry in os.scandir(folder) if not entry.is_symlink()]
    except OSError:
        return []


def _sizes_of(folder: Path) -> dict[Path, int]:
    """Bytes of every label in a folder of versions, the oldest first."""
    files = [one for one in _entries(folder) if one.name[:6].isdigit() and not one.name.endswith(".json")]
    return {Path(one.path): one.stat().st_size for one in sorted(files, key=lambda one: one.name)}


def _remove_oldest(files: dict[Path, int]) -> None:
    oldest = next(iter(files))
    files.pop(oldest)
    oldest.unlink(missing_ok=True)
    oldest.with_name(f"{oldest.name[:6]}.json").unlink(missing_ok=True)
