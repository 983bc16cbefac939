"""Which files of a folder belong to the bundle; data, results and runs that lie there do not."""

from __future__ import annotations

import shutil
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


def copy_bundle(old: Path, made: Path) -> None:
    """Copy a bundle's own files; scans and results that lie in its folder are none of them.

    Args:
        old: bundle.
        made: folder of the copy, which takes the place of what is there.

    Raises:
        OSError: it cannot be written.
    """
    shutil.rmtree(made, ignore_errors=True)
    for path in bundle_files(old):
        target = made / path.relative_to(old)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
