"""JSON files that are whole or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.utils.files import written_aside


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file.

    Raises:
        SemganError: if it cannot be read.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SemganError(f"cannot be read ({error})", remedy="choose another --out or repair it", path=path) from error
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
