"""Bring the configurations of a bundle to the names of today.

Bundles of 0.1 name modules and settings that have moved since. They still work, with a warning; rewritten, they name
public names only, which stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from monai_semgan._moved import MOVED, PACKAGE, new_place, public_path
from monai_semgan._version import __version__
from monai_semgan.bundle.compatibility import required_version
from monai_semgan.bundle.labels import METADATA, bundle_folder, read_json, read_metadata
from monai_semgan.errors import SemganError
from monai_semgan.utils.files import written_aside
from monai_semgan.utils.foreign_text import read_foreign_text
from monai_semgan.utils.settings import GROUPED, RENAMED

IMPORT = re.compile(rf"^\$from ({PACKAGE}[\w.]*) import (\w+)(?: as (\w+))?$")
"""An import as MONAI's configurations have it: of one name."""

WHOLE_IMPORT = re.compile(rf"^\$import {PACKAGE}\.([\w.]+)$")

PATH = re.compile(rf"(?<![\w.]){PACKAGE}(?:\.\w+)+")


@dataclass(frozen=True)
class Change:
    """One value of a configuration that is written anew.

    Attributes:
        file: that holds it.
        place: id of the value.
        before: as it was.
        after: as it is now.
    """

    file: str
    place: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file} {self.place}: {self.before} -> {self.after}"


def update_bundle(folder: str | Path, *, dry_run: bool = False) -> list[Change]:
    """Rewrite the configurations of a bundle that an earlier version made.

    Import paths become public names, and settings get the names that they have today. Everything else stays as it is,
    and a bundle that is up to date is left alone. A bundle works before, after and half-way: old names still do.

    Args:
        folder: of the bundle.
        dry_run: change nothing, only tell what would change.

    Returns:
        What has changed.

    Raises:
        SemganError: if the bundle was made for a later version, is broken, or cannot be written.
    """
    folder = bundle_folder(folder)
    metadata = read_metadata(folder)
    paths = [path for path in sorted((folder / "configs").glob("*.json")) if path.name != METADATA.name]
    before = {path: read_json(path) for path in paths}
    rewriting = Rewriting(settings_sections(before.values()))
    after = {path: rewriting.of_file(path.name, config) for path, config in before.items()}
    if rewriting.changes:
        before[folder / METADATA] = metadata
        after[folder / METADATA] = rewriting.of_metadata(metadata)
    if not dry_run:
        for path, config in after.items():
            if config != before[path]:
                _write(path, config)
    return rewriting.changes


def settings_sections(configs: Any) -> dict[str, dict[str, str]]:
    """Ids of the sections that hold settings of which some have new names: old name to new name."""
    found: dict[str, dict[str, str]] = {}
    for config in configs:
        for place, section in _sections(config):
            kind = str(section.get("_target_", "")).rpartition(".")[2]
            if kind in RENAMED:
                found[place] = RENAMED[kind]
    return found


def path_today(path: str) -> str:
    """Give the path of today for a dotted path of an earlier version; the same path if nothing better is known."""
    parts = path.split(".")
    for end in range(len(parts), 1, -1):
        module, name, rest = ".".join(parts[: end - 1]), parts[end - 1], parts[end:]
        found = _name_today(module, name)
        if found is not None:
            return ".".join([found, *rest])
        successors = MOVED.get(".".join(parts[1:end]), "").split()
        if len(successors) == 1:
            return ".".join([PACKAGE, successors[0], *rest])
    return path


def _name_today(module: str, name: str) -> str | None:
    if module.partition(".")[2] in MOVED and (place := new_place(module, name)) is not None:
        return place[0]
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError):  # no such name, or it needs a package that is not installed
        return None
    return public_path(name, found)


