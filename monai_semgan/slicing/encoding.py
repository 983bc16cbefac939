"""Pixels of slices as 8 bits, and the class of pixels without a label."""

from __future__ import annotations

import torch

UNLABELLED = 255
"""Class index of pixels without a label; cross-entropy should ignore it."""


def decode(images: torch.Tensor) -> torch.Tensor:
    """uint8 pixels to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1.0


def encode(images: torch.Tensor) -> torch.Tensor:
    """Pixels in [-1, 1] to uint8, rounded."""
    return ((images + 1.0) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
