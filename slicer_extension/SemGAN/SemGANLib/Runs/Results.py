"""Results of a job: fetched and checked off the main thread, put into the scene in it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Transfer
from ..Scene import Geometry, MapImport, SegmentationImport
from ..Scene.MapImport import MapData
from ..Scene.Records import Record, record_for
from ..Scene.SegmentationExport import fingerprint
from ..Server.Errors import ServerError
from ..Server.Nrrd import NrrdError, decode
from ..Translation import tr as _
from ..Types.ResultTypes import MAPS, Result

if TYPE_CHECKING:
    import numpy


class UnusableResult(ServerError):
    """A result that does not belong to the scan, or is damaged; the scene stays as it was."""


class OtherGrid(UnusableResult):
    """A result that lies on other points than the scan."""


@dataclass(frozen=True)
class Fetched:
    """A result, ready for the scene.

    Attributes:
        label: (K, J, I) in the order of the scan's voxels, unsigned bytes; only numbers that the result names.
        fingerprint: hash of `label`.
        counts: voxels by number of the label.
    """

    result: Result
    label: numpy.ndarray
    fingerprint: str
    counts: dict[int, int]


@dataclass
class Target:
    """Where the results of a run go.

    Attributes:
        node: the segmentation node; None until the first result.
        mark: how the last import left it.
    """

    node: Any = None
    mark: SegmentationImport.Mark | None = None


def fetch(
    client: Client, job: str, affine: numpy.ndarray, shape: tuple[int, int, int], transfer: Transfer | None = None
) -> Fetched:
    """Get the label map that a job has found, and what is said of it. Not for the main thread.

    Args:
        affine: (4, 4) of what was sent.
        shape: (I, J, K) of what was sent.
        transfer: counts the bytes, and may stop it.

    Raises:
        ServerError: if it cannot be had.
        UnusableResult: if it lies on another grid than the scan, or is damaged.
    """
    import numpy as np

    result, label = fetch_label(client, job, affine, shape, transfer)
    counts = np.bincount(label.reshape(-1), minlength=256)
    found = {entry.id: int(counts[entry.id]) for entry in result.labels}
    return Fetched(result, label, fingerprint(label, affine), found)


def fetch_label(
    client: Client, job: str, affine: numpy.ndarray, shape: tuple[int, int, int], transfer: Transfer | None = None
) -> tuple[Result, numpy.ndarray]:
    """Get what is said of a result and its label map alone, as `fetch` does.

    Returns:
        The result, and (K, J, I) in the order of the scan's voxels.

    Raises:
        ServerError: as `fetch`.
    """
    import numpy as np

    result = client.result(job)
    _place(affine, shape, np.asarray(result.affine, dtype=float), result.shape)
    return result, _known_labels(_volume(client, job, "label", affine, shape, transfer), result)


def fetch_maps(
    client: Client,
    job: str,
    parts: Sequence[str],
    affine: numpy.ndarray,
    shape: tuple[int, int, int],
    transfer: Transfer | None = None,
) -> dict[str, MapData]:
    """Get reconstruction, residual and uncertainty, those among the parts. Takes seconds; not for the main thread.

    Args:
        affine: (4, 4) of what was sent.
        shape: (I, J, K) of what was sent.
        transfer: counts the bytes of each, and may stop it.

    Raises:
        ServerError: as `fetch`.
    """
    wanted = [part for part in MAPS if part in parts]
    return {part: MapImport.prepare(part, _volume(client, job, part, affine, shape, transfer)) for part in wanted}


def _volume(
    client: Client,
    job: str,
    part: str,
    affine: numpy.ndarray,
    shape: tuple[int, int, int],
    transfer: Transfer | None,
) -> numpy.ndarray:
    """Get a part of a result in the order of the scan's voxels, whatever the order that the server has them in."""
    import numpy as np

    try:
        grid = decode(client.part(job, part, transfer))
    except NrrdError as error:
        raise UnusableResult(
            _("The {part} from the server cannot be read: {reason}. Run it again.").format(part=part, reason=error)
        ) from None
    return np.ascontiguousarray(_place(affine, shape, grid.affine, grid.array.shape[::-1]).reordered(grid.array))


def _place(
    affine: numpy.ndarray, shape: tuple[int, int, int], found: numpy.ndarray, found_shape: tuple[int, ...]
) -> Geometry.Placement:
    """Find the voxels of a result on the grid of the scan. Slicer turns the slices of some scans round on loading."""
    place = Geometry.same_points(affine, shape, found, found_shape)
    if place is None:
        raise OtherGrid(
            _(
                "The result lies on another grid than the volume that was sent; it was not loaded. Run it again; if it"
                " stays so, update the server."
            )
        )
    return place


def _known_labels(array: numpy.ndarray, result: Result) -> numpy.ndarray:
    """Convert a label map to unsigned bytes, without numbers that the result does not name."""
    import numpy as np

    table = np.zeros(256, dtype=np.uint8)
    for entry in result.labels:
        table[entry.id] = entry.id
    if array.dtype != np.uint8:
        array = np.where((array > 0) & (array < 256), array, 0).astype(np.uint8)
    return table[array]


def put(fetched: Fetched, volume: Any, target: Target, name: str) -> Record:
    """Put a label map into the scene; in the main thread.

    A target that the user has edited since the last import is left alone: the result goes to a new node. Earlier
    results of the volume are hidden, never changed.

    Args:
        target: is changed to where the result went.
        name: of a new segmentation node; model and time are added to that of a job's result.
    """
    record = record_for(volume)
    earlier = record.segmentation
    if target.mark is not None and _usable(target, volume) and _same_labels(target, fetched.result):
        target.mark = SegmentationImport.refresh(target.node, volume, fetched.label, target.mark)
    else:
        if target.mark is not None or target.node is None or not _in_scene(target.node, volume):
            target.node = SegmentationImport.new_segmentation(volume, _title(name, fetched.result))
        target.mark = SegmentationImport.fill(target.node, volume, fetched.label, fetched.result.labels)
    if earlier is not None and earlier is not target.node and earlier.GetDisplayNode() is not None:
        earlier.GetDisplayNode().SetVisibility(False)
    record.segmentation = target.node
    record.write(fetched.result, fetched.fingerprint, fetched.counts)
    return record


def _title(name: str, result: Result) -> str:
    """Name a result so that it is told from others: `"CT abdomen: preview, semgan_abdomen 0.2, 14:32"`."""
    if not result.job:
        return name
    return f"{name}, {result.model.name} {result.model.version}, {time.strftime('%H:%M')}"


def put_maps(maps: Mapping[str, MapData], record: Record) -> None:
    """Put the maps of a volume's newest result into the scene; in the main thread.

    They take the place of those of its earlier results.
    """
    former = record.map_nodes()
    for part in MAPS:
        if part in maps:
            record.set_map(part, MapImport.put(part, maps[part], record.volume, former.get(part)))
        else:
            record.set_map(part, None)
    record.mark_maps()


def _usable(target: Target, volume: Any) -> bool:
    return _in_scene(target.node, volume) and target.mark is not None and target.mark.untouched(target.node)


def _in_scene(node: Any, volume: Any) -> bool:
    return node.GetScene() is not None and node.GetScene() is volume.GetScene()


def _same_labels(target: Target, result: Result) -> bool:
    return target.mark is not None and target.mark.segments == tuple(label.name for label in result.labels)
