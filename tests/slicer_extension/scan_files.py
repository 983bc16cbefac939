"""Files of scans as others write them, of both hands: Slicer's own writers give all that they write one hand."""

from __future__ import annotations

import gzip
import struct

import numpy as np
from SemGANLib.Server.Nrrd import Grid, encode

from tests.phantoms import points_of, values_at
from tests.slicer_extension.scans import affine_of

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
NIFTI_TYPES = {"int16": (4, 16), "float32": (16, 32), "uint8": (2, 8)}


def phantom(kind: str, shape: tuple[int, int, int] = (40, 28, 16)) -> Grid:
    """Make the phantom on a grid of `scans.GRIDS`."""
    affine = affine_of(kind, shape)
    array = values_at(points_of(affine, shape)).astype(np.int16).transpose()
    return Grid(np.ascontiguousarray(array), affine)


def file_of(grid: Grid, suffix: str) -> bytes:
    """Encode a volume in one of the formats that servers have, its axes as they are."""
    if suffix == ".nrrd":
        return encode(grid)
    if suffix == ".mha":
        return metaimage(grid)
    return gzip.compress(nifti(grid), 1) if suffix == ".nii.gz" else nifti(grid)


def nifti(grid: Grid) -> bytes:
    """Encode as NIfTI-1 with a sform."""
    spacing = np.linalg.norm(grid.affine[:3, :3], axis=0)
    code, bits = NIFTI_TYPES[grid.array.dtype.name]
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *grid.array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, code, bits)
    struct.pack_into("<8f", header, 76, 1.0, *spacing, 1.0, 1.0, 1.0, 1.0)
    struct.pack_into("<3f", header, 108, 352.0, 1.0, 0.0)
    struct.pack_into("<b", header, 123, 2)  # mm
    struct.pack_into("<2h", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, *grid.affine[:3].reshape(-1))
    header[344:348] = b"n+1\0"
    return bytes(header) + np.ascontiguousarray(grid.array).tobytes()


def metaimage(grid: Grid) -> bytes:
    """Encode as MetaImage with the voxels in the same file."""
    lps = np.diag([-1.0, -1.0, 1.0]) @ grid.affine[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    name = {"int16": "MET_SHORT", "float32": "MET_FLOAT", "uint8": "MET_UCHAR"}[grid.array.dtype.name]
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = False",
        "TransformMatrix = " + _words((lps[:, :3] / spacing).T.reshape(-1)),
        "Offset = " + _words(lps[:, 3]),
        "CenterOfRotation = 0 0 0",
        "ElementSpacing = " + _words(spacing),
        "DimSize = " + " ".join(str(size) for size in grid.array.shape[::-1]),
        f"ElementType = {name}",
        "ElementDataFile = LOCAL",
    ]
    return ("\n".join(lines) + "\n").encode("ascii") + np.ascontiguousarray(grid.array).tobytes()


def _words(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in values)


def read_nifti(data: bytes) -> Grid:
    """Read the stored voxels of NIfTI-1 as they stand in the file, and its sform: by other code than Slicer's."""
    content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    shape = struct.unpack_from("<3h", content, 42)
    code = struct.unpack_from("<h", content, 70)[0]
    kind = next(name for name, (number, _bits) in NIFTI_TYPES.items() if number == code)
    begin = int(struct.unpack_from("<f", content, 108)[0])
    array = np.frombuffer(content, np.dtype(kind).newbyteorder("<"), int(np.prod(shape)), begin)
    affine = np.eye(4)
    affine[:3] = np.array(struct.unpack_from("<12f", content, 280)).reshape(3, 4)
    return Grid(array.reshape(shape[::-1]), affine)


def turned_round(data: bytes) -> bytes:
    """Store a NIfTI file with its first axis the other way round, which makes a left-handed one right-handed."""
    content = bytearray(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    grid = read_nifti(bytes(content))
    affine = grid.affine.copy()
    affine[:3, 0] = -grid.affine[:3, 0]
    affine[:3, 3] += grid.affine[:3, 0] * (grid.array.shape[2] - 1)
    struct.pack_into("<2h", content, 252, 0, 1)
    struct.pack_into("<12f", content, 280, *affine[:3].reshape(-1))
    begin = int(struct.unpack_from("<f", content, 108)[0])
    content[begin:] = np.ascontiguousarray(grid.array[:, :, ::-1]).tobytes()
    return gzip.compress(bytes(content), 1)
