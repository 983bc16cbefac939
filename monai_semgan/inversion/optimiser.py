"""Search of latents for all slices of a volume at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from monai_semgan.errors import Cancelled
from monai_semgan.inversion.adam import SliceAdam, learning_rate_factor
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.stopping import SliceTracker
from monai_semgan.inversion.total import SliceObjective
from monai_semgan.networks import JointSample, Latent
from monai_semgan.networks.latent import chosen, joined
from monai_semgan.networks.layers import kept_kernels
from monai_semgan.utils.device import halving_batches
from monai_semgan.utils.progress import OnStep, Phase, StepEvent


@dataclass(frozen=True)
class SearchOutcome:
    """Hold what a search has found.

    Attributes:
        latent: best latent of every slice.
        loss: `(D,)` its loss.
        curve: `(steps + 1, D)` losses after every number of updates; NaN where not computed.
        steps_done: `(D,)` updates whose result has been evaluated.
        converged: `(D,)` bool.
        failed: `(D,)` bool: slices with a loss that was not finite.
        cancelled: the callback ended the search.
        batch_size: that fitted into memory.
    """

    latent: Latent
    loss: torch.Tensor
    curve: torch.Tensor
    steps_done: torch.Tensor
    converged: torch.Tensor
    failed: torch.Tensor
    cancelled: bool
    batch_size: int

    def copied(self) -> SearchOutcome:
        """Return a copy that the search, when it goes on, does not change."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        copies: dict[str, Any] = {k: v.clone() for k, v in tensors.items() if isinstance(v, (torch.Tensor, Latent))}
        return replace(self, **copies)


def better_of(first: SearchOutcome, second: SearchOutcome) -> SearchOutcome:
    """Slice by slice the outcome with the lower loss."""
    wins = second.loss < first.loss
    better: dict[str, Any] = {
        name: torch.where(wins.view(shape), getattr(second, name), getattr(first, name))
        for name, shape in (
            ("loss", -1),
            ("curve", (1, -1)),
            ("steps_done", -1),
            ("converged", -1),
            ("failed", -1),
        )
    }
    latent = chosen(wins, second.latent, first.latent)
    return SearchOutcome(
        latent, **better, cancelled=second.cancelled, batch_size=min(first.batch_size, second.batch_size)
    )


