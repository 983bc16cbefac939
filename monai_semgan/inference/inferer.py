"""Inference slice by slice: feed-forward, by inversion, or by both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from monai.inferers import SliceInferer
from monai.utils import convert_to_dst_type

from monai_semgan.errors import SemganError
from monai_semgan.inference.preview import PreviewSettings, preview_parts, preview_slices, with_shares
from monai_semgan.inference.segmentation import MODES
from monai_semgan.inference.views import rendered_average
from monai_semgan.inversion.constraints import check_constraints, kept_from_dividing
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.objectives.registry import AUTO, check_objective
from monai_semgan.inversion.result import InversionResult, predictive_entropy
from monai_semgan.inversion.search import CPU_BATCH, VolumeInverter
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.modalities import header_modality
from monai_semgan.networks import InversionSegmenter, Latent
from monai_semgan.utils.gpu import with_cpu_fallback
from monai_semgan.utils.progress import OnStep, StepEvent
from monai_semgan.utils.settings import make_settings


class SliceInversionInferer(SliceInferer):
    """Segment a stack of slices along the last axis of a volume.

    `preview` runs the student, as MONAI's `SliceInferer` does. `encoder` renders the encoder's latents. `invert`
    optimises them until they render the slice (Li et al., CVPR 2021). `refine` lets student and inversion
    work together: the student's labels guide the search and are averaged with the rendered ones.

    Works under `torch.no_grad()` and `torch.inference_mode()`; leaves the network as it was.

    Args:
        settings: of the inversion: an object, a mapping of its fields, or None for the defaults.
        mode: one of `MODES`.
        modality: what the generator has learnt; slices of another modality are out of domain.
        preview: views and smoothing of the probabilities, in the same forms.
        steps: of the inversion, in place of those of `settings`.
        objective: of the inversion, in place of that of `settings`.
    """

    def __init__(
        self,
        settings: InversionSettings | Mapping[str, Any] | None = None,
        mode: str = "invert",
        modality: str = "CT",
        preview: PreviewSettings | Mapping[str, Any] | None = None,
        steps: int | None = None,
        objective: str | None = None,
    ) -> None:
        if mode not in MODES:
            raise SemganError(f"unknown mode {mode!r}", remedy=f"use one of {', '.join(MODES)}")
        self.run_mode = mode
        self.settings = (
            settings if isinstance(settings, InversionSettings) else make_settings(InversionSettings, settings or {})
        )
        changes = {name: value for name, value in (("steps", steps), ("objective", objective)) if value is not None}
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        if self.settings.objective != AUTO:
            check_objective(self.settings.objective)
        self.preview_settings = (
            preview if isinstance(preview, PreviewSettings) else make_settings(PreviewSettings, preview or {})
        )
        self.modality = header_modality(modality)
        super().__init__(spatial_dim=2, roi_size=(1, 1), sw_batch_size=self.settings.batch_size or CPU_BATCH)

    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: InversionSegmenter, *args: Any, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Segment volumes.

        Args:
            inputs: `(N, C, H, W, D)` in -1..1.
            network: of a bundle.
            args: not used, as in MONAI's inferers.
            kwargs: passed to `invert`.

        Returns:
            `seg` probabilities `(N, K, H, W, D)` and `uncertainty` `(N, 1, H, W, D)`; in all modes but `preview` also
            `recon` `(N, C, H, W, D)` and `residual` `(N, 1, H, W, D)`. Meta data of `inputs` is passed on.
        """

        def compute(model: InversionSegmenter) -> dict[str, torch.Tensor]:
            return self._outputs(inputs if model is network else inputs.cpu(), model, kwargs)

        outputs, _ = with_cpu_fallback(network, compute)
        return {name: convert_to_dst_type(value, inputs)[0] for name, value in outputs.items()}

    def _outputs(
        self, inputs: torch.Tensor, network: InversionSegmenter, kwargs: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]:
        modality, distance = slice_facts(inputs)
        if self.run_mode == "preview":
            if kwargs.get("constraints") is not None:
                remedy = "use another mode, or Corrector, which follows strokes without an inversion"
                raise SemganError("mode preview knows no constraints", remedy=remedy)
            probabilities = self.preview(inputs, network, modality, distance)
            uncertainty = predictive_entropy([probabilities])[:, None]
            return {"seg": probabilities, "uncertainty": uncertainty}
        results = [self.invert(volume[None], network, **{"modality": modality, **kwargs}) for volume in inputs]
        return {
            "seg": torch.stack([_volume(r.probabilities) for r in results]),
            "recon": torch.stack([_volume(r.reconstruction) for r in results]),
            "residual": torch.stack([_volume(r.residual[:, None]) for r in results]),
            "uncertainty": torch.stack([_volume(r.uncertainty[:, None]) for r in results]),
        }

    def preview(
        self, inputs: torch.Tensor, network: InversionSegmenter, modality: str | None = None, distance_mm: float = 0.0
    ) -> torch.Tensor:
        """Compute the student's probabilities `(N, K, H, W, D)` for `(N, C, H, W, D)`; see `preview_slices`."""
        out_of_domain = modality is not None and header_modality(modality) != self.modality
        plain = getattr(inputs, "as_tensor", lambda: inputs)()
        parts = [
            preview_slices(network, volume.permute(3, 0, 1, 2), self.preview_settings, out_of_domain, distance_mm)
            for volume in plain
        ]
        return torch.stack([_volume(part) for part in parts]).to(inputs.device)

    def invert(
        self,
        inputs: torch.Tensor,
        network: InversionSegmenter,
        start: Latent | torch.Tensor | None = None,
        *,
        modality: str | None = None,
        student: torch.Tensor | None = None,
        constraints: PixelConstraints | None = None,
        active: torch.Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> InversionResult:
        """Invert one volume; in mode `refine` with the student's help, in mode `encoder` without any step.

        Args:
            inputs: `(1, C, H, W, D)` in -1..1.
            network: of a bundle.
            start: latents to start from, such as the `latent` of an earlier result.
            modality: of the volume; decides what objective `auto` is. That of the generator when left out.
            student: probabilities `(D, K, H, W)` for mode `refine` in place of the plain student's; of the classes that
                the generator renders.
            constraints: pixels whose label is known; it is theirs in the result, whatever is found.
            active: `(D,)` bool, slices to optimise; all by default.
            on_step: called with a `StepEvent` at the start, between batches and after every step, which makes an
                `InversionResult` of what has been found when asked for it; `Cancelled` ends the search.

        Returns:
            Everything about the volume, on the grid of the slices.

        Raises:
            SemganError: if the volume does not have the size of the generator, or the constraints are of other slices
                or of a class that it does not render.
        """
        if inputs.ndim != 5 or inputs.shape[0] != 1:
            raise SemganError(f"input of shape {tuple(inputs.shape)}", remedy="give one volume as (1, C, H, W, D)")
        slices = getattr(inputs, "as_tensor", lambda: inputs)()[0].permute(3, 0, 1, 2)
        settings = self.settings.rendering_only() if self.run_mode == "encoder" else self.settings
        network.check_renders(f"mode {self.run_mode}")
        if constraints is not None:
            check_constraints(constraints, slices, network.generator.num_classes)
        in_domain = modality is None or header_modality(modality) == self.modality
        distance = slice_facts(inputs)[1]
        shares: list[torch.Tensor] = []
        if network.added_counts or (self.run_mode == "refine" and student is None):
            views = self.preview_settings
            found, shares = preview_parts(network, slices, views, not in_domain, distance, slices.device)
            student = found.to(slices.device) if student is None else student
        if constraints is not None:
            shares = [kept_from_dividing(constraints, share) for share in shares]
        inverter = VolumeInverter(network, settings, in_domain)
        student = student if self.run_mode == "refine" else None
        average = rendered_average(network, slices, self.preview_settings, settings, not in_domain, distance)

        def tell(event: StepEvent[InversionResult]) -> None:
            assert on_step is not None
            on_step(event.converted(lambda result: with_shares(result, shares)))

        told = None if on_step is None else tell
        return with_shares(inverter.run(slices, start, student, constraints, active, told, average), shares)


def slice_facts(inputs: torch.Tensor) -> tuple[str | None, float]:
    """Read modality and distance of the slices in mm from the meta data of volumes `(N, C, H, W, D)`; else None and 0.

    Modality is what `PlanSlicesd` notes; all volumes of a batch are taken to be alike.
    """
    meta = getattr(inputs, "meta", None) or {}
    modality = meta.get("modality")
    if isinstance(modality, (list, tuple)):  # collated by a data loader
        modality = modality[0]
    if modality is None or meta.get("affine") is None:
        return modality, 0.0
    affine = torch.as_tensor(meta["affine"], dtype=torch.float64).reshape(-1, 4, 4)[0]
    return str(modality), float(affine[:3, 2].norm())


def _volume(slices: torch.Tensor) -> torch.Tensor:
    """`(D, C, H, W)` to `(C, H, W, D)`."""
    return slices.permute(1, 2, 3, 0)
