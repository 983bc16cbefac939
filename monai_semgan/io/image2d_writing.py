"""Writes labels and colours of single images as PNG, with Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from monai_semgan.errors import SemganError
from monai_semgan.io.volume import Volume
from monai_semgan.organs import Segments
from monai_semgan.utils.files import check_output, written_aside

LARGEST_GREY = 65_535


def write_image2d_label(array: np.ndarray, like: Volume, path: Path, segments: Segments) -> None:
    """Write a label map (I, J, 1) as PNG whose grey values are the ids, pixel by pixel as the image.

    It has 8 bits, or 16 where the type of the array is larger than uint8.

    Args:
        array: label ids.
        like: the image.
        path: `.png`.
        segments: names of the ids; a PNG has no place for them.

    Raises:
        SemganError: it is a volume, or an id needs more than 16 bits.
    """
    check_single_image(like, path)
    if int(array.max(initial=0)) > LARGEST_GREY:
        problem = f"a PNG holds ids up to {LARGEST_GREY}, and one is {int(array.max())}"
        raise SemganError(problem, remedy="write .nii.gz", path=path)
    stored = np.uint8 if array.dtype == np.uint8 else np.uint16
    Image.fromarray(np.ascontiguousarray(_rows_and_columns(array)).astype(stored)).save(path, format="PNG")


def write_image2d(channels: np.ndarray, path: Path) -> Path:
    """Write a single image of 8 bits as PNG, complete or not at all.

    Args:
        channels: (C, I, J, K), 0 black and 255 white: one of grey values, or red, green and blue.
        path: `.png`.

    Raises:
        SemganError: it cannot be written.
    """
    layers = [_rows_and_columns(channel) for channel in channels]
    pixels = np.stack(layers, axis=-1) if len(layers) > 1 else layers[0]
    path = check_output(path, (".png",))
    with written_aside(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels).astype(np.uint8)).save(temporary, format="PNG")
    return path


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
