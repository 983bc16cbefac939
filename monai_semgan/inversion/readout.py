"""What latents say of slices: renderings, labels and their uncertainty, put together into an `InversionResult`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from monai_semgan.inversion.constraints import constrained_slices, impose
from monai_semgan.inversion.optimiser import SearchOutcome
from monai_semgan.inversion.renderings import Keep, KnownRenderings
from monai_semgan.inversion.result import InversionResult, predictive_entropy, residual_map
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.networks import JointSample, Latent
from monai_semgan.utils.device import halving_batches


class Readout:
    """Read labels and images from latents of the slices of a volume.

    Args:
        renderings: renders, and remembers what has been rendered.
        target: slices `(D, C, H, W)`.
        student: `(D, K, H, W)` probabilities to mix in, or None.
        student_weight: their weight in the result.
        constraints: pixels whose label is known, or None.
        in_domain: the slices are of the modality that the generator has learnt.
        objective: name of the reconstruction objective.
    """

    def __init__(
        self,
        renderings: KnownRenderings,
        target: torch.Tensor,
        student: torch.Tensor | None,
        student_weight: float,
        constraints: PixelConstraints | None,
        in_domain: bool,
        objective: str,
    ) -> None:
        self.renderings, self.target, self.constraints = renderings, target, constraints
        self.student, self.student_weight = student, student_weight
        self.in_domain, self.objective = in_domain, objective

    def labels(self, latents: Latent, batch_size: int) -> torch.Tensor:
        """Render the class ids `(D, H, W)` of latents to start from."""
        return self._in_batches(
            lambda window: (self._rendered(latents, window, "start").logits.argmax(1),), batch_size
        )[0]

    def result(
        self,
        start: Latent,
        outcome: SearchOutcome,
        further: list[Latent],
        batch_size: int,
        average: Callable[[torch.Tensor], torch.Tensor | None] | None,
    ) -> InversionResult:
        """Render the best latents, and measure how far opinions differ.

        Args:
            start: latents that the search began with.
            outcome: what it has found.
            further: latents of the D slices that are opinions, too.
            batch_size: slices rendered together.
            average: rendered probabilities `(D, K, H, W)` to better ones, or to None if someone wants to stop; when
                left out, those that are rendered count.
        """
        opinions = [outcome.latent, *(other for other in further if other is not outcome.latent)]
        found = self._in_batches(lambda window: self._opinions(opinions, start, window), batch_size)
        image, probabilities, uncertainty = found
        del found
        if average is not None:
            probabilities, uncertainty = self._averaged(average, probabilities, uncertainty)
        if self.student is not None:
            probabilities = torch.lerp(probabilities, self.student, self.student_weight)
        if self.constraints is not None:
            probabilities = impose(self.constraints, probabilities)
        return InversionResult(
            label=probabilities.argmax(1).to(torch.uint8),
            probabilities=probabilities,
            reconstruction=image,
            residual=residual_map(self.target, image, self.in_domain),
            uncertainty=uncertainty,
            latent=outcome.latent,
            curve=outcome.curve,
            steps_done=outcome.steps_done,
            converged=outcome.converged,
            failed=outcome.failed,
            cancelled=outcome.cancelled,
            objective=self.objective,
            batch_size=batch_size,
        )

    def _rendered(self, latents: Latent, window: slice, keep: Keep = None) -> JointSample:
        index = torch.arange(self.target.shape[0], device=self.target.device)[window]
        return self.renderings(latents[window], index, keep)

    def _opinions(self, latents: list[Latent], start: Latent, window: slice) -> tuple[torch.Tensor, ...]:
        """Of some slices: image and probabilities of the first latents, and the uncertainty of all opinions."""
        if len(latents) > 1:
            self._rendered(start, window, "start")  # first, since slices without search render nothing else
        renderings = [self._rendered(one, window) for one in latents]
        members = [rendering.logits.float().softmax(1) for rendering in renderings]
        if self.student is not None:
            members.append(self.student[window])
        return renderings[0].image, members[0], predictive_entropy(members)

    def _averaged(
        self,
        average: Callable[[torch.Tensor], torch.Tensor | None],
        rendered: torch.Tensor,
        uncertainty: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Average what was rendered, but on slices with pixels that a user has fixed: there the search has the word.

        Who wants to stop gets what was rendered.
        """
        probabilities = average(rendered)
        if probabilities is None:
            return rendered, uncertainty
        if self.constraints is not None:
            fixed = constrained_slices(self.constraints).to(rendered.device)
            probabilities = torch.where(fixed[:, None, None, None], rendered, probabilities)
        return probabilities, torch.maximum(uncertainty, predictive_entropy([rendered, probabilities]))

    def _in_batches(self, function: Callable[[slice], tuple[torch.Tensor, ...]], batch_size: int) -> list[torch.Tensor]:
        """What a function gives for all slices; batch by batch, since all at once several times over takes GB."""

        def run(window: slice) -> tuple[torch.Tensor, ...]:
            with torch.no_grad():
                return tuple(part.float() for part in function(window))

        total, done = self.target.shape[0], 0
        whole: list[torch.Tensor] = []
        for parts in halving_batches(run, total, batch_size):
            whole = whole or [part.new_empty(total, *part.shape[1:]) for part in parts]
            for kept, part in zip(whole, parts, strict=True):
                kept[done : done + part.shape[0]] = part
            done += parts[0].shape[0]
        return whole