@dataclass
class Rewriting:
    """Rewrites configurations and keeps what has changed.

    Attributes:
        sections: ids of sections with renamed settings: old name to new name.
        changes: up to now.
    """

    sections: Mapping[str, Mapping[str, str]]
    changes: list[Change] = field(default_factory=list)

    def of_file(self, file: str, config: dict[str, Any]) -> dict[str, Any]:
        """Give the new content of a configuration."""
        content: dict[str, Any] = self._value(file, "", config)
        for place, section in list(_sections(content)):
            self._group(file, place, section)
        return content

    def _group(self, file: str, place: str, section: dict[str, Any]) -> None:
        """Move arguments of a component that are fields of its `settings` now, in place."""
        kind = str(section.get("_target_", "")).rpartition(".")[2]
        moved = {old: new for old, new in GROUPED.get(kind, {}).items() if old in section}
        if not set(moved) - {"settings"}:
            return
        values = {new: section[old] for old, new in moved.items()}
        kept = {name: value for name, value in section.items() if name not in moved}
        section.clear()
        section.update({**kept, "settings": values})
        for old, new in moved.items():
            self.changes.append(Change(file, place, old, f"settings#{new}"))

    def of_metadata(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Give metadata that tell which version the new names need."""
        before = required_version(metadata)
        if before == __version__:
            return metadata
        self.changes.append(Change(METADATA.name, f"required_packages_version#{PACKAGE}", before, __version__))
        packages = {**metadata.get("required_packages_version", {}), PACKAGE: __version__}
        return {**metadata, "required_packages_version": packages}

    def _value(self, file: str, place: str, value: Any) -> Any:
        if isinstance(value, dict):
            names = self.sections.get(place, {})
            return {
                self._key(file, place, key, names): self._value(file, _inner(place, key), inner)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return list(self._items(file, place, value))
        if not isinstance(value, str):
            return value
        after = self._text(place, value)
        if after != value:
            self.changes.append(Change(file, place, value, after))
        return after

    def _items(self, file: str, place: str, items: list[Any]) -> Iterator[Any]:
        for number, item in enumerate(items):
            at, divided = _inner(place, number), _imports_of_divided(item)
            if divided:
                self.changes.append(Change(file, at, item, ", ".join(divided)))
                yield from divided
            else:
                yield self._value(file, at, item)

    def _key(self, file: str, place: str, key: str, names: Mapping[str, str]) -> str:
        """The key, or the new name of a setting; overlays write ids such as `slices#frame` as keys."""
        section, mark, name = key.rpartition("#")
        after = f"{section}{mark}{self.sections.get(section, {}).get(name, name)}" if mark else names.get(key, key)
        if after != key:
            self.changes.append(Change(file, place or "(top)", key, after))
        return after

    def _text(self, place: str, text: str) -> str:
        if place.rpartition("#")[2] == "_target_":
            return path_today(text) if text.startswith(f"{PACKAGE}.") else text
        if not text.startswith(("$", "@")):
            return text
        if (found := IMPORT.match(text)) is not None:
            return _import_today(*found.groups())
        text = PATH.sub(lambda match: path_today(match[0]), text)
        for section, names in self.sections.items():
            for old, new in names.items():
                text = re.sub(rf"(@{re.escape(section)}(?:\.|#|::)){old}\b", rf"\g<1>{new}", text)
        return text


def _import_today(module: str, name: str, alias: str | None) -> str:
    today, _, new = path_today(f"{module}.{name}").rpartition(".")
    known = alias or name
    return f"$from {today} import {new}" + (f" as {known}" if known != new else "")


def _imports_of_divided(item: Any) -> list[str]:
    """Imports of all modules into which one that is imported whole has been divided; none where it was not."""
    found = WHOLE_IMPORT.match(item) if isinstance(item, str) else None
    successors = MOVED.get(found[1], "").split() if found else []
    return [f"$import {PACKAGE}.{one}" for one in successors] if len(successors) > 1 else []


def _inner(place: str, key: str | int) -> str:
    return f"{place}#{key}" if place else str(key)


def _sections(config: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All mappings in a configuration with their ids."""
    if isinstance(config, dict):
        yield place, config
        for key, inner in config.items():
            yield from _sections(inner, _inner(place, key))
    elif isinstance(config, list):
        for number, inner in enumerate(config):
            yield from _sections(inner, _inner(place, number))


def _write(path: Path, config: dict[str, Any]) -> None:
    """Write a configuration in place of another, laid out as that was."""
    try:
        text = read_foreign_text(path)
    except OSError as error:
        raise SemganError("cannot be read", remedy="check the permissions", path=path) from error
    indent = re.search(r"\n( +)\S", text)
    content = json.dumps(config, indent=len(indent[1]) if indent else None, ensure_ascii=text.isascii())
    with written_aside(path) as aside:
        aside.write_text(content + ("\n" if text.endswith("\n") else ""), encoding="utf-8")
