"""Which files of a folder belong to the bundle; data, results and runs that lie there do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CONTENT = (
    "LICENSE", "large_files.yml", "configs/*", "docs/*", "scripts/*.py", "models/model.pt", "models/added.pt",
    "models/*.json",
)  # fmt: skip


def bundle_files(folder: Path) -> Iterator[Path]:
    """The files of a bundle, in a fixed order."""
    for pattern in CONTENT:
        yield from sorted(p for p in folder.glob(pattern) if p.is_file() and not p.name.startswith("."))
