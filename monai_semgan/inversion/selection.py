"""Which slices are worth a search."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def near_organs(labels: list[torch.Tensor], margin: int) -> torch.Tensor:
    """Find slices that show an organ in one of several label maps, or lie near one that does.

    Args:
        labels: label maps `(D, H, W)` of the same slices, background 0.
        margin: slices above and below that count as near.

    Returns:
        `(D,)` bool.
    """
    return beside(torch.stack([(label > 0).flatten(1).any(1) for label in labels]).any(0), margin)


def beside(chosen: torch.Tensor, margin: int) -> torch.Tensor:
    """Add to chosen slices `(D,)` those that lie up to so many slices above or below one: `(D,)` bool."""
    return F.max_pool1d(chosen[None, None].float(), 2 * margin + 1, stride=1, padding=margin)[0, 0] > 0
