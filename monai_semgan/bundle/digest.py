"""Hashes of a bundle: of its weights, which results name, and of all that its results depend on."""

from __future__ import annotations

from pathlib import Path

from monai_semgan.bundle.labels import CONFIG, METADATA, WEIGHTS
from monai_semgan.utils.file_state import content_digest, fingerprint


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights file, or an empty string without one."""
    path = folder / WEIGHTS
    return content_digest(path) if path.is_file() else ""


def model_digest(folder: Path) -> str:
    """SHA-256 over weights, configuration and metadata: results of another one are made again."""
    paths = (folder / WEIGHTS, folder / CONFIG, folder / METADATA)
    return fingerprint([content_digest(path) if path.is_file() else "" for path in paths])
