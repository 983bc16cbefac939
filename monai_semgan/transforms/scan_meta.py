"""A scan as `MetaTensor`, and what its meta data keep about the file that it came from.

What is kept is text or numbers, which survive a data loader, its workers and collating.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.data import MetaTensor

from monai_semgan.io.image2d_colour import brightness
from monai_semgan.io.volume import Volume
from monai_semgan.slicing.geometry import SliceGeometry

PLAN = "slice_plan"
"""Key of the meta data under which `PlanSlicesd` notes the geometry, as JSON."""

HEADER = "nifti_header"
"""Key of the meta data with the header of a scan in NIfTI, in hexadecimal: both of its forms, their codes, units."""

OTHER_AFFINES = "other_affines"
"""Key of the meta data with where else programs see the voxels, as JSON; see `Volume`."""

NOTES = "scan_notes"
"""Key of the meta data with what a user should know about a scan, as a list in JSON."""

SCAN = "scan"
"""Key of the meta data of a result with the file of the scan that it belongs to."""

NAME = "name"
"""Key under which an entry carries its name: what its files are called."""

HEADERS = {header.sizeof_hdr: header for header in (nibabel.Nifti1Header, nibabel.Nifti2Header)}


def scan_tensor(volume: Volume) -> MetaTensor:
    """`(C, I, J, K)` with the voxels in the order in which they are stored: samples are taken along it.

    Pictures in colours have three channels, all else one.
    """
    array = volume.channels
    if not array.flags.writeable or min(array.strides) < 0:
        array = array.copy(order="K")
    meta = {
        "filename_or_obj": str(volume.path or ""),
        "original_affine": np.array(volume.affine),
        "spatial_shape": np.array(volume.array.shape),
        "modality": volume.modality or "",
        "spacing_known": volume.spacing_known,
        HEADER: _header_text(volume.header),
        OTHER_AFFINES: json.dumps([np.asarray(affine).tolist() for affine in volume.other_affines]),
        NOTES: json.dumps(volume.notes),
    }
    return MetaTensor(torch.from_numpy(array), affine=affine_tensor(volume.affine), meta=meta)


def as_volume(scan: MetaTensor) -> Volume:
    """The volume of a `MetaTensor` `(1, I, J, K)`, or `(3, I, J, K)` of colours, without copying voxels."""
    channels = scan.as_tensor().detach().cpu().numpy()
    affine = np.asarray(scan.affine, dtype=np.float64)
    if len(channels) != 3 or channels.dtype != np.uint8:
        return _volume(channels[0], affine, scan)
    return replace(_volume(brightness(np.moveaxis(channels, 0, -1)), affine, scan), colour=channels)


def scan_grid(slices: MetaTensor) -> Volume:
    """The scan that slices were cut from, without its voxels: all are 0, and take no memory."""
    geometry = geometry_of(slices)
    return _volume(np.broadcast_to(np.uint8(0), geometry.source_shape), np.array(geometry.source_affine), slices)


def notes_of(scan: MetaTensor) -> tuple[str, ...]:
    """What a user should know about a scan."""
    return tuple(json.loads(scan.meta.get(NOTES) or "[]"))


def geometry_of(image: MetaTensor) -> SliceGeometry:
    """Where slices lie in their scan."""
    return SliceGeometry.from_dict(json.loads(image.meta[PLAN]))


def in_place_of(old: MetaTensor, values: torch.Tensor, affine: torch.Tensor) -> MetaTensor:
    """Other values and another place, what is known about the scan stays."""
    meta = {name: value for name, value in old.meta.items() if name != "affine"}
    return MetaTensor(values, affine=affine, meta=meta, applied_operations=list(old.applied_operations))


def affine_tensor(matrix: np.ndarray) -> torch.Tensor:
    """An affine as MONAI keeps it."""
    return torch.from_numpy(np.array(matrix, dtype=np.float64))


def _volume(array: np.ndarray, affine: np.ndarray, scan: MetaTensor) -> Volume:
    meta = scan.meta
    path = Path(meta["filename_or_obj"]) if meta.get("filename_or_obj") else None
    known, modality = bool(meta.get("spacing_known", True)), meta.get("modality") or None
    volume = Volume(array, affine, path, None, notes_of(scan), modality, spacing_known=known)
    if not _as_read(array, affine, meta):
        return volume
    others = tuple(np.array(other) for other in json.loads(meta.get(OTHER_AFFINES) or "[]"))
    return replace(volume, header=_header(meta.get(HEADER)), other_affines=others)


def _as_read(array: np.ndarray, affine: np.ndarray, meta: Mapping[str, Any]) -> bool:
    """Whether the grid is that of the file still, which its header describes, and no transform has resampled it."""
    shape, place = meta.get("spatial_shape"), meta.get("original_affine")
    if shape is None or place is None or np.shape(place) != np.shape(affine):
        return False
    return tuple(np.asarray(shape)) == array.shape and bool(np.allclose(np.asarray(place), affine, atol=1e-6))


def _header_text(header: object) -> str:
    if not isinstance(header, nibabel.Nifti1Header):
        return ""
    text: str = header.as_byteswapped("<").binaryblock.hex()
    return text


def _header(text: str | None) -> nibabel.Nifti1Header | None:
    """The header that `_header_text` wrote."""
    if not text:
        return None
    block = bytes.fromhex(text)
    return HEADERS[len(block)](block, endianness="<", check=False)
