"""One look at a scan of a data list and at its label: what a plan needs to know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from nibabel.orientations import aff2axcodes

from monai_semgan.data.cache import entry_item
from monai_semgan.data.datalist import Entry
from monai_semgan.data.entries import read_entry_label
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.modalities import PHOTOGRAPH, header_modality, value_sample
from monai_semgan.slicing.body import find_body
from monai_semgan.slicing.grey_values import look_at_values
from monai_semgan.slicing.orientation import closest_axes, obliqueness
from monai_semgan.slicing.padding import find_padding
from monai_semgan.slicing.planning import body_in_view
from monai_semgan.utils.file_state import State, file_state

WIDEST_MM = 450.0
"""Bodies that are wider are those with arms: slices are centred on the trunk then."""

BINS = 64
"""Of the histogram of grey values."""

LIMITS = (0.1, 99.9)
"""Percentiles of the body between which the histogram lies: a clip or an implant would squeeze all else together."""

MOST_SAMPLES = 200_000
"""Grey values of a structure that are looked at."""


@dataclass(frozen=True)
class LabelLook:
    """What a label file tells of one id.

    Args:
        voxels: of the image's grid.
        ml: volume; pixels in single images.
        slices: along each voxel axis, in how many planes across it the structure is seen.
        middle_mm: mean RAS coordinates, for a check of the sides.
        grey: 0.5, 1, 50, 99 and 99.5th percentile of the grey values in it.
    """

    voxels: int
    ml: float
    slices: tuple[int, int, int]
    middle_mm: tuple[float, float, float]
    grey: tuple[float, float, float, float, float]


@dataclass(frozen=True)
class ScanLook:
    """What a scan of a data list is like.

    Args:
        name: of the scan in its list.
        patient: who it shows.
        section: of the list.
        modality: as the list or the file tells, or guessed.
        guessed: neither list nor file told the modality.
        shape: voxels along each axis.
        spacing_mm: along each axis.
        spacing_known: whether the file tells how large a voxel is.
        orientation: where each axis runs to, such as `LAS`.
        affine: voxel to RAS mm.
        oblique_degrees: largest angle between an axis and the closest axis of the patient.
        slice_axis: voxel axis that is closest to the patient's height.
        body_mm: extent of the body along each voxel axis, without arms where these make it very wide.
        histogram: counts of grey values of the body in `BINS` equal steps.
        histogram_range: lowest and highest value of these steps.
        value_range: lowest and highest grey value of all.
        constant_share: share of all voxels that have the most frequent value.
        digest: of the voxels; equal ones are the same image.
        colour: whether it is a picture in colours.
        labelled: whether the list gives a label.
        labels: what the label file tells, by id.
        doubts: sentences about this scan alone.
        files: state of its files.
    """

    name: str
    patient: str
    section: str
    modality: str
    guessed: bool
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    spacing_known: bool
    orientation: str
    affine: tuple[tuple[float, ...], ...]
    oblique_degrees: float
    slice_axis: int
    body_mm: tuple[float, float, float]
    histogram: tuple[int, ...]
    histogram_range: tuple[float, float]
    value_range: tuple[float, float]
    constant_share: float
    digest: str
    colour: bool = False
    labelled: bool = False
    labels: Mapping[int, LabelLook] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    files: tuple[State, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The facts in JSON's types."""
        content = asdict(self)
        content["labels"] = {str(index): asdict(look) for index, look in self.labels.items()}
        return content

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> ScanLook:
        """Take back what `to_dict` gave, after a way through JSON.

        Raises:
            TypeError: fields are missing, or there are others.
        """
        values = {name: _tuples(value) for name, value in content.items() if name != "labels"}
        labels = {int(index): LabelLook(**_tuple_values(look)) for index, look in content["labels"].items()}
        return ScanLook(**{**values, "files": tuple(content["files"])}, labels=labels)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _tuple_values(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tuples(value) for name, value in content.items()}


