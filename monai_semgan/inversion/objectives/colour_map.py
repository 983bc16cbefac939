"""A fitted map of colours: what light and camera of another picture make of the colours that were rendered."""

from __future__ import annotations

import torch
from torch import Tensor

LIGHT = 3
"""Row of the coefficients with the offset."""


def identity_colours(device: torch.device) -> Tensor:
    """Coefficients (4, 3) that leave red, green and blue as they are: a 3x3 matrix, and an offset below."""
    return torch.eye(4, 3, device=device)


def apply_colours(image: Tensor, coefficients: Tensor) -> Tensor:
    """Map the colours of images `(n, 3, H, W)`: every colour a sum of all three, and an offset."""
    mixed = torch.einsum("nchw,ck->nkhw", image.float(), coefficients[:LIGHT].float())
    return mixed + coefficients[LIGHT].float()[:, None, None]


def fit_colours(images: Tensor, target: Tensor, ridge: float, iterations: int) -> Tensor:
    """Fit the map by robust least squares; as the map of grey values, it is drawn towards the identity.

    A map of twelve numbers can be white balance, exposure, or a camera's matrix; it cannot paint anatomy.

    Args:
        images: `(D, 3, H, W)` rendered.
        target: `(D, 3, H, W)` to be explained.
        ridge: pull of every number towards the identity.
        iterations: rounds of reweighting against outliers, with Huber's weights at the median absolute residual.

    Returns:
        `(4, 3)`.
    """
    seen = images.float().permute(0, 2, 3, 1).reshape(-1, 3)
    wanted = target.float().permute(0, 2, 3, 1).reshape(-1, 3)
    design = torch.cat((seen, torch.ones_like(seen[:, :1])), dim=1)
    prior = identity_colours(design.device).double()
    penalty = ridge * torch.eye(4, dtype=torch.double, device=design.device)
    weight = torch.ones_like(seen[:, :1])
    solution = prior.float()
    for _ in range(max(1, iterations)):
        weighted = design * weight
        # Pixels in float32, their sums in float64.
        normal = (weighted.T @ design).double() / weight.sum().double() + penalty
        right = (weighted.T @ wanted).double() / weight.sum().double() + penalty @ prior
        solution = torch.linalg.solve(normal, right).float()
        residual = (wanted - design @ solution).abs().mean(dim=1, keepdim=True)
        scale = residual.median().clamp_min(0.01)
        weight = scale / torch.maximum(residual, scale)
    return solution
