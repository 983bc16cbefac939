"""Pixels of slices in other forms: as 8 bits, and as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np


def decode(images: torch.Tensor) -> torch.Tensor:
    """uint8 pixels to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1.0


def encode(images: torch.Tensor) -> torch.Tensor:
    """Pixels in [-1, 1] to uint8, rounded."""
    return ((images + 1.0) * 127.5).round_().clamp_(0, 255).to(torch.uint8)


def as_pictures(slices: torch.Tensor) -> np.ndarray:
    """Turn slices `(D, C, H, W)` into what programs draw: `(D, H, W)`, or `(D, H, W, 3)` in colours."""
    values: np.ndarray = slices.cpu().numpy()
    return values[:, 0] if values.shape[1] == 1 else values.transpose(0, 2, 3, 1)
