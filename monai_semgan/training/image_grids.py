"""Sheets of sample pictures: slices with their labels as coloured outlines, as PNG and for TensorBoard."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.training.engine.run_files import write_bytes

#: Red, green and blue of the classes after the background; repeated when there are more.
COLOURS = np.array(
    [(220, 80, 60), (90, 190, 90), (70, 130, 230), (230, 190, 60), (180, 90, 200), (70, 200, 200)], dtype=np.float32
)


def picture(image: torch.Tensor, label: torch.Tensor | None = None) -> np.ndarray:
    """Slices as RGB, anterior up and the patient's right on the left, with the labels tinted in.

    Args:
        image: (N, C, H, W) in [-1, 1], grey or red, green and blue.
        label: (N, H, W) class ids, or None.

    Returns:
        (N, W, H, 3) uint8.
    """
    values = ((image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).numpy().transpose(0, 2, 3, 1)
    rgb = values if values.shape[-1] == 3 else np.repeat(values[..., :1], 3, axis=-1)
    if label is not None:
        ids = label.detach().cpu().numpy().astype(np.int64)
        ids[ids == UNLABELLED] = 0
        tint = COLOURS[(ids - 1) % len(COLOURS)]
        rgb = np.where((ids > 0)[..., None], 0.55 * rgb + 0.45 * tint, rgb)
    return rgb.round().astype(np.uint8).transpose(0, 2, 1, 3)[:, ::-1]


def image_grid(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of pictures (each (N, H, W, 3)) below one another as one picture (H', W', 3)."""
    strips = [np.concatenate(list(row), axis=1) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(strip, ((0, 2), (0, width - strip.shape[1]), (0, 0))) for strip in strips]
    return np.concatenate(padded, axis=0)


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 picture."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())