class LatentOptimiser:
    """Minimise a per-slice objective over the latents of all slices with Adam.

    Every step runs over the slices in batches and only then updates all latents, so neither the size of the batches
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
        start: Latent,
        active: torch.Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> SearchOutcome:
        """Search from a start.

        Args:
            objective: what to minimise.
            start: of all slices.
            active: `(D,)` bool, slices to optimise; all by default. The others stay at their start.
            on_step: called between batches and after every step, with the `SearchOutcome` so far as partial result.

        Returns:
            The best latents so far, also when `on_step` has ended the search by `Cancelled`.
        """
        settings = self.settings
        latents = start.clone().float()
        if active is None:
            active = torch.ones(len(latents), dtype=torch.bool, device=latents.device)
        tracker = SliceTracker(latents, active, settings.steps, settings.tolerance, settings.patience)
        listener = _Listener(on_step, tracker, settings.steps, lambda: self._outcome(tracker, False).copied())
        adams = [SliceAdam(part) for part in latents.parts]
        for step in range(settings.steps + 1):
            index = tracker.active_index
            if index.numel() == 0:
                break
            if objective.adapts and step % settings.refit_every == 0 and step < max(1, settings.steps):
                self.refit(objective, latents)
                tracker.forget()
            losses, gradients = self._evaluate(objective, latents, index, step < settings.steps, listener)
            done = index[: losses.shape[0]]
            tracker.record(step, done, latents[done], losses)
            listener.after_step(step)
            if listener.cancelled or step == settings.steps:
                break
            going_on = tracker.active[done]
            factor = learning_rate_factor(step, settings.steps, settings.warmup, settings.decay)
            rates = (settings.learning_rate, settings.spatial_learning_rate)
            for adam, gradient, rate in zip(adams, gradients[going_on].parts, rates, strict=False):
                adam.step(done[going_on], gradient, rate * factor)
            stopped = done[~going_on]
            latents.put(stopped, tracker.best[stopped])
        return self._outcome(tracker, listener.cancelled)

    def refit(self, objective: SliceObjective, latents: Latent) -> None:
        """Fit what the slices share to the renderings of all latents."""

        index = torch.arange(len(latents), device=latents.device)

        def render(window: slice) -> JointSample:
            with torch.no_grad():
                return objective.renderings(latents[window], index[window])

        parts = list(halving_batches(render, len(latents), self.batch_size, self._shrink))
        objective.refit(JointSample(*(torch.cat(maps) for maps in zip(*parts, strict=True))))

    def losses(self, objective: SliceObjective, latents: Latent) -> torch.Tensor:
        """Evaluate latents as they are: `(D,)`, infinite where the loss is not a number."""
        index = torch.arange(len(latents), device=latents.device)
        losses, _ = self._evaluate(objective, latents, index, gradients=False)
        return losses.nan_to_num(nan=float("inf"))

    def _outcome(self, tracker: SliceTracker, cancelled: bool) -> SearchOutcome:
        parts = (tracker.best, tracker.best_loss, tracker.curve, tracker.steps_done, tracker.converged, tracker.failed)
        return SearchOutcome(*parts, cancelled, self.batch_size)

    def _evaluate(
        self,
        objective: SliceObjective,
        latents: Latent,
        index: torch.Tensor,
        gradients: bool,
        listener: _Listener | None = None,
    ) -> tuple[torch.Tensor, Latent]:
        """Losses `(m,)` and gradients of the first m slices of `index`; m < n only if told to stop."""

        def evaluate(window: slice) -> tuple[torch.Tensor, Latent]:
            rows = index[window]
            with torch.set_grad_enabled(gradients):
                batch = latents[rows].map(lambda part: part.requires_grad_(gradients))
                losses = objective(batch, rows, latents)
            found = Latent(*torch.autograd.grad(losses.sum(), batch.parts)) if gradients else batch
            return losses.detach(), found.map(torch.Tensor.detach)

        parts, done = [], 0
        for part in halving_batches(evaluate, index.numel(), self.batch_size, self._shrink):
            parts.append(part)
            done += part[0].shape[0]
            if listener is not None and done < index.numel():
                listener.after_batch()
                if listener.cancelled:
                    break
        return torch.cat([p[0] for p in parts]), joined([p[1] for p in parts])

    def _shrink(self, batch_size: int) -> None:
        self.batch_size = batch_size


class _Listener:
    """Tell a callback what a search does, and remember whether it wants the search to end."""

    def __init__(
        self, on_step: OnStep | None, tracker: SliceTracker, steps: int, partial: Callable[[], SearchOutcome]
    ) -> None:
        self.on_step, self.tracker, self.steps, self.partial = on_step, tracker, steps, partial
        self.cancelled = False
        self._step = self._converged = 0

    def after_batch(self) -> None:
        """Give the chance to leave within a step, which takes long on a slow machine."""
        self._tell("batch", None)

    def after_step(self, step: int) -> None:
        """Tell of a step, unless the search has been left within it."""
        if self.on_step is not None and not self.cancelled:
            self._step, self._converged = step, int(self.tracker.converged.sum())
            self._tell("step", self.tracker.curve[step])

    def _tell(self, phase: Phase, losses: torch.Tensor | None) -> None:
        if self.on_step is None:
            return
        slices = len(self.tracker.best)
        event = StepEvent(phase, self._step, self.steps, slices, self._converged, losses, self.partial)
        try:
            self.on_step(event)
        except Cancelled:
            self.cancelled = True


@contextmanager
def constant(network: torch.nn.Module) -> Iterator[None]:
    """Compute no gradients of a network's weights inside; afterwards they are wanted as before."""
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


@contextmanager
def ready_for_search(network: torch.nn.Module) -> Iterator[None]:
    """Make a network a fixed function that can be differentiated with respect to its input.

    Inside, gradients are recorded whatever the caller has switched off, parameters gather none, and layers are in
    evaluation mode; all of it is undone at the end. Kernels are prepared once.
    """
    modes = [m for m in network.modules() if m.training]
    with torch.inference_mode(False), torch.enable_grad(), kept_kernels(network), constant(network):
        try:
            network.eval()
            yield
        finally:
            for module in modes:
                module.training = True
