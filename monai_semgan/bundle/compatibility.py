"""Whether this version can use a bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semgan._version import __version__
from monai_semgan.errors import SemganError

PACKAGE = "monai_semgan"


def refuse_newer(metadata: Mapping[str, Any], path: Path) -> None:
    """Make sure that a bundle was not made for a later version.

    Args:
        metadata: of the bundle; one that does not tell what it needs is accepted.
        path: of the metadata, for the error.

    Raises:
        SemganError: with both versions.
    """
    needed = required_version(metadata)
    if _numbers(needed) > _numbers(__version__):
        problem = f"the bundle needs {PACKAGE} {needed}, this is {__version__}"
        raise SemganError(problem, remedy=f"install {PACKAGE} {needed} or later, or take an older bundle", path=path)


def required_version(metadata: Mapping[str, Any]) -> str:
    """Version of this package that a bundle was made for; empty if it does not tell."""
    packages = metadata.get("required_packages_version")
    return str(packages.get(PACKAGE, "")) if isinstance(packages, Mapping) else ""


def _numbers(version: str) -> tuple[int, ...]:
    """Major, minor and patch of a version, to compare."""
    found = [int(number) for number in re.findall(r"\d+", version)[:3]]
    return (*found, *[0] * (3 - len(found)))
