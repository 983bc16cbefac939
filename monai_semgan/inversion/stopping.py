"""Keeps the best iterate of every slice and decides which slices have converged."""

from __future__ import annotations

import torch


class SliceTracker:
    """What is known about every slice during an inversion.

    Args:
        latents: `(D, L, C)` start.
        active: `(D,)` bool, slices to be optimised.
        steps: updates planned.
        tolerance: relative improvement below which a step counts as idle.
        patience: idle steps until a slice has converged; 0 for never.

    Attributes:
        best: `(D, L, C)` best codes so far.
        best_loss: `(D,)` their losses; infinite before the first evaluation.
        curve: `(steps + 1, D)` losses; NaN where nothing was computed.
        steps_done: `(D,)` updates whose result has been evaluated.
        converged: `(D,)` bool.
    """

    def __init__(
        self, latents: torch.Tensor, active: torch.Tensor, steps: int, tolerance: float, patience: int
    ) -> None:
        count, device = latents.shape[0], latents.device
        self.best = latents.clone()
        self.best_loss = torch.full((count,), float("inf"), device=device)
        self.curve = torch.full((steps + 1, count), float("nan"), device=device)
        self.steps_done = torch.zeros(count, dtype=torch.long, device=device)
        self.converged = torch.zeros(count, dtype=torch.bool, device=device)
        self.active = active.clone()
        self.tolerance, self.patience = tolerance, patience
        self._reference = torch.full((count,), float("inf"), device=device)
        self._idle = torch.zeros(count, dtype=torch.long, device=device)

    @property
    def active_index(self) -> torch.Tensor:
        """`(n,)` slices that are still being optimised."""
        return self.active.nonzero().squeeze(1)

    def record(self, step: int, index: torch.Tensor, latents: torch.Tensor, losses: torch.Tensor) -> None:
        """Take in an evaluation.

        Args:
            step: updates that were made before it.
            index: `(n,)` slices.
            latents: `(n, L, C)` their codes.
            losses: `(n,)`; a slice whose loss is not finite is given up, with its best code so far.
        """
        losses = losses.to(self.curve.dtype)
        self.curve[step, index] = losses
        self.steps_done[index] = step
        better = losses < self.best_loss[index]
        self.best_loss[index[better]] = losses[better]
        self.best[index[better]] = latents[better]
        reference = self._reference[index]
        progress = losses < reference - self.tolerance * reference.abs().nan_to_num(posinf=0.0)
        self._reference[index] = torch.where(progress, losses, reference)
        self._idle[index] = torch.where(progress, 0, self._idle[index] + 1)
        stop = ~torch.isfinite(losses)
        if self.patience > 0:
            stop = stop | (self._idle[index] >= self.patience)
        self.converged[index[stop]] = True
        self.active[index[stop]] = False

    def forget(self) -> None:
        """Start comparing anew for the active slices, since what is minimised has changed; their next code is best."""
        self.best_loss[self.active] = float("inf")
        self._reference[self.active] = float("inf")