def look_at(entry: Entry, section: str, modality: str | None = None) -> ScanLook:
    """Read a scan and its label once.

    Args:
        entry: of a data list.
        section: it stands in.
        modality: in place of what file and values tell, where the list says nothing.

    Raises:
        SemganError: if a file cannot be used, or the label lies on another grid.
    """
    files = tuple(file_state(value) for name, value in entry_item(entry).items() if name in ("image", "label"))
    volume = read_volume(entry.image)
    told = entry.modality or modality or volume.modality
    grey = look_at_values(volume.array, _spelled(told)) if volume.array.ndim == 3 and not _single(volume) else None
    kind = grey.modality if grey is not None else _spelled(told) or "DX"
    kind = PHOTOGRAPH if volume.colour is not None else kind  # lists call every picture a radiograph
    offset = grey.hu_offset if grey is not None else 0.0
    padding = find_padding(volume.array, kind, offset)
    array = volume.array if padding is None else padding.removed(volume.array)
    values, body_mm = _body(volume, array, kind, offset)
    low, high = (float(value) for value in np.percentile(values, LIMITS))
    high = high if high > low else low + 1.0
    counts, _ = np.histogram(values, BINS, (low, high))
    labels = _labels(read_entry_label(entry, volume), volume) if entry.label is not None else {}
    return ScanLook(
        name=entry.name,
        patient=entry.patient,
        section=section,
        modality=kind,
        guessed=told is None,
        shape=_three(volume.array.shape, int),
        spacing_mm=_three(volume.spacing.round(4), float),
        spacing_known=volume.spacing_known,
        orientation="".join(aff2axcodes(volume.affine)),
        affine=tuple(tuple(float(value) for value in row) for row in volume.affine),
        oblique_degrees=round(obliqueness(volume.affine), 1),
        slice_axis=closest_axes(volume.affine)[2][0],
        body_mm=body_mm,
        histogram=tuple(int(count) for count in counts),
        histogram_range=(low, high),
        value_range=(float(volume.array.min()), float(volume.array.max())),
        constant_share=_constant_share(volume.array),
        digest=_digest(volume.array),
        colour=volume.colour is not None,
        labelled=entry.label is not None,
        labels=labels,
        doubts=(f"{grey.doubt}.",) if grey is not None and grey.doubt else (),
        files=files,
    )


def _spelled(told: str | None) -> str | None:
    return None if told is None else header_modality(told)


def _single(volume: Volume) -> bool:
    return 1 in volume.array.shape and volume.projection


def _body(
    volume: Volume, array: np.ndarray, modality: str, offset: float
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Grey values of the body, and its extent along each axis; all of a single image."""
    if _single(volume):
        return value_sample(array), _three(np.asarray(array.shape) * volume.spacing, float)
    body = find_body(array, volume.spacing, modality, hu_offset=offset)
    seen = body_in_view(volume, body, 1.0, int(WIDEST_MM))
    extent = np.ptp(seen.bounds(), axis=0) * volume.spacing
    return value_sample(body.values(array) - offset), _three(extent.round(1), float)


def _labels(label: Volume, volume: Volume) -> dict[int, LabelLook]:
    """What is known of each id, from one pass over the voxels that have one."""
    order: Literal["C", "F"] = "F" if volume.array.flags.f_contiguous else "C"  # as it is stored: others take a copy
    image, flat = (array.ravel(order) for array in (volume.array, label.array))
    where = np.flatnonzero(flat)
    ids = flat[where]
    sorting = np.argsort(ids, kind="stable")
    found, starts = np.unique(ids[sorting], return_index=True)
    groups = np.split(where[sorting], starts[1:]) if found.size else []
    one = 1.0 if _single(volume) and not volume.spacing_known else volume.voxel_ml
    looks = {}
    for index, voxels in zip(found, groups, strict=True):
        grey = image[voxels[:: max(1, voxels.size // MOST_SAMPLES)]]
        looks[int(index)] = _look(np.unravel_index(voxels, volume.array.shape, order), grey, volume.affine, one)
    return looks


def _look(places: Sequence[np.ndarray], grey: np.ndarray, affine: np.ndarray, one: float) -> LabelLook:
    middle = affine[:3, :3] @ [float(place.mean()) for place in places] + affine[:3, 3]
    low, lower, half, higher, high = (float(value) for value in np.percentile(grey, (0.5, 1, 50, 99, 99.5)))
    slices = tuple(int(np.count_nonzero(np.bincount(place))) for place in places)
    voxels = int(places[0].size)
    return LabelLook(
        voxels, voxels * one, _three(slices, int), _three(middle.round(1), float), (low, lower, half, higher, high)
    )


def _three(values: Any, kind: Any) -> Any:
    first, second, third = values
    return kind(first), kind(second), kind(third)


def _constant_share(array: np.ndarray) -> float:
    sample = value_sample(array, MOST_SAMPLES)
    return float(np.unique(sample, return_counts=True)[1].max() / sample.size)


def _digest(array: np.ndarray) -> str:
    """Hash of shape and voxels; of their values, whatever type they are stored as."""
    digest = hashlib.blake2b(str(array.shape).encode(), digest_size=16)
    for plane in range(array.shape[2]):  # a copy of one plane at a time
        digest.update(np.ascontiguousarray(array[:, :, plane], dtype=np.float32).tobytes())
    return digest.hexdigest()
