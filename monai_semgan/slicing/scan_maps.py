"""Maps on the slices in the units of the scan."""

from __future__ import annotations

import torch


def scan_maps(
    value_range: tuple[float, float],
    uncertainty: torch.Tensor,
    reconstruction: torch.Tensor | None = None,
    residual: torch.Tensor | None = None,
) -> dict[str, tuple[torch.Tensor, float]]:
    """Map on the slices in the units of the scan, by name, each with its value outside the slices.

    Args:
        value_range: values of the scan that became -1 and 1.
        uncertainty: `(D, H, W)` from 0 to 1.
        reconstruction: `(D, H, W)` in -1..1.
        residual: `(D, H, W)`; 2 is the full range.
    """
    low, high = value_range
    maps: dict[str, tuple[torch.Tensor, float]] = {"uncertainty": (uncertainty, 0.0)}
    if reconstruction is not None:
        maps["reconstruction"] = (reconstruction + 1) / 2 * (high - low) + low, low
    if residual is not None:
        maps["residual"] = residual / 2 * (high - low), 0.0
    return maps
