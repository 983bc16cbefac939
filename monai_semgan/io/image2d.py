"""Reads pictures (PNG, TIFF, JPEG, BMP), grey or in colours, as single images, with Pillow.

What Pillow (13.0) reads otherwise than it is meant is told by the headers: several values of 16 bits a pixel, which it
cuts to 8, are read by SimpleITK; "white is zero" in TIFF, which it heeds up to 8 bits only, and signs of 8 and 32 bits.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import PICTURES
from monai_semgan.io.image2d_colour import COLOUR_MODES, OPACITY, brightness, in_8_bits, is_grey, transparent
from monai_semgan.io.limits import check_voxels, memory_error
from monai_semgan.io.volume import Volume
from monai_semgan.modalities import PHOTOGRAPH

DRAFT = (256, 256)
"""Pixels that tell whether there are colours."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")

GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's names of what holds one value per pixel, apart from opacity."""

PLACE = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Pixels of 1 mm, columns to the patient's left, rows downwards: where ITK and 3D Slicer put pictures."""

COPY = "copy or export it again"

EXPORT = "export it as a grey image"

PHOTOMETRIC, SAMPLE_FORMAT, BITS, ORIENTATION = 262, 339, 258, 274
"""Tags of TIFF; the last is EXIF's as well."""

WHITE_IS_ZERO, SIGNED = 0, 2

GREY_AND_OPACITY = b"\x04"
"""PNG's kind of colour."""

INVERTING = re.compile(r";\d*I")
"""In Pillow's names of how pixels are stored: it turns the values round itself."""

UNREADABLE = "not a readable picture, or of numbers that are not supported, or it is cut off"

TURNED = "The picture is stored turned or mirrored (orientation {}): it is taken upright, and results lie upright."


def read_image2d(path: Path) -> Volume:
    """Read a picture: grey as a radiograph (columns, rows, 1), int16 where that holds all values, else float32.

    One in colours is a photograph (modality `XC`): `colour` is (3, columns, rows, 1), and the array its brightness.
    Pictures do not tell how large a pixel is in the patient; what they tell (dots per inch) is about paper.

    Raises:
        SemganError: it is broken, in colours of print, or holds several pages.
    """
    with _opened(path) as picture:
        turned = _tags(picture).get(ORIENTATION, 1)
        left_white = _white_is_zero(picture) and not _inverting(picture)
        array, notes = _values(picture, path)
        _check_upright(picture, path)
        if left_white and array.ndim == 2:
            array = _inverted(array)
    notes = (*notes, TURNED.format(turned)) if turned != 1 else notes
    return image2d_volume(array, path, notes)


def has_colours(path: Path) -> bool:
    """Whether a file is a picture in colours; those that are stored in colours but all grey are none.

    Only a reduced copy of a JPEG is decoded, which takes milliseconds. False for files that cannot be read: what is
    wrong with them is told when they are.
    """
    if not path.name.lower().endswith(PICTURES):
        return False
    try:
        with _opened(path) as picture:
            if picture.mode not in COLOUR_MODES:
                return False
            picture.draft("RGB", DRAFT)
            return not is_grey(_deep(picture, path) if _cut_by_pillow(picture, path) else _pixels(picture, path, "RGB"))
    except SemganError:
        return False


def read_image2d_label(path: Path) -> Volume:
    """Read a label map (columns, rows, 1) from a picture; of one with a palette the indices are the ids.

    Ids are the values as stored, also where these mean white to black.

    Raises:
        SemganError: as `read_image2d`.
    """
    with _opened(path) as picture:
        turned_round = _white_is_zero(picture) and _inverting(picture)
        array = _pixels(picture, path) if picture.mode == "P" else _values(picture, path)[0]
        if array.ndim == 3:
            raise SemganError("holds colours where grey values are expected", remedy=EXPORT, path=path)
        _check_upright(picture, path)
        if turned_round:
            array = (1 if picture.mode == "1" else 255) - array
    return _volume(array.astype(np.int32), path, ())


def image2d_volume(pixels: np.ndarray, path: Path | None = None, notes: tuple[str, ...] = ()) -> Volume:
    """The volume of a picture: a radiograph of grey values (rows, columns), a photograph of colours.

    Args:
        pixels: (rows, columns), or (rows, columns, 3) uint8.
        path: it came from.
        notes: what a user should know.
    """
    if pixels.ndim == 3:
        volume = _volume(brightness(pixels), path, notes)
        colour = np.ascontiguousarray(pixels.transpose(2, 1, 0))[..., None]
        return replace(volume, modality=PHOTOGRAPH, colour=colour)
    fits = np.can_cast(pixels.dtype, np.int16)
    return _volume(pixels.astype(np.int16 if fits else np.float32), path, notes)


def _volume(pixels: np.ndarray, path: Path | None, notes: tuple[str, ...]) -> Volume:
    array = np.ascontiguousarray(pixels.transpose())[:, :, None]
    return Volume(array, PLACE.copy(), path, None, notes, "DX", None, spacing_known=False)


