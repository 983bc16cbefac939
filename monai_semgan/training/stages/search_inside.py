"""A few steps of a search inside a step of training: latents that explain the input itself, whatever its contrast."""

from __future__ import annotations

from collections.abc import Callable

import torch

from monai_semgan.inversion.objectives.base import ReconstructionObjective
from monai_semgan.inversion.objectives.colour_map import apply_colours, fit_colours
from monai_semgan.inversion.objectives.intensity_map import COLOURS, hats, locate, map_penalty
from monai_semgan.networks import Latent

KNOTS = 9
"""Knots of the map of grey values."""

PENALTY = 1e-3
"""Pull of a knot towards the identity, and of neighbours towards a straight continuation."""

STRIDE = 2
"""Every so many rows and columns take part in the fit."""


def search_offset(
    render: Callable[[Latent], torch.Tensor],
    latent: Latent,
    source: torch.Tensor,
    objective: ReconstructionObjective,
    steps: int,
    rate: float,
) -> Latent:
    """Search latents whose rendering explains the input through a map of grey values of its own.

    The steps are not differentiated: what they find is a constant beside the encoder's prediction.

    Args:
        render: latents to images `(N, C, H, W)`.
        latent: N latents to start from.
        source: inputs `(N, C, H, W)`.
        objective: compares mapped renderings with inputs.
        steps: updates by Adam.
        rate: its learning rate.

    Returns:
        What the search has added to `latent`.
    """
    start = latent.float().clone()
    found = Latent(*(part.clone().requires_grad_() for part in start.parts))
    # the second moment forgets fast: there are few steps
    optimiser = torch.optim.Adam(found.parts, lr=rate, betas=(0.9, 0.99))
    state, every = objective.prepare(source), torch.arange(len(latent), device=source.device)
    for _ in range(steps):
        loss = objective(mapped(render(found), source), state, every).sum()
        for part, gradient in zip(found.parts, torch.autograd.grad(loss, found.parts), strict=True):
            part.grad = gradient
        optimiser.step()
    pairs = zip(found.parts, start.parts, strict=True)
    return Latent(*(after.detach() - before for after, before in pairs))


def mapped(image: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Map the grey values of rendered images to those of their inputs, each by a map of its own.

    The maps are piecewise linear, or of colours affine, and fitted in closed form; no gradient goes through the fit.

    Args:
        image: rendered images `(N, C, H, W)`, about -1 to 1.
        source: inputs `(N, C, H, W)`.

    Returns:
        `(N, C, H, W)`.
    """
    if image.shape[1] == COLOURS:
        return torch.cat([_mapped_colours(*pair) for pair in zip(image.split(1), source.split(1), strict=True)])
    coefficients = _fit(image.detach(), source)
    index, weight = locate(image.float(), KNOTS)
    left = coefficients.gather(1, index.flatten(1)).view_as(image)
    right = coefficients.gather(1, index.flatten(1) + 1).view_as(image)
    return torch.lerp(left, right, weight)


def _mapped_colours(image: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Do the same to one picture `(1, 3, H, W)`."""
    seen, wanted = (x[:, :, ::STRIDE, ::STRIDE] for x in (image.detach(), source))
    return apply_colours(image, fit_colours(seen, wanted, PENALTY, iterations=1))


@torch.no_grad()
def _fit(image: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Fit the values `(N, KNOTS)` at the knots by least squares, drawn towards the identity."""
    seen, wanted = (x[:, :, ::STRIDE, ::STRIDE].float().mean(1).flatten(1) for x in (image, source))
    design = hats(seen, KNOTS)
    across = design.transpose(1, 2) / seen.shape[1]
    penalty, identity = map_penalty(KNOTS, PENALTY, PENALTY, seen.device)
    right = (across @ wanted[..., None]).double() + (penalty @ identity)[:, None]
    return torch.linalg.solve((across @ design).double() + penalty, right)[..., 0].float()
