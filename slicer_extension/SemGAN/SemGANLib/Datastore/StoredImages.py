"""Which image of which datastore a volume node is, and which labels of it its reader knows; kept in the scene."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..Scene.Geometry import ijk_to_ras
from ..Scene.VolumeExport import shape_of

if TYPE_CHECKING:
    import numpy

IMAGE_ATTRIBUTE = "SemGAN.Image"
"""Attribute of a volume node: the id under which the datastore has it."""

SERVER_ATTRIBUTE = "SemGAN.ImageServer"
"""Attribute of a volume node: address of the server whose datastore that is."""

GRID_ATTRIBUTE = "SemGAN.ImageGrid"
"""Attribute of a volume node: shape and matrix of the image as it is stored, whatever is done to the node since."""

LABELS_ATTRIBUTE = "SemGAN.ImageLabels"
"""Attribute of a volume node: labels of the image that its reader has seen or submitted, by tag."""


@dataclass(frozen=True)
class KnownLabel:
    """A label of an image that the reader has seen, or has submitted.

    Attributes:
        edited: it differs from what the model found.
        shown: it was opened, not submitted from here.
    """

    tag: str
    etag: str
    annotator: str = ""
    edited: bool | None = None
    shown: bool = False


def random_id() -> str:
    """Make an id for an image that is put there; it tells nothing about the patient."""
    return f"slicer-{secrets.token_hex(8)}"


def image_id(volume: Any) -> str:
    """Look up the id of a volume in the datastore; empty if it is not there.

    What was made of an image by cropping or resampling has its attributes, and is another image: a label of it would
    say that there is nothing outside of it.
    """
    grid = _json(volume, GRID_ATTRIBUTE)
    other = isinstance(grid, dict) and tuple(grid.get("shape") or ()) not in ((), shape_of(volume))
    return "" if other else volume.GetAttribute(IMAGE_ATTRIBUTE) or ""


def server_of(volume: Any) -> str:
    """Look up the address of the server that has a volume; empty if that is not known."""
    return volume.GetAttribute(SERVER_ATTRIBUTE) or ""


def belongs_to(volume: Any, image: str, address: str) -> None:
    """Note that the datastore of a server has a volume as it is now."""
    grid = {"shape": shape_of(volume), "affine": ijk_to_ras(volume).tolist()}
    if image_id(volume) != image:
        volume.RemoveAttribute(LABELS_ATTRIBUTE)  # of the image that it was made of
    volume.SetAttribute(IMAGE_ATTRIBUTE, image)
    volume.SetAttribute(SERVER_ATTRIBUTE, address)
    volume.SetAttribute(GRID_ATTRIBUTE, json.dumps(grid))


def stored_affine(volume: Any) -> numpy.ndarray:
    """Find the (4, 4) matrix that an image has in the datastore: a transform hardened here does not move it there."""
    import numpy as np

    grid = _json(volume, GRID_ATTRIBUTE)
    try:
        shape, affine = tuple(grid["shape"]), np.array(grid["affine"], dtype=float)
    except (ValueError, TypeError, KeyError):  # of an older version, or somebody has broken it
        return ijk_to_ras(volume)
    return affine if shape == shape_of(volume) and affine.shape == (4, 4) else ijk_to_ras(volume)


def known_labels(volume: Any) -> dict[str, KnownLabel]:
    """Look up the labels of a volume's image that its reader has seen or submitted, by tag."""
    if not image_id(volume):
        return {}
    try:
        return {str(entry["tag"]): KnownLabel(**entry) for entry in _json(volume, LABELS_ATTRIBUTE) or ()}
    except (TypeError, KeyError):
        return {}


def know_label(volume: Any, label: KnownLabel) -> None:
    """Note that the reader has seen or submitted a label, in place of an earlier one with its tag."""
    known = {**known_labels(volume), label.tag: label}
    volume.SetAttribute(LABELS_ATTRIBUTE, json.dumps([asdict(entry) for entry in known.values()]))


def _json(volume: Any, attribute: str) -> Any:
    try:
        return json.loads(volume.GetAttribute(attribute) or "null")
    except ValueError:
        return None