def _opened(path: Path) -> Image.Image:
    """The picture with its size checked; its pixels are not decoded yet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked below
            picture = Image.open(path, formats=FORMATS)
            pages = int(getattr(picture, "n_frames", 1))
    except Image.DecompressionBombError as error:
        raise SemganError("the picture is too large to be an image of a patient", remedy=COPY, path=path) from error
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise SemganError(UNREADABLE, remedy=COPY, path=path) from error
    try:
        check_voxels(picture.size, path, picture=True)
        if pages > 1:
            raise SemganError(f"holds {pages} pictures", remedy="give one image", path=path)
    except SemganError:
        picture.close()
        raise
    return picture


def _tags(picture: Image.Image) -> Any:
    """Tags of a TIFF; empty for other pictures."""
    return getattr(picture, "tag_v2", {})


def _check_upright(picture: Image.Image, path: Path) -> None:
    """Make sure that a picture, whose pixels have been read, is not to be turned; Pillow turns TIFF itself.

    Raises:
        SemganError: it is: programs differ in whether they heed that.
    """
    turned = int(picture.getexif().get(ORIENTATION) or 1)
    if turned != 1 and picture.format != "TIFF":
        problem = f"the picture is stored turned or mirrored (EXIF orientation {turned}), which not all programs heed"
        raise SemganError(problem, remedy="save it upright", path=path)


def _white_is_zero(picture: Image.Image) -> bool:
    return bool(_tags(picture)) and _tags(picture).get(PHOTOMETRIC) == WHITE_IS_ZERO


def _inverting(picture: Image.Image) -> bool:
    """Whether Pillow will turn the values round as it reads a picture."""
    stored = [tile[3] for tile in getattr(picture, "tile", ())]
    names = [part for one in stored for part in (one if isinstance(one, tuple) else (one,))]
    return any(isinstance(name, str) and INVERTING.search(name) for name in names)


def _inverted(array: np.ndarray) -> np.ndarray:
    """Values turned round: within their type, or where that has no white within their range."""
    if array.dtype.kind == "u":
        return np.iinfo(array.dtype).max - array
    return array.max() + array.min() - array


def _values(picture: Image.Image, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Grey values (rows, columns), or colours (rows, columns, 3) uint8 if there are any, and notes."""
    if _cut_by_pillow(picture, path):
        return _grey_or_colours(_deep(picture, path), path)
    if picture.mode in GREY_MODES:
        array = _pixels(picture, path)
        array = array[..., 0] if array.ndim == 3 else array
        return array.view(_kind(picture, array.dtype)), ()
    if picture.mode in COLOUR_MODES:
        found, notes = _grey_or_colours(_pixels(picture, path, "RGBA" if picture.mode == "RGBA" else "RGB"), path)
        return found, (*notes, OPACITY) if found.ndim == 3 and transparent(picture) else notes
    problem = f"holds colours of the kind {picture.mode}, such as those of print"
    raise SemganError(problem, remedy="export it as RGB or grey", path=path)


def _kind(picture: Image.Image, found: np.dtype[Any]) -> np.dtype[Any]:
    """Type of the values that Pillow calls `found`: in TIFF it takes 8 bits for unsigned and 32 for signed."""
    if picture.format != "TIFF" or picture.mode not in ("L", "I"):
        return found
    signed = SIGNED in np.atleast_1d(_tags(picture).get(SAMPLE_FORMAT, 1))
    wide = 32 in np.atleast_1d(_tags(picture).get(BITS, 1))
    if signed and found == np.uint8:
        return np.dtype(np.int8)
    return np.dtype(np.uint32) if wide and not signed and found == np.int32 else found


def _grey_or_colours(colours: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Colours (rows, columns, values), or their grey if all are grey, or that of grey and opacity; and notes."""
    if colours.shape[2] < 3:
        return colours[..., 0], ()
    if is_grey(colours):
        return colours[..., 0], ("The picture is stored in colours that are all grey: it is taken as grey.",)
    return in_8_bits(colours, path)


def _cut_by_pillow(picture: Image.Image, path: Path) -> bool:
    """Whether there are several values of 16 bits a pixel."""
    if picture.mode not in ("RGB", "RGBA", "LA"):
        return False
    if picture.format == "PNG":
        with open(path, "rb") as stream:
            return stream.read(25)[24:] == b"\x10"
    return int(np.max(_tags(picture).get(BITS, 8))) > 8


def _deep(picture: Image.Image, path: Path) -> np.ndarray:
    """Values (rows, columns, values) at their full depth."""
    _pixels(picture, path)  # tells whether the picture is whole
    content = path.read_bytes() if picture.format == "PNG" else b""
    if content[25:26] == GREY_AND_OPACITY:
        return _grey_and_opacity(content)
    array: np.ndarray = import_module("monai_semgan.io.itk").read_pixels(path, f"{picture.format}ImageIO")
    return array[..., None] if array.ndim == 2 else array


def _grey_and_opacity(content: bytes) -> np.ndarray:
    """Read a PNG of twice 16 bits a pixel, which Pillow and ITK do not read, as the four times 8 bits it holds."""
    kind = b"IHDR" + content[16:24] + bytes([8, 6]) + content[26:29]
    content = content[:12] + kind + struct.pack(">I", zlib.crc32(kind)) + content[33:]
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        halves = np.array(picture)
    return halves.view(">u2").astype(np.uint16)


def _pixels(picture: Image.Image, path: Path, mode: str | None = None) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture.load()
            array: Any = np.asarray(picture if mode is None else picture.convert(mode))
    except MemoryError:
        raise memory_error(path) from None
    except Exception as error:
        raise SemganError("the picture is damaged or cut off", remedy=COPY, path=path) from error
    return array.astype(np.uint8) if array.dtype == bool else array
