"""The background of a model divided among structures that were added later, and whole again to the last bit.

A voxel belongs to an added structure only where the model without it would say background. Probabilities that are
summed up with rounding would move the borders of the old structures by a voxel here and there; these do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def divided(probabilities: torch.Tensor, shares: list[torch.Tensor]) -> torch.Tensor:
    """Divide the background of old classes among structures that were added, in the order in which they were.

    Every part is a whole number of the smallest steps by which the background's own value can change, so that
    `whole_background` gives the old probabilities back to the last bit.

    Args:
        probabilities: of the old classes `(N, K, ...)` float32, background first.
        shares: by head, of what the heads before it have left as background: `(N, 1 + A, ...)`, sums are 1; the first
            is what stays background.

    Returns:
        `(N, K + all A, ...)`: old classes, then those that were added.
    """
    for share in shares:
        probabilities = _divided_once(probabilities, share)
    return probabilities


def _divided_once(probabilities: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    background = probabilities[:, :1]
    worth = background > 1e-20  # the steps of less would be too small for numbers of 32 bits
    step = _steps(torch.where(worth, background, 1.0))
    parts = torch.floor(background * shares[:, 1:].clamp(0, 1) / step) * step * worth
    left, taken = background, [probabilities[:, 1:]]
    for part in parts.split(1, 1):  # rounding of shares whose sum is a little above 1 must not go below 0
        taken.append(torch.minimum(part, left))
        left = left - taken[-1]
    return torch.cat([left] + taken, 1)


def _steps(values: torch.Tensor) -> torch.Tensor:
    """The smallest steps by which positive float32 numbers can change."""
    if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript leaves out what this alone encloses
        if torch.compiler.is_exporting():  # ONNX has no frexp; where log2 is rounded, half or twice a step is exact too
            return torch.exp2(torch.floor(torch.log2(values)) - 23)
    exponent = torch.frexp(values)[1]
    return torch.ldexp(torch.ones_like(values), exponent - 24)


def whole_background(probabilities: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """Give the probabilities `(N, K, ...)` back that were there before structures were added; see `divided`.

    Args:
        probabilities: `(N, K + all counts, ...)`.
        counts: how many structures each head has added; the last ones are taken back first.
    """
    for count in reversed(counts):
        old = probabilities[:, :-count].clone()
        for part in probabilities[:, -count:].split(1, 1):
            old[:, :1] += part
        probabilities = old
    return probabilities
