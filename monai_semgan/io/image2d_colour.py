"""Red, green and blue of pictures in 8 bits, and their brightness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from monai_semgan.errors import SemganError

COLOUR_MODES = ("RGB", "RGBA", "P", "YCbCr")
"""Pillow's names of colours on a screen; those of print (CMYK) depend on ink and paper."""

DEPTHS = {np.dtype(np.uint8): 1.0, np.dtype(np.uint16): 257.0}
"""Kinds of values in pictures, and what a step of 8 bits is in them."""

WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Share of red, green and blue in the brightness (ITU-R BT.601), as Pillow has it."""

OPACITY = "The picture has transparent parts: their colours are taken as they are stored."

DEEP = "The picture has 16 bits a colour: they are rounded to 8."


def is_grey(colours: np.ndarray) -> bool:
    """Whether red, green and blue (rows, columns, 3 or more) are equal in every pixel."""
    return bool((colours[..., :3] == colours[..., :1]).all())


def in_8_bits(colours: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Red, green and blue (rows, columns, 3) uint8, and notes.

    Args:
        colours: (rows, columns, 3), or 4 with the opacity last; 8 or 16 bits.
        path: what messages name.

    Raises:
        SemganError: the values are of another kind.
    """
    if colours.dtype not in DEPTHS:
        problem = f"holds colours as numbers of the kind {colours.dtype}"
        raise SemganError(problem, remedy="export it in 8 bits a colour", path=path)
    notes = (DEEP,) if colours.dtype == np.uint16 else ()
    if colours.shape[2] > 3 and (colours[..., 3] < np.iinfo(colours.dtype).max).any():
        notes = (*notes, OPACITY)
    return np.rint(colours[..., :3] / DEPTHS[colours.dtype]).astype(np.uint8), notes


def brightness(colours: np.ndarray) -> np.ndarray:
    """Brightness (...) of red, green and blue (..., 3), on the same scale, rounded to int16."""
    return np.rint(colours @ WEIGHTS).astype(np.int16)


def transparent(picture: Image.Image) -> bool:
    """Whether colours of a palette, or one colour, are marked as transparent."""
    return "transparency" in picture.info and picture.mode in ("P", "RGB")
