"""The text headers of NRRD and MetaImage, looked at before ITK reads them: it mends in silence what matters."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from monai_semgan.errors import SemganError, read_error
from monai_semgan.io.limits import check_voxels

HEADER_BYTES = 1 << 18

BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "int16", "int16_t", "ushort", "unsigned short", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("short int", "signed short", "signed short int", "unsigned short int"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    "float": 4,
    **dict.fromkeys(("double", "int64", "int64_t", "uint64", "uint64_t", "longlong", "long long", "ulonglong"), 8),
    **dict.fromkeys(("met_char", "met_uchar"), 1),
    **dict.fromkeys(("met_short", "met_ushort"), 2),
    **dict.fromkeys(("met_int", "met_uint", "met_float"), 4),
    **dict.fromkeys(("met_long", "met_ulong", "met_long_long", "met_ulong_long", "met_double"), 8),
}
"""Bytes per voxel of the types; 1 is assumed for others."""


UNIT_MM = {
    **dict.fromkeys(("", "?", "???", "mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1e-3),
    "nm": 1e-6,
}
"""Millimetres in the units of length; a header that tells none means mm."""

ANATOMICAL = ("right-anterior-superior", "left-anterior-superior", "left-posterior-superior", "ras", "las", "lps")
"""Spaces of NRRD that say how the patient lies; each also with time as a fourth axis."""

VALUES = (
    *("vector", "covariant-vector", "normal", "list", "point", "complex", "quaternion", "scalar", "stub", "none"),
    *("rgb-color", "hsv-color", "xyz-color", "rgba-color"),
)
"""Kinds of axes of NRRD along which the values of a voxel lie, besides those of vectors and matrices of a number."""


@dataclass(frozen=True)
class HeaderFacts:
    """What ITK does not tell of a header.

    Args:
        placed: whether the header says how the patient lies.
        units: text of the unit of length along each axis of space that is not mm.
        mm: millimetres in those units, along three axes of space.
        slope: by which stored values are multiplied.
        offset: what is added then.
    """

    placed: bool
    units: tuple[str, ...] = ()
    mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    slope: float = 1.0
    offset: float = 0.0


def check_header(path: Path) -> HeaderFacts:
    """Make sure that the header tells a spacing and a possible size, and that the data lie where they may.

    Raises:
        SemganError: it does not.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(HEADER_BYTES)
    except OSError as error:
        raise read_error(error, path) from error
    nrrd = path.suffix.lower() in (".nrrd", ".nhdr")
    fields = _nrrd_fields(head) if nrrd else _meta_fields(head)
    sizes = _numbers(fields.get("sizes" if nrrd else "dimsize", ""))
    if (nrrd and not head.startswith(b"NRRD")) or not sizes or not np.isfinite(sizes).all():
        raise SemganError("not a readable image", remedy="copy or export it again", path=path)
    if len(sizes) < 2 or min(sizes) < 1:
        raise SemganError("the image holds no voxels", remedy="export it again", path=path)
    kind = fields.get("type" if nrrd else "elementtype", "").lower()
    compressed = fields.get("encoding", "raw") not in ("raw", "") if nrrd else fields.get("compresseddata") == "true"
    stored = _data_file(path, fields).stat().st_size
    check_voxels(sizes, path, voxel_bytes=BYTES.get(kind, 1), stored_bytes=stored, compressed=compressed)
    _check_spacing(path, fields, sizes, nrrd)
    if nrrd:
        if fields.get("encoding", "").lower() in ("bzip2", "bz2"):
            raise SemganError(
                "voxels compressed by bzip2 are not supported", remedy="save it with gzip or uncompressed", path=path
            )
        placed = fields.get("space", "").lower().removesuffix("-time") in ANATOMICAL
        return HeaderFacts(placed, *_nrrd_units(fields, path))
    slope, offset = _intensity(fields, path)
    units = [fields.get("distanceunits", "")] * 3
    return HeaderFacts(any(name in fields for name in _DIRECTIONS), *_units(units, path), slope, offset)


_DIRECTIONS = ("transformmatrix", "rotation", "orientation")


def _nrrd_units(fields: dict[str, str], path: Path) -> tuple[tuple[str, ...], tuple[float, float, float]]:
    """Units of the axes of space, or of the array where the header has no space."""
    if "space units" in fields:
        return _units(_quoted(fields["space units"]), path)
    axes, spacings = _quoted(fields.get("units", "")), fields.get("spacings", "").split()
    spatial = [axes[number] for number in range(min(len(axes), len(spacings))) if spacings[number].lower() != "nan"]
    return _units(spatial, path)


def _quoted(text: str) -> list[str]:
    return text.split('"')[1::2]


