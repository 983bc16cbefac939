"""The text headers of NRRD and MetaImage, looked at before ITK reads them: it mends in silence what matters."""

from __future__ import annotations

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


def check_header(path: Path) -> bool:
    """Make sure that the header tells a spacing and a possible size, and that the data lie where they may.

    Returns:
        Whether the header tells how the patient lies.

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
    _check_spacing(path, fields, nrrd)
    return bool(fields.get("space")) if nrrd else any(name in fields for name in _DIRECTIONS)


_DIRECTIONS = ("transformmatrix", "rotation", "orientation")


def _nrrd_fields(head: bytes) -> dict[str, str]:
    text = head.split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0].decode("latin-1")
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
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


def _check_spacing(path: Path, fields: dict[str, str], nrrd: bool) -> None:
    names = ("space directions", "spacings") if nrrd else ("elementspacing", "elementsize")
    told = next((fields[name] for name in names if fields.get(name)), "")
    values = _numbers(told.replace("none", "").replace("None", ""))
    if not values or not np.isfinite(values).all() or not np.any(values):
        raise SemganError(
            "the header does not tell the voxel spacing", remedy="export it again, with geometry", path=path
        )
