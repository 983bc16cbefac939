"""Figures of a result: volumes of its organs as they are now, and values by slice."""

from __future__ import annotations

import csv
import io
from typing import Any

from ..Types.ModelTypes import Model
from ..Types.ResultTypes import Result
from ..Views import OrganVolume, SliceValue
from .Geometry import ijk_to_world
from .Records import Record
from .SegmentationExport import LabelSnapshot, entries, snapshot
from .SegmentationImport import Mark

MM3_PER_ML = 1000.0


def organ_volumes(record: Record, mark: Mark | None) -> list[OrganVolume]:
    """Measure the volume of every segment.

    Args:
        mark: how the segmentation was when it was as it came, if known: while it is untouched nothing is counted.
    """
    node, volume, result = record.segmentation, record.volume, record.result
    if node is None or volume is None or result is None:
        return []
    server: dict[int | None, float | None] = {label.id: result.volumes_ml.get(label.name) for label in result.labels}
    if mark is not None and mark.untouched(node):
        counts, described = record.counts, entries(node)
    else:
        pieces = snapshot(node, volume)
        counts, described = _counted(pieces), pieces.entries
    voxel_ml = _voxel_mm3(volume) / MM3_PER_ML
    return [
        OrganVolume(entry.name, entry.colour, counts.get(entry.value, 0) * voxel_ml, server.get(entry.came_as))
        for entry in described
    ]


def _counted(pieces: LabelSnapshot) -> dict[int, int]:
    """Count the voxels of each segment, overlaps for each."""
    import numpy as np

    return {
        entry.value: int(np.count_nonzero(piece.array == piece.label))
        for entry, piece in zip(pieces.entries, pieces.pieces)
    }


def _voxel_mm3(volume: Any) -> float:
    import numpy as np

    return float(abs(np.linalg.det(ijk_to_world(volume)[:3, :3])))


def csv_text(volumes: list[OrganVolume]) -> str:
    """Write volumes as CSV with a header, for the clipboard."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["organ", "volume_ml", "model_volume_ml"])
    for organ in volumes:
        server = "" if organ.server_ml is None else f"{organ.server_ml:.2f}"
        writer.writerow([organ.name, f"{organ.measured_ml:.2f}", server])
    return text.getvalue()


def slice_values(result: Result, model: Model | None) -> list[SliceValue]:
    """List the points of the plot over slices, in order of position.

    Args:
        model: whose slice axis counts; the patient's axis upwards if unknown.
    """
    import numpy as np

    axis = np.asarray(model.slice_axis if model else (0.0, 0.0, 1.0), dtype=float)
    axis /= np.linalg.norm(axis)
    points = []
    for index, centre in enumerate(result.slice_centres):
        x, y, z = centre
        points.append(
            SliceValue(
                (float(x), float(y), float(z)),
                float(np.dot(axis, centre)),
                _nth(result.residual_per_slice, index),
                _nth(result.doubt_per_slice, index),
            )
        )
    return sorted(points, key=lambda point: point.position)


def _nth(values: tuple[float | None, ...] | None, index: int) -> float | None:
    return values[index] if values is not None and index < len(values) else None
