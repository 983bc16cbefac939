"""Hashes of a bundle: of its weights, which results name, and of all that its results depend on."""

from __future__ import annotations

from pathlib import Path

from monai_semgan.bundle.labels import ADDED, CONFIG, METADATA, WEIGHTS
from monai_semgan.utils.file_state import content_digest, fingerprint


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights file, or an empty string without one; over both files where structures were added."""
    path, added = folder / WEIGHTS, folder / ADDED
    if not path.is_file():
        return ""
    digest = content_digest(path)
    return fingerprint([digest, content_digest(added)]) if added.is_file() else digest


def model_digest(folder: Path) -> str:
    """SHA-256 over weights, configuration and metadata: results of another one are made again."""
    paths = (folder / CONFIG, folder / METADATA)
    return fingerprint([weights_digest(folder), *(content_digest(path) if path.is_file() else "" for path in paths)])
