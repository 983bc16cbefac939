"""Images and labels of the server's datastore: open, submit, next sample."""

from __future__ import annotations

import gzip
import json
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from ..Protocols import Client
from ..Scene import SegmentationExport, VolumeExport
from ..Scene.Geometry import as_matrix, ijk_to_ras, ijk_to_world, right_handed
from ..Scene.MapImport import image_data
from ..Scene.Records import Record
from ..Scene.SegmentationExport import LabelSnapshot
from ..Server.Nrrd import Grid, NrrdError, decode, encode
from ..Translation import tr as _
from ..Types import Result

if TYPE_CHECKING:
    import numpy

IMAGE_ATTRIBUTE = "SemGAN.Image"
"""Attribute of a volume node: the id under which the datastore has it."""

GRID_ATTRIBUTE = "SemGAN.ImageGrid"
"""Attribute of a volume node: shape and matrix of the image as it is stored, whatever is done to the node since."""

Loaded = Callable[[Any], Any]
"""Called in the main thread with the scene; gives the volume node."""


class CannotOpen(ValueError):
    """An image that this program does not read."""


def image_id(volume: Any) -> str:
    """Look up the id of a volume in the datastore; empty if it is not there."""
    return volume.GetAttribute(IMAGE_ATTRIBUTE) or ""


def belongs_to(volume: Any, image: str) -> None:
    """Note that the datastore has a volume as it is now."""
    grid = {"shape": VolumeExport.shape_of(volume), "affine": ijk_to_ras(volume).tolist()}
    volume.SetAttribute(IMAGE_ATTRIBUTE, image)
    volume.SetAttribute(GRID_ATTRIBUTE, json.dumps(grid))


def stored_affine(volume: Any) -> numpy.ndarray:
    """Find the (4, 4) matrix that an image has in the datastore: a transform hardened here does not move it there."""
    import numpy as np

    try:
        grid = json.loads(volume.GetAttribute(GRID_ATTRIBUTE) or "null")
        shape, affine = tuple(grid["shape"]), np.array(grid["affine"], dtype=float)
    except (ValueError, TypeError, KeyError):  # of an older version, or somebody has broken it
        return ijk_to_ras(volume)
    return affine if shape == VolumeExport.shape_of(volume) and affine.shape == (4, 4) else ijk_to_ras(volume)


def random_id() -> str:
    """Make an id for an image that is put there; it tells nothing about the patient."""
    return f"slicer-{secrets.token_hex(8)}"


# opening


def fetch_image(client: Client, image: str) -> Loaded:
    """Get an image and do what takes long of reading it; not for the main thread.

    Returns:
        What is left for the main thread.
    """
    data, suffix = client.image(image)
    if suffix == ".nrrd":
        try:
            grid = decode(data)
        except NrrdError:  # a kind that Slicer's own reader may know
            return lambda scene: _read(scene, image, data, suffix)
        return lambda scene: _add(scene, image, grid)
    if suffix == ".nii.gz":
        try:
            data, suffix = gzip.decompress(data), ".nii"  # Slicer reads it at once then
        except (OSError, EOFError):
            raise CannotOpen(_("The image “{image}” is damaged.").format(image=image)) from None
    return lambda scene: _read(scene, image, data, suffix)


def _add(scene: Any, image: str, grid: Grid) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", image)
    array, affine = right_handed(grid.array, grid.affine)
    node.SetAndObserveImageData(image_data(array.copy()))
    node.SetIJKToRASMatrix(as_matrix(affine))
    return _named(node, image)


def _read(scene: Any, image: str, data: bytes, suffix: str) -> Any:
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", image)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    with tempfile.TemporaryDirectory(prefix="semgan") as folder:
        path = Path(folder) / f"image{suffix}"
        path.write_bytes(data)
        storage.SetFileName(str(path))
        if not storage.ReadData(node):
            scene.RemoveNode(node)
            raise CannotOpen(_("Slicer cannot read the image “{image}”.").format(image=image))
    return _named(node, image)


def _named(node: Any, image: str) -> Any:
    belongs_to(node, image)
    node.CreateDefaultDisplayNodes()
    return node


# submitting


class Submission:
    """A label on its way to the datastore: what must be taken from the scene at once, and the sending.

    Args:
        record: of the volume.
        user: who takes responsibility for the label.
        tag: `"final"` for what may be trained with.
    """

    def __init__(self, record: Record, result: Result, user: str, tag: str) -> None:
        volume = record.volume
        self.image = image_id(volume) or random_id()
        self.label: LabelSnapshot = SegmentationExport.snapshot(record.segmentation, volume)
        self._affine = stored_affine(volume)
        self._world = ijk_to_world(volume)
        self._scan = None if image_id(volume) else Grid(VolumeExport.voxels(volume).copy(), self._affine)
        self._result = result
        self._fingerprint = record.fingerprint
        self._user = user
        self._tag = tag

    def send(self, client: Client) -> str:
        """Send the label, and before it the scan if the server has it not; not for the main thread.

        Returns:
            Id of the image.
        """
        merged = self.label.merged()
        edited = SegmentationExport.fingerprint(merged, self._world) != self._fingerprint
        image = self.image
        if self._scan is not None:
            image = client.add_image(image, VolumeExport.file_of(self._scan, compressed=True))
        data = encode(Grid(merged, self._affine))
        client.save_label(image, data, self._tag, self.params(edited))
        return image

    def params(self, edited: bool) -> dict[str, Any]:
        """Describe the label: what is kept beside it."""
        model = self._result.model
        return {
            "annotator": self._user,  # not `user`: MONAI Label puts the account there
            "model": model.name,
            "model_version": model.version,
            "model_sha256": model.sha256,
            "mode": self._result.mode,
            "edited": edited,
            "label_info": [
                {"name": entry.name, "idx": entry.value, "color": list(entry.colour)} for entry in self.label.entries
            ],
            "client": "3D Slicer SemGAN",
            "research_only": self._result.research_only,
        }
