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
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from monai_semgan.label_app.image_ids import IMAGE_STATE
from monai_semgan.utils.file_state import content_digest
from monai_semgan.utils.files import write_utf8, written_aside
from monai_semgan.utils.json_text import json_text

log = logging.getLogger(__name__)

FOLDER = ".versions"
MAX_VERSIONS = 200
"""Replaced files that are kept of a label; the oldest go first."""

MAX_BYTES = 10 << 30
"""... and of all labels together; the label whose versions take most loses its oldest."""

SAVED_BY, MODEL = "saved_by", "model"
"""Key and value in the info of a label that the server's model has put there."""

OWN_KEYS = frozenset({SAVED_BY, IMAGE_STATE, "params", "review", "ts", "name"})
"""What only the server notes in the info of a label."""

REVIEW_KEYS = ("reviewer", "verdict", "comment", "when")
VERDICTS = ("accepted", "rejected")

NOBODY = "admin"

ETAG_DIGITS = 32
REMEMBERED = 4096
"""Digests of files."""

NAME_LENGTH = 200


@dataclass(frozen=True)
class LabelVersion:
    """Facts of a version.

    Args:
        version: number, from 1.
        etag: digest of the file.
        saved: when, in ISO 8601.
        annotator: who has drawn or taken responsibility for it, as the client or the log-in tells.
        model: from which it was made.
        edited: whether a person has changed what the model gave; None where nobody says.
        by_model: whether the server's model has put it there, without a person.
        review: of a second reader: `reviewer`, `verdict`, `comment`, `when`.
        ext: ending of the file.
    """

    version: int
    etag: str
    saved: str
    annotator: str | None = None
    model: str | None = None
    edited: bool | None = None
    by_model: bool = False
    review: dict[str, Any] | None = None
    ext: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what clients are told."""
        hidden = ("by_model", "ext")
        return {name: value for name, value in asdict(self).items() if name not in hidden}

    def in_words(self) -> str:
        """Tell which one it is, by whom and when."""
        who = (
            f"by {self.annotator}" if self.annotator else ("by the model" if self.by_model else "by an unnamed reader")
        )
        edited = {True: "edited", False: "not edited", None: "not told whether edited"}[self.edited]
        reviewed = f", {self.review['verdict']} by {self.review['reviewer']}" if self.review else ""
        return f"version {self.version}, saved {who} on {self.saved[:16].replace('T', ' at ')} UTC, {edited}{reviewed}"


def made_by_model(info: Mapping[str, Any]) -> bool:
    """Tell from a label's info whether the server's model has put it there; MONAI Label notes model and parameters."""
    return info.get(SAVED_BY) == MODEL or IMAGE_STATE in info or ("params" in info and "model" in info)


def described(info: Mapping[str, Any], version: int, etag: str, ext: str, saved: str) -> LabelVersion:
    """Return the facts of a label by its info.

    Args:
        info: as a client has sent it, with the user of a log-in as `annotator`, or as the model's inference notes it.
        version: its number.
        etag: digest of the file.
        ext: ending of the file.
        saved: when.
    """
    by_model, edited = made_by_model(info), info.get("edited")
    return LabelVersion(
        version,
        etag,
        saved,
        annotator=None if by_model else _name(info.get("annotator") or _user(info)),
        model=_name(info.get("model")),
        edited=edited if isinstance(edited, bool) else (False if by_model else None),
        by_model=by_model,
        ext=ext,
    )


def now() -> str:
    """Return the present time in ISO 8601, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


_digests: OrderedDict[tuple[str, int, int, int], str] = OrderedDict()
_digests_lock = threading.Lock()


def etag_of(file: str | Path, known: str | None = None) -> str:
    """Return the digest of a file's content, which is read once.

    Args:
        file: path.
        known: the digest, of a copy of a file that has been read.

    Raises:
        OSError: it cannot be read.
    """
    found = os.stat(file)
    key = (str(file), found.st_ino, found.st_size, found.st_mtime_ns)
    with _digests_lock:
        digest = known or _digests.get(key)
    if digest is None:
        digest = content_digest(file)[:ETAG_DIGITS]
    with _digests_lock:
        _digests[key] = digest
        while len(_digests) > REMEMBERED:
            _digests.popitem(last=False)
    return digest


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


def with_review(version: LabelVersion, review: dict[str, Any]) -> LabelVersion:
    """Return the facts of a version with the verdict of a second reader."""
    return replace(version, review=review)


def _read(path: Path) -> LabelVersion | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = LabelVersion(**{one.name: content[one.name] for one in fields(LabelVersion) if one.name in content})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        log.warning("facts of a version of a label are damaged and count for nothing")
        return None
    texts = (found.etag, found.saved, found.ext, found.annotator or "", found.model or "")
    whole = isinstance(found.version, int) and all(isinstance(text, str) for text in texts)
    return found if whole and _is_review(found.review) and not {"/", os.sep} & set(found.ext) else None


def _is_review(review: Any) -> bool:
    if review is None:
        return True
    told = isinstance(review, dict) and all(isinstance(review.get(key), str) for key in REVIEW_KEYS)
    return told and review["verdict"] in VERDICTS


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


def _user(info: Mapping[str, Any]) -> object:
    """The user whom MONAI Label has noted; without its log-in it calls everybody by the same name."""
    return None if info.get("user") == NOBODY else info.get("user")


def _name(value: object) -> str | None:
    return str(value)[:NAME_LENGTH] if isinstance(value, str | int | float) and str(value).strip() else None
