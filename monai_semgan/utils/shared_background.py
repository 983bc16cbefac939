"""The background of a model divided among structures that were added later, and whole again to the last bit.

A voxel belongs to an added structure only where the model without it would say background. Probabilities that are
summed up with rounding would move the borders of the old structures by a voxel here and there; these do not.
"""

from __future__ import annotations

import torch


def divided(probabilities: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Divide the background of old classes among structures that were added.

    Every part is a whole number of the smallest steps by which the background's own value can change, so that
    `whole_background` gives the old probabilities back to the last bit.

    Args:
        probabilities: of the old classes `(N, K, ...)` float32, background first.
        shares: of the background: `(N, 1 + A, ...)`, sums are 1; the first is what stays background.

    Returns:
        `(N, K + A, ...)`: old classes, then those that were added.
    """
    background = probabilities[:, :1]
    step = torch.ldexp(torch.ones_like(background), torch.frexp(background).exponent - 24)
    parts = torch.floor(background * shares[:, 1:].clamp(0, 1) / step) * step
    left = background.clone()
    for part in parts.split(1, 1):  # rounding of shares whose sum is a little above 1 must not go below 0
        part.copy_(torch.minimum(part, left))
        left -= part
    return torch.cat([left, probabilities[:, 1:], parts], 1)


def whole_background(probabilities: torch.Tensor, added: int) -> torch.Tensor:
    """Give back the old classes' probabilities `(N, K, ...)` of `(N, K + added, ...)`; see `divided`."""
    if not added:
        return probabilities
    old = probabilities[:, :-added].clone()
    for part in probabilities[:, -added:].split(1, 1):
        old[:, :1] += part
    return old
