"""Opens images of the server's datastore, and the labels that they have."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import Any, Callable

from ..Protocols.ClientProtocol import Client
from ..Scene.Geometry import as_matrix, ijk_to_ras, right_handed
from ..Scene.MapImport import image_data
from ..Scene.VolumeExport import voxels
from ..Server.Nrrd import Grid, NrrdError, decode
from ..Translation import tr as _
from .StoredImages import belongs_to

Loaded = Callable[[Any], Any]
"""Called in the main thread with the scene; gives the volume node."""


class CannotOpen(ValueError):
    """An image or label that this program does not read."""


def fetch_image(client: Client, image: str) -> Loaded:
    """Get an image and do what takes long of reading it; not for the main thread.

    Returns:
        What is left for the main thread.
    """
    data, suffix = client.image(image)
    return _loading(data, suffix, image, client.address)


def _loading(data: bytes, suffix: str, image: str, address: str) -> Loaded:
    if suffix == ".nrrd":
        try:
            grid = decode(data)
        except NrrdError:  # a kind that Slicer's own reader may know
            return lambda scene: _read_image(scene, image, address, data, suffix)
        return lambda scene: _add_image(scene, image, address, grid)
    data, suffix = unpacked(data, suffix, image)
    return lambda scene: _read_image(scene, image, address, data, suffix)


def unpacked(data: bytes, suffix: str, name: str) -> tuple[bytes, str]:
    """Unpack what is compressed as a whole: Slicer reads it at once then.

    Raises:
        CannotOpen: if it is damaged.
    """
    if suffix != ".nii.gz":
        return data, suffix
    try:
        return gzip.decompress(data), ".nii"
    except (OSError, EOFError):
        raise CannotOpen(_("The image “{image}” is damaged.").format(image=name)) from None


def _add_image(scene: Any, image: str, address: str, grid: Grid) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", image)
    array, affine = right_handed(grid.array, grid.affine)
    node.SetAndObserveImageData(image_data(array.copy()))
    node.SetIJKToRASMatrix(as_matrix(affine))
    return _named(node, image, address)


def _read_image(scene: Any, image: str, address: str, data: bytes, suffix: str) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", image)
    if not _read(node, data, suffix):
        scene.RemoveNode(node)
        raise CannotOpen(_("Slicer cannot read the image “{image}”.").format(image=image))
    return _named(node, image, address)


def _named(node: Any, image: str, address: str) -> Any:
    belongs_to(node, image, address)
    node.CreateDefaultDisplayNodes()
    return node


def unpacked_label(data: bytes, suffix: str, name: str) -> tuple[bytes | Grid, str]:
    """Do what takes long of reading a label; not for the main thread."""
    if suffix == ".nrrd":
        try:
            return decode(data), suffix
        except NrrdError:  # a kind that Slicer's own reader may know
            return data, suffix
    return unpacked(data, suffix, name)


def read_label(data: bytes | Grid, suffix: str, name: str) -> Grid:
    """Read the file of a label; in the main thread, where Slicer's readers belong.

    Raises:
        CannotOpen: if it cannot be read.
    """
    import slicer

    if isinstance(data, Grid):
        return data
    node = slicer.vtkMRMLLabelMapVolumeNode()
    if not _read(node, data, suffix) or node.GetImageData() is None:
        raise CannotOpen(_("Slicer cannot read the label of “{image}”.").format(image=name))
    return Grid(voxels(node).copy(), ijk_to_ras(node))


def _read(node: Any, data: bytes, suffix: str) -> bool:
    """Read a volume by Slicer's own reader."""
    import slicer

    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    with tempfile.TemporaryDirectory(prefix="semgan") as folder:
        path = Path(folder) / f"image{suffix}"
        path.write_bytes(data)
        storage.SetFileName(str(path))
        return bool(storage.ReadData(node))
