"""Inversion of all slices of a volume, from their intensities to an `InversionResult`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.inversion.constraints import constrained_slices
from monai_semgan.inversion.guidance import LabelGuidance
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.objectives.base import ReconstructionObjective
from monai_semgan.inversion.objectives.registry import build_objective
from monai_semgan.inversion.optimiser import LatentOptimiser, SearchOutcome, better_of, ready_for_search
from monai_semgan.inversion.prior import LatentPrior
from monai_semgan.inversion.readout import Readout
from monai_semgan.inversion.renderings import KnownRenderings
from monai_semgan.inversion.restarts import EncoderFeatures, encoder_start, mean_start, varied_start
from monai_semgan.inversion.result import InversionResult
from monai_semgan.inversion.selection import near_organs
from monai_semgan.inversion.total import SliceObjective
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.networks import InversionSegmenter, Latent
from monai_semgan.networks.latent import chosen
from monai_semgan.utils.progress import OnStep, StepEvent

IN_DOMAIN_OBJECTIVE = "features"
OUT_OF_DOMAIN_OBJECTIVE = "map-features"
CPU_BATCH, GPU_BATCH = 4, 128

Average = Callable[[torch.Tensor, OnStep], torch.Tensor]
"""Probabilities `(D, K, H, W)` of slices to better ones; the second is called between batches."""


class VolumeInverter:
    """Find latents for the slices of a volume and read their labels.

    Args:
        network: generator, encoder and student.
        settings: how to search.
        in_domain: the slices are of the modality that the generator has learnt.
        reconstruction: objective to use in place of the one that the settings name.
    """

    def __init__(
        self,
        network: InversionSegmenter,
        settings: InversionSettings | None = None,
        in_domain: bool = True,
        reconstruction: ReconstructionObjective | None = None,
    ) -> None:
        network.check_renders("an inversion")
        self.network = network
        self.settings = settings or InversionSettings()
        self.in_domain = in_domain
        self.objective_name = self.settings.objective
        if self.objective_name == "auto":
            self.objective_name = IN_DOMAIN_OBJECTIVE if in_domain else OUT_OF_DOMAIN_OBJECTIVE
        self.features = EncoderFeatures(network.encoder)
        self.reconstruction = reconstruction or build_objective(self.objective_name, self.features)

    def run(
        self,
        slices: torch.Tensor,
        start: Latent | torch.Tensor | None = None,
        student: torch.Tensor | None = None,
        constraints: PixelConstraints | None = None,
        active: torch.Tensor | None = None,
        on_step: OnStep | None = None,
        average: Average | None = None,
    ) -> InversionResult:
        """Invert slices.

        Args:
            slices: `(D, C, H, W)` in -1..1, neighbours in the patient being neighbours here.
            start: latents of the D slices to start from in place of the settings' choice, such as those of an earlier
                result; W+ `(D, L, C)` alone has a spatial part of 0.
            student: `(D, K, H, W)` probabilities that guide the search and are mixed into the result.
            constraints: pixels whose label is known.
            active: `(D,)` bool, slices to search for; the others only take their start. All by default.
            on_step: called at the start, between batches and after every step, those of all restarts counted through;
                its events make an `InversionResult` when asked for a partial result.
            average: applied to the rendered probabilities at the end, unless the search was cancelled: averages them
                with those of further views, and smooths them across slices.

        Returns:
            The result; with `cancelled`, the best so far, when `on_step` has raised `Cancelled`.

        Raises:
            SemganError: if the slices do not have the generator's size or channels, or the start is none for it.
        """
        self._check(slices)
        given = None if start is None else self._as_latent(start, slices.shape[0]).to(slices.device).clone().float()
        with ready_for_search(self.network):
            target = slices.detach().clone().float()
            student = None if student is None else student.detach().to(target.device).float().clone()
            search = _Search(self, target, student, constraints, on_step, average)
            return search.run(given, None if active is None else active.to(target.device).clone())

    def _check(self, slices: torch.Tensor) -> None:
        generator = self.network.generator
        expected = (generator.image_channels, generator.size, generator.size)
        if slices.ndim != 4 or tuple(slices.shape[1:]) != expected or slices.shape[0] == 0:
            found, wanted = ("x".join(map(str, shape)) for shape in (slices.shape, ("D", *expected)))
            raise SemganError(f"slices of shape {found}, the model needs {wanted}", remedy="resample the volume")

    def _as_latent(self, start: Latent | torch.Tensor, count: int) -> Latent:
        """Complete and check latents that were given.

        Raises:
            SemganError: if they are of another generator or of another number of slices.
        """
        expected = self.network.encoder.start(self.network.generator, count)
        latent = start if isinstance(start, Latent) else Latent(start)
        if latent.spatial is None and expected.spatial is not None:
            latent = Latent(latent.w_plus, expected.spatial)
        if [part.shape for part in latent.parts] != [part.shape for part in expected.parts]:
            found, wanted = (" and ".join(_shape(part) for part in one.parts) for one in (latent, expected))
            problem = f"latents of shape {found} to start from, these slices and this model need {wanted}"
            raise SemganError(problem, remedy="start from a result of this model for this scan, or from none")
        return latent


def _shape(part: torch.Tensor) -> str:
    return "x".join(map(str, part.shape))


class _Search:
    """One call of `VolumeInverter.run`."""

    def __init__(
        self,
        inverter: VolumeInverter,
        target: torch.Tensor,
        student: torch.Tensor | None,
        constraints: PixelConstraints | None,
        on_step: OnStep | None,
        average: Average | None,
    ) -> None:
        self.average = average
        self.inverter, self.network, self.settings = inverter, inverter.network, inverter.settings
        self.target, self.student, self.constraints = target, student, constraints
        self.on_step = on_step
        self.cancelled = False
        self.batch_size = self.settings.batch_size or (GPU_BATCH if target.device.type == "cuda" else CPU_BATCH)
        self.prior = LatentPrior.from_network(self.network, seed=self.settings.seed)
        self.renderings = KnownRenderings(self.network.render, target.shape[0])
        self.state: Any = None
        self.guidance = LabelGuidance(student) if student is not None else None
        self.readout = Readout(
            self.renderings,
            target,
            student,
            self.settings.student_weight,
            constraints,
            inverter.in_domain,
            inverter.objective_name,
        )

    def run(self, given: Latent | None, active: torch.Tensor | None) -> InversionResult:
        """Search from every start, keep the best latent of each slice and render it."""
        steps = self.settings.steps * self.settings.restarts
        self._tell(StepEvent("start", 0, steps, self.target.shape[0]))
        features = self._prepare()
        start = self._first_start(features) if given is None else given
        del features
        if active is None and self.settings.organ_margin is not None:
            active = self._near_organs(start, self.settings.organ_margin)
        outcome: SearchOutcome | None = None
        renderings: list[Latent] = []
        for number in range(self.settings.restarts):
            first = start if number == 0 else self._varied(start, number)
            optimiser = LatentOptimiser(self.settings, self.batch_size)
            on_step = self._on_step(number, start, outcome, renderings)
            found = optimiser.run(self._objective(first), first, active, on_step)
            self.batch_size = found.batch_size
            renderings.append(found.latent)
            outcome = self._better(outcome, found, refit=True)
            if found.cancelled:
                break
        assert outcome is not None
        return self._finish(start, outcome, renderings)

    def _varied(self, start: Latent, number: int) -> Latent:
        mean = mean_start(self.network, len(start))
        return varied_start(start, mean, self.prior, number, self.settings.seed)

    def _tell(self, event: StepEvent[InversionResult]) -> None:
        """Tell the caller, and remember a wish to stop."""
        if self.on_step is not None:
            try:
                self.on_step(event)
            except Cancelled:
                self.cancelled = True

    def _near_organs(self, start: Latent, margin: int) -> torch.Tensor:
        labels = [self.readout.labels(start, self.batch_size)]
        if self.student is not None:
            labels.append(self.student.argmax(1))
        chosen = near_organs(labels, margin)
        if self.constraints is not None:
            chosen |= constrained_slices(self.constraints).to(chosen.device)
        return chosen

    def _prepare(self) -> list[torch.Tensor] | None:
        """Prepare the targets; return the encoder's two coarsest maps of them, if that has computed any."""
        with self.inverter.features.remembered() as seen:
            self.state = self.inverter.reconstruction.prepare(self.target)
        if not seen:
            return None
        images, *features = (torch.cat(parts) for parts in zip(*seen, strict=True))
        return features if torch.equal(images, self.target) else None

    def _first_start(self, features: list[torch.Tensor] | None) -> Latent:
        count = self.target.shape[0]
        if self.settings.start == "mean":
            return mean_start(self.network, count)
        encoded = encoder_start(self.network, self.target, self.batch_size, features)
        if self.settings.start == "encoder" or self.cancelled:  # who wants to stop does not wait for the comparison
            return encoded
        mean = mean_start(self.network, count)
        losses = self._comparable_losses([encoded, mean], refit=True)
        return chosen(losses[0] <= losses[1], encoded, mean)

    def _comparable_losses(self, candidates: list[Latent], refit: bool) -> list[torch.Tensor]:
        """Losses `(D,)` of several latents under one and the same objective.

        An objective that fits a map to the renderings has another scale after every fit, so losses of different
        searches say nothing about which is better.

        Args:
            candidates: latents.
            refit: fit such a map to the first candidate; otherwise the map stays as it is.
        """
        settings = replace(self.settings, steps=0, neighbour_weight=0.0, start_weight=0.0)
        objective = self._objective(candidates[0], settings)
        optimiser = LatentOptimiser(settings, self.batch_size)
        if refit and objective.adapts:
            optimiser.refit(objective, candidates[0])
        return [optimiser.losses(objective, latents) for latents in candidates]

    def _better(self, former: SearchOutcome | None, found: SearchOutcome, refit: bool) -> SearchOutcome:
        """Slice by slice the better of two outcomes."""
        if former is None:
            return found
        if self._objective(former.latent).adapts:
            first, second = self._comparable_losses([former.latent, found.latent], refit)
            former, found = replace(former, loss=first), replace(found, loss=second)
        return better_of(former, found)

    def _objective(self, start: Latent, settings: InversionSettings | None = None) -> SliceObjective:
        reconstruction, settings = self.inverter.reconstruction, settings or self.settings
        return SliceObjective(
            self.renderings,
            reconstruction,
            self.state,
            self.prior,
            start,
            settings,
            self.guidance,
            self.constraints,
        )

    def _on_step(
        self, number: int, start: Latent, former: SearchOutcome | None, renderings: list[Latent]
    ) -> OnStep | None:
        """Pass the events of one search on, its steps counted from the first search, its partial results rendered."""
        if self.on_step is None:
            return None
        pass_on, each, total = self.on_step, self.settings.steps, self.settings.steps * self.settings.restarts

        def finish(found: SearchOutcome) -> InversionResult:
            whole = self._finish(start, replace(self._better(former, found, refit=False), cancelled=True), renderings)
            return replace(whole, cancelled=False)  # the search goes on

        def on_step(event: StepEvent[SearchOutcome]) -> None:
            if self.cancelled:
                raise Cancelled
            pass_on(replace(event.converted(finish), step=number * each + event.step, steps=total))

        return on_step

    def _finish(self, start: Latent, outcome: SearchOutcome, renderings: list[Latent]) -> InversionResult:
        further: list[Latent] = []
        if not outcome.cancelled:
            further = [start, *renderings] if len(renderings) > 1 else [start]
        cancelled = outcome.cancelled or self.cancelled
        average = self._averaged if self.average is not None and not cancelled else None
        result = self.readout.result(start, outcome, further, self.batch_size, average)
        return replace(result, cancelled=outcome.cancelled or self.cancelled)  # while averaging, too

    def _averaged(self, rendered: torch.Tensor) -> torch.Tensor | None:
        """Average what was rendered, unless the caller wants to stop meanwhile."""
        assert self.average is not None
        steps = self.settings.steps * self.settings.restarts

        def on_step(event: StepEvent[Any]) -> None:
            self._tell(StepEvent("batch", steps, steps, len(rendered)))
            if self.cancelled:
                raise Cancelled

        try:
            return self.average(rendered, on_step)
        except Cancelled:
            return None
