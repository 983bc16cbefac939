"""An objective that lets the volume explain its own contrast by a small fitted map of grey values."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_semgan.inversion.objectives.base import FeaturesFn, ReconstructionObjective, State
from monai_semgan.inversion.objectives.colour_map import apply_colours, fit_colours, identity_colours
from monai_semgan.inversion.objectives.l1_features import L1FeatureObjective
from monai_semgan.inversion.objectives.registry import register_objective
from monai_semgan.io.volume import COLOURS


class IntensityMapObjective(ReconstructionObjective):
    """Compare `f(rendered image)` with the target, f being one map of grey values, or of colours, for the whole volume.

    f is piecewise linear, not necessarily monotone: `f(r) = sum_k c_k hat_k(r)`. Few numbers, fitted to all slices by
    robust least squares in closed form and drawn towards the identity, cannot explain anatomy away. It is the
    test-time normaliser of Karani et al., "Test-time adaptable neural networks" (MedIA 2021), turned round to the
    generator's side. Of pictures in colours f is affine in red, green and blue, see `colour_map`.

    Until `refit` is called f is the identity.

    Args:
        inner: objective between mapped image and target.
        knots: number of knots of the piecewise linear part.
        ridge: pull of every knot towards the identity.
        smoothness: pull of neighbouring knots towards a straight continuation.
        iterations: rounds of reweighting against outliers.
        stride: use every n-th row and column in the fit.
    """

    def __init__(
        self,
        inner: ReconstructionObjective,
        knots: int = 9,
        ridge: float = 1e-3,
        smoothness: float = 1e-3,
        iterations: int = 4,
        stride: int = 2,
    ) -> None:
        self.inner = inner
        self.uses_probabilities = inner.uses_probabilities
        self.knots = knots
        self.ridge = ridge
        self.smoothness = smoothness
        self.iterations = iterations
        self.stride = stride

    def prepare(self, target: Tensor) -> State:
        """Prepare the targets `(D, C, H, W)`, with the identity as map."""
        grey = torch.linspace(-1.0, 1.0, self.knots, device=target.device)
        return {
            "target": target.detach(),
            "coefficients": identity_colours(target.device) if target.shape[1] == COLOURS else grey,
            "inner": self.inner.prepare(target),
        }

    def __call__(self, image: Tensor, state: State, index: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """Compare mapped slices with their targets: `(n,)`."""
        return self.inner(self.apply(image, state), state["inner"], index, probabilities)

    def apply(self, image: Tensor, state: State) -> Tensor:
        """Map rendered images `(n, C, H, W)` to the target's contrast."""
        coefficients = state["coefficients"].float()
        if image.shape[1] == COLOURS:
            return apply_colours(image, coefficients)
        index, weight = locate(image.float(), self.knots)
        return torch.lerp(coefficients[index], coefficients[index + 1], weight)

    @torch.no_grad()
    def refit(self, images: Tensor, state: State, probabilities: Tensor | None = None) -> None:
        """Fit the map to all rendered slices `(D, C, H, W)`; it stays fixed until the next call.

        The weights of the robust fit are those of Huber's loss, at the median absolute residual.
        """
        step = self.stride
        if images.shape[1] == COLOURS:
            seen, wanted = (part[:, :, ::step, ::step] for part in (images, state["target"]))
            state["coefficients"].copy_(fit_colours(seen, wanted, self.ridge, self.iterations))
            return
        design = self._design(images[:, :, ::step, ::step])
        target = state["target"][:, :, ::step, ::step].float().mean(dim=1).reshape(-1)
        penalty, prior = map_penalty(self.knots, self.ridge, self.smoothness, design.device)
        weight = torch.ones_like(target)
        for _ in range(max(1, self.iterations)):
            weighted = design * weight[:, None]
            # Pixels in float32, their sums in float64.
            normal = (weighted.T @ design).double() / weight.sum().double() + penalty
            right = (weighted.T @ target).double() / weight.sum().double() + penalty @ prior
            solution = torch.linalg.solve(normal, right).float()
            residual = (target - design @ solution).abs()
            scale = residual.median().clamp_min(0.01)
            weight = scale / torch.maximum(residual, scale)
        state["coefficients"].copy_(solution)

    def _design(self, images: Tensor) -> Tensor:
        """Compute the columns of the linear fit for every pixel, `(P, knots)`."""
        return hats(images.float().mean(dim=1).reshape(-1), self.knots)


def locate(values: Tensor, knots: int) -> tuple[Tensor, Tensor]:
    """Find the knot to the left, and the position between it and the next; outside, the map goes on straight."""
    position = (values + 1.0) * (0.5 * (knots - 1))
    index = position.detach().long().clamp(0, knots - 2)
    return index, position - index


def hats(values: Tensor, knots: int) -> Tensor:
    """Compute the hat function of every knot at grey values `(..., P)`: `(..., P, knots)`."""
    index, weight = (part[..., None] for part in locate(values, knots))
    values_at = torch.zeros(*values.shape, knots, device=values.device)
    return values_at.scatter_(-1, index, 1.0 - weight).scatter_(-1, index + 1, weight)


def map_penalty(knots: int, ridge: float, smoothness: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Compute the quadratic penalty `(p, p)` on the difference from the identity, and the identity `(p,)`."""
    identity = torch.linspace(-1.0, 1.0, knots, dtype=torch.double, device=device)
    eye = torch.eye(knots, dtype=torch.double, device=device)
    curvature = eye[:-2] - 2.0 * eye[1:-1] + eye[2:]
    return ridge * eye + smoothness * curvature.T @ curvature, identity


@register_objective("map")
def map_objective() -> IntensityMapObjective:
    """Compare grey values after the map."""
    return IntensityMapObjective(L1FeatureObjective())


@register_objective("map-features", needs_features=True)
def map_features_objective(features_fn: FeaturesFn) -> IntensityMapObjective:
    """Compare grey values and features after the map."""
    return IntensityMapObjective(L1FeatureObjective(features_fn))
