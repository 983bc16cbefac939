"""NRRD files in memory: three-dimensional scalar volumes with their place in the patient.

Arrays are indexed [k, j, i] as 3D Slicer's are, so that the last axis is the fastest in the file; affines are 4 x 4
from voxel index (i, j, k) to RAS mm.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

TYPES = {
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned int",
    "float32": "float",
    "float64": "double",
}
"""NRRD's name by numpy's."""

SYNONYMS = {"uchar": "uint8", "ushort": "uint16", "uint": "uint32"}
"""Other names of types; numpy's own and those with `_t` are read as well."""

SPACES = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
}
"""What turns coordinates of a space into RAS."""

GZIP = 16 + zlib.MAX_WBITS
FAST = 1
LONGEST_HEADER = 1_000_000


class NrrdError(ValueError):
    """Not a file that this module reads; the text says why."""


@dataclass(frozen=True)
class Grid:
    """A volume in space.

    Attributes:
        array: (K, J, I).
        affine: (4, 4), voxel index (i, j, k) to RAS mm.
    """

    array: numpy.ndarray
    affine: numpy.ndarray


def encode(grid: Grid, compressed: bool = True) -> bytes:
    """Encode a volume as a NRRD file.

    Args:
        compressed: with gzip at its fastest; otherwise raw, which is quicker within one computer.

    Raises:
        NrrdError: for an array that is not three-dimensional or of a type that NRRD lacks.
    """
    import numpy as np

    array = np.ascontiguousarray(grid.array)
    if array.ndim != 3 or array.dtype.name not in TYPES:
        raise NrrdError(f"an array of {array.ndim} dimensions and type {array.dtype} cannot be written")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    lps = np.diag([-1.0, -1.0, 1.0]) @ np.asarray(grid.affine, dtype=float)[:3]
    lines = [
        "NRRD0004",
        f"type: {TYPES[array.dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {array.shape[2]} {array.shape[1]} {array.shape[0]}",
        "space directions: " + " ".join(_vector(lps[:, axis]) for axis in range(3)),
        "kinds: domain domain domain",
        "endian: little",
        f"encoding: {'gzip' if compressed else 'raw'}",
        f"space origin: {_vector(lps[:, 3])}",
    ]
    header = ("\n".join(lines) + "\n\n").encode("ascii")
    content = memoryview(little.reshape(-1)).cast("B") if little.size else b""
    if not compressed:
        return b"".join([header, content])
    packer = zlib.compressobj(FAST, zlib.DEFLATED, GZIP)
    return b"".join([header, packer.compress(content), packer.flush()])


def decode(data: bytes) -> Grid:
    """Decode the volume of a NRRD file; its array may be read-only.

    Raises:
        NrrdError: if it is damaged or of a kind that this module does not read.
    """
    import numpy as np

    fields, content = _split(data)
    dtype = _dtype(fields)
    sizes = _integers(fields, "sizes")
    if fields.get("dimension") != "3" or len(sizes) != 3 or min(sizes) < 1:
        raise NrrdError("not a three-dimensional scalar volume")
    expected = int(np.prod(sizes, dtype=np.int64)) * dtype.itemsize
    values = _unpacked(content, fields.get("encoding", ""), expected)
    if len(values) != expected:
        raise NrrdError(f"{len(values)} bytes of voxels instead of {expected}: the file is cut off or damaged")
    array = np.frombuffer(values, dtype=dtype).reshape(sizes[::-1])
    return Grid(array.astype(dtype.newbyteorder("="), copy=False), _affine(fields))


def _vector(values: numpy.ndarray) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _split(data: bytes) -> tuple[dict[str, str], memoryview]:
    end = re.search(rb"\r?\n\r?\n", data[:LONGEST_HEADER])
    if not data.startswith(b"NRRD000") or end is None:
        raise NrrdError("not a NRRD file")
    fields = {}
    for line in data[: end.start()].decode("utf-8", "replace").splitlines()[1:]:
        name, mark, value = line.partition(":")
        if mark and not line.startswith("#") and not value.startswith("="):
            fields[name.strip().lower()] = value.strip()
    if "data file" in fields or "datafile" in fields:
        raise NrrdError("the voxels stand in another file")
    return fields, memoryview(data)[end.end() :]


def _dtype(fields: dict[str, str]) -> numpy.dtype:
    import numpy as np

    name = fields.get("type", "").lower()
    known = _known_types()
    plain = name[:-2] if name.endswith("_t") else name
    if plain not in known:
        raise NrrdError(f"voxels of type “{name}” are not read")
    dtype = np.dtype(known[plain])
    return dtype.newbyteorder(">" if fields.get("endian", "little").lower() == "big" else "<")


def _known_types() -> dict[str, str]:
    known = {other: name for name, other in TYPES.items()}
    known.update({name: name for name in TYPES})
    known.update(SYNONYMS)
    return known


def _integers(fields: dict[str, str], name: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in fields.get(name, "").split())
    except ValueError:
        raise NrrdError(f"{name} cannot be read") from None


def _unpacked(content: memoryview, encoding: str, expected: int) -> bytes | memoryview:
    if encoding.lower() == "raw":
        return content
    if encoding.lower() not in ("gzip", "gz"):
        raise NrrdError(f"encoding “{encoding}” is not read")
    try:  # never more than the header promises, whatever the file claims to hold
        return zlib.decompressobj(GZIP).decompress(content, expected + 1)
    except zlib.error:
        raise NrrdError("the compressed voxels are damaged") from None


def _affine(fields: dict[str, str]) -> numpy.ndarray:
    import numpy as np

    space = fields.get("space", "").lower()
    if space not in SPACES:
        raise NrrdError(f"space “{space}” is not known: the volume has no place in the patient")
    columns = [*_vectors(fields, "space directions", 3), *_vectors(fields, "space origin", 1)]
    affine = np.eye(4)
    affine[:3] = np.diag(SPACES[space]) @ np.array(columns).T
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
        raise NrrdError("the directions of the axes make no sense")
    return affine


def _vectors(fields: dict[str, str], name: str, count: int) -> list[list[float]]:
    try:
        found = [[float(word) for word in text.split(",")] for text in re.findall(r"\(([^)]*)\)", fields.get(name, ""))]
    except ValueError:
        found = []
    if len(found) != count or any(len(vector) != 3 for vector in found):
        raise NrrdError(f"{name} cannot be read")
    return found
