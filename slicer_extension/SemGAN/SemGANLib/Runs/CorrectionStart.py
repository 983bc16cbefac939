"""The label before the first correction: what the model found, also where the user has painted already."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..Protocols.ClientProtocol import Client
from ..Scene.Geometry import ijk_to_world
from ..Scene.Records import Record
from ..Scene.SegmentationExport import LabelSnapshot, fingerprint, snapshot
from ..Scene.VolumeExport import shape_of
from ..Server.Errors import ServerError
from ..Types.ResultTypes import Result
from .CorrectionJob import translated
from .Results import fetch_label

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True, eq=False)
class Start:
    """A result as it is when corrections begin.

    Attributes:
        pieces: the segments now.
        came: hash of the label map as it came.
        job: that made it; empty for a label of the datastore.
        values: numbers of the model's structures, by name.
        affine: (4, 4) of the scan.
        shape: (I, J, K) of the scan.
    """

    pieces: LabelSnapshot
    came: str
    job: str
    values: Mapping[str, int]
    affine: numpy.ndarray
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, record: Record, result: Result) -> Start:
        """Take a snapshot; in the main thread."""
        values = {label.name: label.id for label in result.labels}
        pieces = snapshot(record.segmentation, record.volume, values)
        affine, shape = ijk_to_world(record.volume), shape_of(record.volume)
        return cls(pieces, record.fingerprint, result.job, values, affine, shape)


def first_label(start: Start, client: Client | None) -> tuple[numpy.ndarray, str]:
    """Find the label as the model made it; not for the main thread.

    Returns:
        (K, J, I) label map, and the job whose result it is. Where the segments were painted on and no server has the
        result any more, it is what they are now, and of no job: the text is empty.
    """
    merged = start.pieces.merged()
    ours = _only(merged, start.values.values())
    if fingerprint(merged, start.affine) == start.came:
        return ours, start.job
    if client is not None and start.job:
        with suppress(ServerError):
            result, found = fetch_label(client, start.job, start.affine, start.shape)
            theirs = {entry.name: entry.id for entry in result.labels}
            return translated(found, theirs, start.values), start.job
    return ours, ""


def _only(label: numpy.ndarray, values: Collection[int]) -> numpy.ndarray:
    """Leave out of a label map what is of the user's own."""
    import numpy as np

    table = np.zeros(256, dtype=np.uint8)
    for value in values:
        table[value] = value
    return table[label]
