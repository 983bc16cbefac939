"""The best iterate of every slice, and which slices have converged."""

from __future__ import annotations

import torch

from monai_semgan.networks import Latent


class SliceTracker:
    """Keep what is known about every slice during an inversion.

    Args:
        latents: start.
        active: `(D,)` bool, slices to be optimised.
        steps: updates planned.
        tolerance: relative improvement below which a step counts as idle.
        patience: idle steps until a slice has converged; 0 for never.

    Attributes:
        best: best latents so far.
        best_loss: `(D,)` their losses; infinite before the first evaluation.
        curve: `(steps + 1, D)` losses; NaN where nothing was computed.
        steps_done: `(D,)` updates whose result has been evaluated.
        converged: `(D,)` bool: the slice has stopped improving.
        failed: `(D,)` bool: a loss of the slice was not finite, so that its search was given up.
    """

    def __init__(self, latents: Latent, active: torch.Tensor, steps: int, tolerance: float, patience: int) -> None:
        count, device = len(latents), latents.device
        self.best = latents.clone()
        self.best_loss = torch.full((count,), float("inf"), device=device)
        self.curve = torch.full((steps + 1, count), float("nan"), device=device)
        self.steps_done = torch.zeros(count, dtype=torch.long, device=device)
        self.converged = torch.zeros(count, dtype=torch.bool, device=device)
        self.failed = torch.zeros(count, dtype=torch.bool, device=device)
        self.active = active.clone()
        self.tolerance, self.patience = tolerance, patience
        self._reference = torch.full((count,), float("inf"), device=device)
        self._idle = torch.zeros(count, dtype=torch.long, device=device)
        self._rebased = torch.ones(count, dtype=torch.bool, device=device)

    @property
    def active_index(self) -> torch.Tensor:
        """Return the `(n,)` slices that are still being optimised."""
        return self.active.nonzero().squeeze(1)

    def record(self, step: int, index: torch.Tensor, latents: Latent, losses: torch.Tensor) -> None:
        """Take in an evaluation.

        Args:
            step: updates that were made before it.
            index: `(n,)` slices.
            latents: theirs.
            losses: `(n,)`; a slice whose loss is not finite is given up, with its best latent so far.
        """
        losses = losses.to(self.curve.dtype)
        self.curve[step, index] = losses
        self.steps_done[index] = step
        better = losses < self.best_loss[index]
        self.best_loss[index[better]] = losses[better]
        self.best.put(index[better], latents[better])
        self._count_idle(index, losses)
        failed = ~torch.isfinite(losses)
        self.failed[index[failed]] = True
        stop = failed
        if self.patience > 0:
            idle = ~failed & (self._idle[index] >= self.patience)
            self.converged[index[idle]] = True
            stop = failed | idle
        self.active[index[stop]] = False

    def forget(self) -> None:
        """Compare losses anew for the active slices, since what is minimised has changed; their next latent is best.

        The idle steps before still count: a slice that has not improved under the old objective, and does not under
        the new one, has converged. Otherwise a change every `patience` steps would keep all slices going for ever.
        """
        self.best_loss[self.active] = float("inf")
        self._rebased[self.active] = True

    def _count_idle(self, index: torch.Tensor, losses: torch.Tensor) -> None:
        """Count the steps without progress; the first loss after a change of the objective is only a reference."""
        reference, rebased = self._reference[index], self._rebased[index]
        progress = losses < reference - self.tolerance * reference.abs().nan_to_num(posinf=0.0)
        idle = torch.where(progress, 0, self._idle[index] + 1)
        self._idle[index] = torch.where(rebased, self._idle[index], idle)
        self._reference[index] = torch.where(rebased | progress, losses, reference)
        self._rebased[index] = False
