"""The versions of a model: the one as shipped, which nobody touches, and those that learning has made since.

A store is a folder: `1/`, `2/`, ... are complete bundles with a `version.json` each, `current.json` tells which one is
in use. A version is made under another name, flushed to the disk and renamed; so is `current.json`. Whatever moment a
kill or a full disk comes at, the version in use stays what it was. Readers need no lock, writers hold one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.durable_folders import (
    PARTIAL,
    REMOVED,
    copy_files,
    flush,
    made_whole,
    remove_at_once,
    write_for_good,
)
from monai_semgan.bundle.labels import CONFIG, METADATA, WEIGHTS
from monai_semgan.bundle.pending import finish_pending
from monai_semgan.bundle.version_record import VERSION_FILE, ModelVersion, VersionFile, VersionRecord
from monai_semgan.errors import SemganError, read_error
from monai_semgan.utils.file_locks import take_lock
from monai_semgan.utils.files import write_error
from monai_semgan.utils.json_text import json_text

__all__ = ["KEPT", "ModelVersion", "VersionRecord", "VersionStore"]

CURRENT = "current.json"
LOCK = ".lock"
LOCK_SECONDS = 60.0
"""How long a writer waits for another one; copying a bundle takes a second."""

KEPT = 10
"""Versions beside the shipped one that `prune` leaves."""


@dataclass(frozen=True)
class VersionStore:
    """The versions of one model in a folder.

    Args:
        root: folder of the versions; made with the first one.
        shipped: bundle that is version 0; only read.
    """

    root: Path
    shipped: Path

    def versions(self) -> list[ModelVersion]:
        """Return all versions by number, the shipped one first; damaged ones tell their `problem`."""
        return [self._shipped(), *(_read(self.root / str(number), number) for number in self._numbers())]

    def version(self, number: int) -> ModelVersion:
        """Return one version.

        Raises:
            SemganError: there is none of this number.
        """
        if number == 0:
            return self._shipped()
        if number not in self._numbers():
            known = ", ".join(map(str, [0, *self._numbers()]))
            raise SemganError(f"there is no version {number}", remedy=f"there are {known}", path=self.root)
        return _read(self.root / str(number), number)

    def current(self) -> ModelVersion:
        """Return the version in use; the shipped one while none has been chosen.

        Raises:
            SemganError: it is damaged or gone, or nothing tells which one it is; another one can be used.
        """
        found = self.version(self.chosen())
        found.refuse_damaged()
        return found

    def use(self, number: int) -> ModelVersion:
        """Put a version into use: a new one, or an older one again.

        Raises:
            SemganError: there is none of this number, it is damaged, or the choice cannot be written.
        """
        self.version(number).refuse_damaged()  # before anything is made in a folder that is none of versions
        with self._locked():
            found = self.version(number)
            found.refuse_damaged()
            _refuse_other_weights(found)
            write_for_good(self.root / CURRENT, json_text({"schema": 1, "current": number}) + "\n")
        return found

    def add(self, made: Path, record: VersionRecord) -> ModelVersion:
        """Take a bundle into the store as the next version, which is not in use before `use` says so.

        Args:
            made: complete bundle; it is copied and stays as it is.
            record: what is told of it.

        Raises:
            SemganError: it is no complete bundle, its parent is unknown, or the store cannot be written.
        """
        finish_pending(made)
        for needed in (CONFIG, METADATA, WEIGHTS):
            if not (made / needed).is_file():
                raise SemganError(f"{needed} is missing in the new version", remedy="learn again", path=made)
        with self._locked():
            self.version(record.parent)
            self._sweep()
            number = max(self._numbers(), default=0) + 1
            folder, part = self.root / str(number), self.root / f"{PARTIAL}{number}"
            with made_whole(part, folder):
                copy_files(made, part)
                (part / VERSION_FILE).unlink(missing_ok=True)  # of the version that it was made from
                content = VersionFile(record, _now(), weights_digest(part), _sizes(part))
                (part / VERSION_FILE).write_text(content.text, encoding="utf-8")
                for path in [part, *part.rglob("*")]:
                    flush(path)
        return content.version(number, folder)

    def prune(self, keep: int = KEPT, in_use: Iterable[int] = ()) -> list[ModelVersion]:
        """Remove old versions.

        First those are kept that must be: the current one and those `in_use`; then ancestors of the current one, the
        nearest first; then the newest. The shipped one is not counted and never goes.

        Args:
            keep: how many stay at most, unless more must be kept.
            in_use: numbers that running jobs compute with.

        Returns:
            What was removed, by number.

        Raises:
            SemganError: nothing tells the current version, or the store cannot be written.
        """
        with self._locked():
            self._sweep()
            numbers, current = self._numbers(), self.chosen()
            needed = [number for number in dict.fromkeys((current, *in_use)) if number in numbers]
            wanted = dict.fromkeys([*needed, *self._ancestors(current), *reversed(numbers)])
            kept = set(list(wanted)[: max(keep, len(needed))])
            gone = [_read(self.root / str(number), number) for number in numbers if number not in kept]
            for version in gone:
                remove_at_once(version.folder)
        return gone

    def _ancestors(self, number: int) -> Iterator[int]:
        """Numbers of the versions that one was made from, the nearest first, without the shipped one."""
        known = {version.number: version.parent for version in self.versions()}
        parent = known.get(number)
        while parent and parent in known:
            yield parent
            parent = known[parent] if known[parent] != parent else None

    def _shipped(self) -> ModelVersion:
        return ModelVersion(0, self.shipped, sha256=weights_digest(self.shipped))

    def _numbers(self) -> list[int]:
        try:
            names = [entry.name for entry in os.scandir(self.root) if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise read_error(error, self.root) from error
        return sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)) and name != "0")

    def chosen(self) -> int:
        """Return the number of the version in use, whether it can be used or not; 0 while none has been chosen.

        Raises:
            SemganError: nothing tells it.
        """
        path = self.root / CURRENT
        try:
            number = json.loads(path.read_text(encoding="utf-8"))["current"]
            if isinstance(number, int) and number >= 0:
                return number
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise read_error(error, path) from error
        except (KeyError, TypeError, ValueError, RecursionError):
            pass
        remedy = "choose one with `semgan learn --use N`, 0 is the model as shipped"
        raise SemganError("does not tell which version is in use", remedy=remedy, path=path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store while it changes; its folder is made where it is missing."""
        for place in (self.root, self.root.absolute().parent):
            if (place / METADATA).is_file():
                remedy = "choose a folder outside of bundles for the versions"
                raise SemganError("is a model bundle, which versions must not change", remedy=remedy, path=place)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(error, self.root) from error
        problem = "another process is changing these versions"
        lock = take_lock(self.root / LOCK, problem, "wait for its end", self.root, LOCK_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Remove what a kill has left."""
        for entry in os.scandir(self.root):
            if entry.name.startswith((PARTIAL, REMOVED)):
                shutil.rmtree(entry.path, ignore_errors=True)


def _read(folder: Path, number: int) -> ModelVersion:
    """A version as its folder tells it; one that is damaged has a `problem` and what else is known."""
    try:
        content = VersionFile.read(folder)
    except SemganError as error:
        return ModelVersion(number, folder, None, "structure", problem=error.problem)
    return content.version(number, folder, _missing(folder, content))


def _missing(folder: Path, content: VersionFile) -> str:
    """What is wrong with the files of a version, as far as their sizes tell; empty if nothing."""
    for name, size in content.files.items():
        path = folder / name
        try:
            found = path.stat().st_size
        except OSError:
            return f"{name} is missing"
        if found != size:
            return f"{name} has {found} bytes, not {size}"
    return ""


def _refuse_other_weights(version: ModelVersion) -> None:
    """Compare the weights themselves, which takes too long for every look at the store."""
    try:
        found = weights_digest(version.folder)
    except OSError as error:
        raise read_error(error, version.folder / WEIGHTS) from error
    if found != version.sha256:
        problem = f"version {version.number} is damaged: {WEIGHTS} is not what was stored"
        raise SemganError(problem, remedy="use another version", path=version.folder)


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
