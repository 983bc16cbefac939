"""Reads grey pictures (PNG, TIFF, JPEG) as single images, and writes labels as PNG, with Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_semgan.errors import SemganError
from monai_semgan.io.limits import check_voxels, memory_error
from monai_semgan.io.volume import Volume
from monai_semgan.organs import Segments

FORMATS = ("PNG", "JPEG", "TIFF")

GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's names of what holds one value per pixel, apart from opacity."""

PLACE = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Pixels of 1 mm, columns to the patient's left, rows downwards: where ITK and 3D Slicer put pictures."""

COPY = "copy or export it again"


def read_image2d(path: Path) -> Volume:
    """Read a grey picture as a radiograph: (columns, rows, 1), int16 where that holds all values, else float32.

    Pictures do not tell how large a pixel is in the patient; what they tell (dots per inch) is about paper.

    Raises:
        SemganError: it is broken, in colours, or holds several pages.
    """
    with _opened(path) as picture:
        array, notes = _grey(picture, path)
    fits = array.dtype.kind in "bu" and array.dtype.itemsize == 1
    return _volume(array.astype(np.int16 if fits else np.float32), path, notes)


def read_image2d_label(path: Path) -> Volume:
    """Read a label map (columns, rows, 1) from a picture; of one with a palette the indices are the ids.

    Raises:
        SemganError: as `read_image2d`.
    """
    with _opened(path) as picture:
        array = _pixels(picture, path) if picture.mode == "P" else _grey(picture, path)[0]
    return _volume(array.astype(np.int32), path, ())


def write_image2d_label(array: np.ndarray, like: Volume, path: Path, segments: Segments) -> None:
    """Write a label map (I, J, 1) as PNG of 8 bits whose grey values are the ids, pixel by pixel as the image.

    Args:
        array: label ids.
        like: the image.
        path: `.png`.
        segments: names of the ids; a PNG has no place for them.
    """
    check_single_image(like, path)
    Image.fromarray(np.ascontiguousarray(_rows_and_columns(array)).astype(np.uint8)).save(path, format="PNG")


def check_single_image(volume: Volume, path: Path) -> None:
    """Make sure that an image fits into a picture.

    Raises:
        SemganError: it is a volume.
    """
    if 1 not in volume.array.shape:
        count = "x".join(map(str, volume.array.shape))
        raise SemganError(
            f"a picture holds a single image, and the input is a volume of {count} voxels",
            remedy="use .nii.gz, .nrrd or .seg.nrrd (--overlay makes pictures)",
            path=path,
        )


def _rows_and_columns(array: np.ndarray) -> np.ndarray:
    thin = max(axis for axis in range(3) if array.shape[axis] == 1)
    plane: np.ndarray = array.take(0, axis=thin).transpose()
    return plane


def _volume(pixels: np.ndarray, path: Path, notes: tuple[str, ...]) -> Volume:
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
        raise SemganError("the picture is too large to be a radiograph", remedy=COPY, path=path) from error
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise SemganError("not a readable picture, or it is cut off", remedy=COPY, path=path) from error
    try:
        check_voxels(picture.size, path, picture=True)
        if pages > 1:
            raise SemganError(f"holds {pages} pictures", remedy="give one image", path=path)
    except SemganError:
        picture.close()
        raise
    return picture


def _grey(picture: Image.Image, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Grey values (rows, columns), and notes."""
    if picture.mode in GREY_MODES:
        array = _pixels(picture, path)
        return (array[..., 0] if array.ndim == 3 else array), ()
    if picture.mode in ("RGB", "RGBA", "P"):
        colours = _pixels(picture, path, "RGB")
        if (colours == colours[..., :1]).all():
            return colours[..., 0], ("The picture is stored in colours that are all grey: it is taken as grey.",)
    raise SemganError("holds colours where grey values are expected", remedy="export it as a grey image", path=path)


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
