"""Adam with one state per slice, and the course of its learning rate."""

from __future__ import annotations

import math

import torch


def learning_rate_factor(step: int, steps: int, warmup: float, decay: float) -> float:
    """Compute linear warm-up, plateau, cosine decay.

    Args:
        step: update that is about to be made, from 0.
        steps: updates in all.
        warmup: fraction of the steps that rise; the first of them is already positive.
        decay: fraction of the steps that fall; the last of them is still positive.

    Returns:
        Factor in (0, 1].
    """
    rise = min(1.0, (step + 1) / max(1.0, warmup * steps))
    remaining = min(1.0, (steps - step) / (decay * steps + 1.0))
    return rise * 0.5 * (1.0 - math.cos(math.pi * remaining))


class SliceAdam:
    """Run Adam (Kingma and Ba, ICLR 2015) over rows that drop out one by one; a row never feels the others.

    Args:
        parameters: `(D, ...)`, changed in place.
        betas: decay of the first and the second moment.
        eps: keeps rows with vanishing gradients at rest.
    """

    def __init__(self, parameters: torch.Tensor, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        self.parameters = parameters
        self.betas = betas
        self.eps = eps
        self.first = torch.zeros_like(parameters)
        self.second = torch.zeros_like(parameters)
        self.steps = 0

    def step(self, index: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> None:
        """Update the rows that are left; rows have to take part in every step until they drop out for good.

        Args:
            index: `(n,)` rows.
            gradient: `(n, ...)`.
            learning_rate: of this step.
        """
        self.steps += 1
        beta1, beta2 = self.betas
        first = self.first[index].lerp(gradient, 1 - beta1)
        second = self.second[index].lerp(gradient.square(), 1 - beta2)
        self.first[index], self.second[index] = first, second
        scale = math.sqrt(1 - beta2**self.steps) / (1 - beta1**self.steps)
        update = scale * first / (second.sqrt() + self.eps * math.sqrt(1 - beta2**self.steps))
        self.parameters[index] -= learning_rate * update