def _units(texts: list[str], path: Path) -> tuple[tuple[str, ...], tuple[float, float, float]]:
    """Units other than mm, and millimetres in each, of the first three axes."""
    named = [text.strip().lower() for text in (*texts[:3], "", "", "")][:3]
    unknown = [name for name in named if name not in UNIT_MM]
    if unknown:
        problem = f"the header gives lengths in {unknown[0][:20]!r}, which is no known unit"
        raise SemganError(problem, remedy="save it in mm", path=path)
    first, second, third = (UNIT_MM[name] for name in named)
    return tuple(dict.fromkeys(name for name in named if UNIT_MM[name] != 1)), (first, second, third)


def _intensity(fields: dict[str, str], path: Path) -> tuple[float, float]:
    """Slope and offset from stored values to intensities, which ITK does not apply."""
    found = []
    for name, usual in (("slope", 1.0), ("offset", 0.0)):
        text = fields.get(f"elementtointensityfunction{name}", "")
        value = _numbers(text) if text else [usual]
        if len(value) != 1 or not np.isfinite(value[0]) or (name == "slope" and value[0] == 0):
            problem = f"the header's ElementToIntensityFunction{name.capitalize()} is no possible {name}"
            raise SemganError(problem, remedy="correct the header", path=path)
        found.append(value[0])
    return found[0], found[1]


def _nrrd_fields(head: bytes) -> dict[str, str]:
    text = head.split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0].decode("latin-1")
    pairs = (line.split(":", 1) for line in text.split("\n") if ":" in line and not line.startswith("#"))
    return {key.strip().lower(): value.strip() for key, value in pairs if not value.startswith("=")}


def _meta_fields(head: bytes) -> dict[str, str]:
    fields = {}
    for line in head.decode("latin-1").split("\n"):
        key, found, value = line.partition("=")
        if not found:
            continue
        fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            break
    for key in ("compresseddata", "elementtype"):
        fields[key] = fields.get(key, "").lower()
    return fields


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.replace("(", " ").replace(")", " ").replace(",", " ").split()]
    except ValueError:
        return []


def _data_file(path: Path, fields: dict[str, str]) -> Path:
    """Where the voxels lie, inside the folder of the header."""
    name = fields.get("data file") or fields.get("datafile") or fields.get("elementdatafile") or "LOCAL"
    name = os.fsdecode(name.encode("latin-1"))  # the bytes of the header, whatever letters they are
    data = path
    if name.upper() != "LOCAL":
        single = not name.upper().startswith("LIST") and "%" not in name
        if not single:
            raise SemganError("the voxels lie in several files", remedy="save it as one file", path=path)
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or ".." in Path(name).parts:
            raise SemganError("the header names data outside its folder", remedy="save it as one file", path=path)
        data = path.parent / name
        if not data.resolve().is_relative_to(path.parent.resolve()):
            raise SemganError("the data file is a link that leaves its folder", remedy="copy the file", path=data)
        if not data.is_file():
            raise SemganError(f"its data file {name} is missing", remedy="copy both files", path=path)
    return data


def _check_spacing(path: Path, fields: dict[str, str], sizes: list[float], nrrd: bool) -> None:
    if _nrrd_spacing(fields, sizes) if nrrd else _meta_spacing(fields, sizes):
        return
    if nrrd and {"axis mins", "axis maxs"} <= set(fields) and "spacings" not in fields:
        problem = "the header tells the voxel spacing by the ends of its axes only, which ITK does not read"
        raise SemganError(problem, remedy="save it with spacings", path=path)
    raise SemganError("the header does not tell the voxel spacing", remedy="export it again, with geometry", path=path)


def _meta_spacing(fields: dict[str, str], sizes: list[float]) -> bool:
    told = next((fields[name] for name in ("elementspacing", "elementsize") if fields.get(name)), "")
    values = _numbers(told)
    return len(values) >= min(3, len(sizes)) and bool(np.isfinite(values).all()) and bool(np.any(values))


def _nrrd_spacing(fields: dict[str, str], sizes: list[float]) -> bool:
    """Whether each axis of space has a spacing: ITK takes 1 in silence where there is none."""
    kinds = fields.get("kinds", "").lower().split()
    space = [not (len(kinds) == len(sizes) and _holds_values(kinds[axis])) for axis in range(len(sizes))]
    if fields.get("space directions"):
        vectors = fields["space directions"].lower().replace(" ", "").replace("none", "(none)").split(")")[:-1]
        steps = [float(np.linalg.norm(_numbers(vector[1:]) or [np.nan])) for vector in vectors]
    elif fields.get("spacings"):
        steps = _numbers(fields["spacings"])
    else:
        return False
    if len(steps) != len(sizes):
        return False
    told = [bool(np.isfinite(step) and step != 0) for step in steps]
    missing = any(not told[axis] and space[axis] and sizes[axis] > 1 for axis in range(len(sizes)))
    return not missing and sum(told) >= min(3, len(sizes))


def _holds_values(kind: str) -> bool:
    return kind in VALUES or kind.startswith(("2d-", "3d-")) or (kind[:1].isdigit() and kind != "3d-domain")
