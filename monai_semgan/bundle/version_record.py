"""What is known of one version of a model: `version.json` beside its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from monai_semgan.errors import SemganError, read_error
from monai_semgan.utils.json_text import json_text
from monai_semgan.utils.settings import checked, make_settings

VERSION_FILE = "version.json"
SCHEMA = 1
"""Version of the file's form."""

Kind = Literal["structure", "tune", "shipped"]
"""A new structure beside the old ones; weights that were trained on; the model as it came."""


@checked
@dataclass(frozen=True)
class VersionRecord:
    """What whoever makes a version tells of it.

    Args:
        parent: number of the version that it was made from; 0 is the model as shipped.
        kind: `structure` or `tune`.
        structures: names of those that were learnt.
        images: names of the scans that were learnt from.
        held_out: names of the labelled scans that were kept to measure on.
        figures: mean 3D Dice on the held-out scans by structure name, old ones among them; empty where none were held
            out.
        note: one sentence for people, such as what the figures stand on.
    """

    parent: int = 0
    kind: Kind = "structure"
    structures: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("structures", "images", "held_out"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model that can be used, or of which only a line is left that says why it cannot.

    Attributes:
        number: 0 is the model as shipped.
        folder: of its bundle.
        parent: number of the version that it was made from; None for the one as shipped.
        kind: `structure`, `tune` or `shipped`.
        structures: names of those that were learnt.
        images: names of the scans that were learnt from.
        held_out: names of the scans that the figures stand on.
        figures: mean 3D Dice on these by structure name.
        created: when, ISO 8601 in UTC; empty for the one as shipped.
        sha256: of the weights, as results name them.
        note: one sentence for people.
        problem: why it cannot be used; empty where it can.
    """

    number: int
    folder: Path
    parent: int | None = None
    kind: Kind = "shipped"
    structures: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    created: str = ""
    sha256: str = ""
    note: str = ""
    problem: str = ""

    def refuse_damaged(self) -> None:
        """Make sure that it can be used.

        Raises:
            SemganError: naming what is wrong.
        """
        if self.problem:
            remedy = "use another version (`semgan learn --list` shows them, 0 is the model as shipped)"
            raise SemganError(f"version {self.number} is damaged: {self.problem}", remedy=remedy, path=self.folder)


@dataclass(frozen=True)
class VersionFile:
    """The content of `version.json`.

    Attributes:
        record: what the maker tells.
        created: when, ISO 8601 in UTC.
        sha256: of the weights.
        files: size in bytes by path below the version's folder; others have no business there.
    """

    record: VersionRecord
    created: str
    sha256: str
    files: Mapping[str, int]

    @property
    def text(self) -> str:
        """What the file holds."""
        record = {name: getattr(self.record, name) for name in VersionRecord.__dataclass_fields__}
        own = {"created": self.created, "sha256": self.sha256, "files": dict(self.files)}
        return json_text({"schema": SCHEMA, **record, **own}, indent=2) + "\n"

    @staticmethod
    def read(folder: Path) -> VersionFile:
        """Read the file of a version.

        Raises:
            SemganError: it is missing, broken, or of a newer version of this package.
        """
        path = folder / VERSION_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] > SCHEMA:
                raise SemganError(f"{VERSION_FILE} is of a newer monai_semgan", remedy="update it", path=path)
            own = {name: content.pop(name) for name in ("created", "sha256", "files")}
            files = {str(name): int(size) for name, size in own["files"].items()}
            values = {name: value for name, value in content.items() if name != "schema"}
            values["figures"] = {name: value for name, value in values.get("figures", {}).items() if value is not None}
            return VersionFile(make_settings(VersionRecord, values), str(own["created"]), str(own["sha256"]), files)
        except FileNotFoundError:
            raise SemganError(f"{VERSION_FILE} is missing", path=path) from None
        except OSError as error:
            raise read_error(error, path) from error
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise SemganError(f"{VERSION_FILE} is broken", path=path) from error

    def version(self, number: int, folder: Path, problem: str = "") -> ModelVersion:
        """Join number, place and content."""
        record: dict[str, Any] = {name: getattr(self.record, name) for name in VersionRecord.__dataclass_fields__}
        return ModelVersion(number, folder, **record, created=self.created, sha256=self.sha256, problem=problem)
