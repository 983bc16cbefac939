"""Hash of the weights of a bundle."""

from __future__ import annotations

import hashlib
from pathlib import Path

from monai_semgan.bundle.labels import WEIGHTS


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights file, or an empty string without one."""
    path = folder / WEIGHTS
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
