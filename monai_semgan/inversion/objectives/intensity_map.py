"""An objective that lets the volume explain its own contrast by a small fitted map of grey values."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_semgan.inversion.objectives.base import ReconstructionObjective, State


class IntensityMapObjective(ReconstructionObjective):
    """Compare `f(rendered image)` with the target, f being one map of grey values for the whole volume.

    f is piecewise linear, not necessarily monotone, plus an offset and a slope for each class of the rendered label:
    `f(r, p) = sum_k c_k hat_k(r) + sum_j p_j (a_j + b_j r)`. Few numbers, fitted to all slices by robust least squares
    in closed form and drawn towards the identity, cannot explain anatomy away. It is the test-time normaliser of
    Karani et al., "Test-time adaptable neural networks" (MedIA 2021), turned round to the generator's side.

    Until `refit` is called f is the identity.

    Args:
        inner: objective between mapped image and target.
        knots: number of knots of the piecewise linear part.
        num_classes: classes of the label, background included; 0 for a map without class terms.
        ridge: pull of every knot towards the identity.
        smoothness: pull of neighbouring knots towards a straight continuation.
        class_ridge: pull of the class terms towards 0.
        iterations: rounds of reweighting against outliers.
        stride: use every n-th row and column in the fit.
    """

    def __init__(
        self,
        inner: ReconstructionObjective,
        knots: int = 9,
        num_classes: int = 0,
        ridge: float = 1e-3,
        smoothness: float = 1e-3,
        class_ridge: float = 1e-2,
        iterations: int = 4,
        stride: int = 2,
    ) -> None:
        self.inner = inner
        self.knots = knots
        self.num_classes = num_classes
        self.ridge = ridge
        self.smoothness = smoothness
        self.class_ridge = class_ridge
        self.iterations = iterations
        self.stride = stride

    def prepare(self, target: Tensor) -> State:
        """Prepare the targets `(D, C, H, W)`, with the identity as map."""
        identity = torch.zeros(self.knots + 2 * max(0, self.num_classes - 1), device=target.device)
        identity[: self.knots] = torch.linspace(-1.0, 1.0, self.knots, device=target.device)
        return {
            "target": target.detach(),
            "coefficients": identity,
            "inner": self.inner.prepare(target),
        }

    def __call__(self, image: Tensor, state: State, index: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """Compare mapped slices with their targets: `(n,)`."""
        return self.inner(self.apply(image, state, probabilities), state["inner"], index, probabilities)

    def apply(self, image: Tensor, state: State, probabilities: Tensor | None = None) -> Tensor:
        """Map rendered images `(n, C, H, W)`, with probabilities `(n, K, H, W)`, to the target's contrast."""
        coefficients = state["coefficients"].float()
        index, weight = self._locate(image.float())
        mapped = torch.lerp(coefficients[index], coefficients[index + 1], weight)
        if self.num_classes > 1 and probabilities is not None:
            offset, slope = coefficients[self.knots :].view(2, 1, -1, 1, 1)
            organs = probabilities[:, 1:].float()
            mapped = mapped + (organs * offset).sum(1, keepdim=True) + image * (organs * slope).sum(1, keepdim=True)
        return mapped

    @torch.no_grad()
    def refit(self, images: Tensor, state: State, probabilities: Tensor | None = None) -> None:
        """Fit the map to all rendered slices `(D, C, H, W)` and `(D, K, H, W)`; it stays fixed until the next call.

        The weights of the robust fit are those of Huber's loss, at the median absolute residual.
        """
        step = self.stride
        design = self._design(
            images[:, :, ::step, ::step], None if probabilities is None else probabilities[:, :, ::step, ::step]
        )
        target = state["target"][:, :, ::step, ::step].float().mean(dim=1).reshape(-1)
        penalty, prior = self._penalty(design.shape[1], design.device)
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
        state["coefficients"][: len(solution)] = solution
        state["coefficients"][len(solution) :] = 0.0

    def _locate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Knot to the left, and position between it and the next; outside the knots the map goes on straight."""
        position = (image + 1.0) * (0.5 * (self.knots - 1))
        index = position.detach().long().clamp(0, self.knots - 2)
        return index, position - index

    def _design(self, images: Tensor, probabilities: Tensor | None) -> Tensor:
        """Columns of the linear fit for every pixel, `(P, parameters)`."""
        grey = images.float().mean(dim=1)
        index, weight = self._locate(grey.reshape(-1, 1))
        hats = torch.zeros(index.shape[0], self.knots, device=images.device)
        hats.scatter_(1, index, 1.0 - weight).scatter_(1, index + 1, weight)
        if self.num_classes < 2 or probabilities is None:
            return hats
        organs = probabilities[:, 1:].float().movedim(1, -1).reshape(-1, self.num_classes - 1)
        return torch.cat((hats, organs, organs * grey.reshape(-1, 1)), dim=1)

    def _penalty(self, parameters: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Quadratic penalty `(p, p)` on the difference from the identity, and the identity `(p,)`."""
        prior = torch.zeros(parameters, dtype=torch.double, device=device)
        prior[: self.knots] = torch.linspace(-1.0, 1.0, self.knots, dtype=torch.double, device=device)
        diagonal = torch.full((parameters,), self.class_ridge, dtype=torch.double, device=device)
        diagonal[: self.knots] = self.ridge
        penalty = torch.diag(diagonal)
        eye = torch.eye(self.knots, dtype=torch.double, device=device)
        curvature = eye[:-2] - 2.0 * eye[1:-1] + eye[2:]
        penalty[: self.knots, : self.knots] += self.smoothness * curvature.T @ curvature
        return penalty, prior
