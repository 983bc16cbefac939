"""Pixels of slices as 8 bits."""

from __future__ import annotations

import torch


def decode(images: torch.Tensor) -> torch.Tensor:
    """uint8 pixels to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1.0


def encode(images: torch.Tensor) -> torch.Tensor:
    """Pixels in [-1, 1] to uint8, rounded."""
    return ((images + 1.0) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
