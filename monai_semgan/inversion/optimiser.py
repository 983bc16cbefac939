"""Search of W+ codes for all slices of a volume at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from monai_semgan.inversion.adam import SliceAdam, learning_rate_factor
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.stopping import SliceTracker
from monai_semgan.inversion.total import SliceObjective
from monai_semgan.networks import JointSample
from monai_semgan.utils.device import autocast, halving_batches

Callback = Callable[[int, int, int, torch.Tensor], bool]
"""Called as `callback(step, steps, converged, losses)`: updates made, updates planned, slices that have converged,
`(D,)` latest losses (NaN where not computed). Returning True ends the search with the best codes so far."""


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found.

    Attributes:
        latent: `(D, L, C)` best code of every slice.
        loss: `(D,)` its loss.
        curve: `(steps + 1, D)` losses after every number of updates; NaN where not computed.
        steps_done: `(D,)` updates whose result has been evaluated.
        converged: `(D,)` bool.
        cancelled: the callback ended the search.
        batch_size: that fitted into memory.
    """

    latent: torch.Tensor
    loss: torch.Tensor
    curve: torch.Tensor
    steps_done: torch.Tensor
    converged: torch.Tensor
    cancelled: bool
    batch_size: int


class LatentOptimiser:
    """Minimise a per-slice objective over the codes of all slices with Adam.

    Every step runs over the slices in batches and only then updates all codes, so neither the size of the batches
    nor the company in them changes a result. Converged slices leave the batches.

    Args:
        settings: steps, learning rate, stopping rule.
        batch_size: slices evaluated together; halved when a GPU's memory does not suffice.
    """

    def __init__(self, settings: InversionSettings, batch_size: int = 4) -> None:
        self.settings = settings
        self.batch_size = batch_size

    def run(
        self,
        objective: SliceObjective,
        start: torch.Tensor,
        active: torch.Tensor | None = None,
        callback: Callback | None = None,
        should_stop: Callable[[], bool] | None = None,
        peek: Callable[[Callable[[], SearchOutcome]], None] | None = None,
    ) -> SearchOutcome:
        """Search from a start.

        Args:
            objective: what to minimise.
            start: `(D, L, C)`.
            active: `(D,)` bool, slices to optimise; all by default. The others stay at their start.
            callback: told the progress after every step.
            should_stop: asked between batches, so that a search on a slow machine can be left within a step.
            peek: given, after every step, a function that tells the best codes so far.

        Returns:
            The best codes so far, also when the search was ended early.
        """
        settings = self.settings
        latents = start.detach().clone().float()
        if active is None:
            active = torch.ones(latents.shape[0], dtype=torch.bool, device=latents.device)
        tracker = SliceTracker(latents, active, settings.steps, settings.tolerance, settings.patience)
        adam = SliceAdam(latents)
        cancelled = False
        for step in range(settings.steps + 1):
            index = tracker.active_index
            if index.numel() == 0:
                break
            if objective.adapts and step % settings.refit_every == 0 and step < max(1, settings.steps):
                self._refit(objective, latents)
                tracker.forget()
            losses, gradients = self._evaluate(objective, latents, index, step < settings.steps, should_stop)
            done = index[: losses.shape[0]]
            tracker.record(step, done, latents[done], losses)
            cancelled = done.numel() < index.numel() or bool(should_stop is not None and should_stop())
            if callback is not None:
                cancelled |= bool(callback(step, settings.steps, int(tracker.converged.sum()), tracker.curve[step]))
            if cancelled or step == settings.steps:
                break
            if peek is not None:
                peek(lambda: self._outcome(tracker, cancelled=True))
            going_on = tracker.active[done]
            factor = learning_rate_factor(step, settings.steps, settings.warmup, settings.decay)
            adam.step(done[going_on], gradients[going_on], settings.learning_rate * factor)
            stopped = done[~going_on]
            latents[stopped] = tracker.best[stopped]
        return self._outcome(tracker, cancelled)

    def _outcome(self, tracker: SliceTracker, cancelled: bool) -> SearchOutcome:
        parts = (tracker.best, tracker.best_loss, tracker.curve, tracker.steps_done, tracker.converged)
        return SearchOutcome(*parts, cancelled, self.batch_size)

    def _evaluate(
        self,
        objective: SliceObjective,
        latents: torch.Tensor,
        index: torch.Tensor,
        gradients: bool,
        should_stop: Callable[[], bool] | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses `(m,)` and gradients `(m, L, C)` of the first m slices of `index`; m < n only if asked to stop."""

        def evaluate(window: slice) -> tuple[torch.Tensor, torch.Tensor]:
            chosen = index[window]
            below = latents[(chosen - 1).clamp_min(0)]
            above = latents[(chosen + 1).clamp_max(latents.shape[0] - 1)]
            with torch.set_grad_enabled(gradients):
                codes = latents[chosen].requires_grad_(gradients)
                losses = objective(codes, chosen, below, above)
            slope = torch.autograd.grad(losses.sum(), codes)[0] if gradients else torch.zeros_like(codes)
            return losses.detach(), slope.detach()

        parts = []
        for part in halving_batches(evaluate, index.numel(), self.batch_size, self._shrink):
            parts.append(part)
            if should_stop is not None and should_stop():
                break
        return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])

    def _refit(self, objective: SliceObjective, latents: torch.Tensor) -> None:
        def render(window: slice) -> JointSample:
            with torch.no_grad(), autocast(latents.device, self.settings.mixed_precision):
                return objective.render(latents[window])

        parts = list(halving_batches(render, latents.shape[0], self.batch_size, self._shrink))
        objective.refit(JointSample(*(torch.cat(maps) for maps in zip(*parts, strict=True))))

    def _shrink(self, batch_size: int) -> None:
        self.batch_size = batch_size


@contextmanager
def ready_for_search(network: torch.nn.Module) -> Iterator[None]:
    """Make a network a fixed function that can be differentiated with respect to its input.

    Inside, gradients are recorded whatever the caller has switched off, parameters gather none, and layers are in
    evaluation mode; all of it is undone at the end.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    modes = [m for m in network.modules() if m.training]
    with torch.inference_mode(False), torch.enable_grad():
        try:
            for parameter in trained:
                parameter.requires_grad_(False)
            network.eval()
            yield
        finally:
            for parameter in trained:
                parameter.requires_grad_(True)
            for module in modes:
                module.training = True
