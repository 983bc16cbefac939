"""The modes of a segmentation on prepared slices: settings from the bundle, probabilities out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_semgan.bundle.labels import CONFIG
from monai_semgan.inference.preview import PreviewSettings, preview_parts, preview_slices, with_shares
from monai_semgan.inference.views import rendered_average
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.objectives.registry import AUTO, check_objective
from monai_semgan.inversion.search import VolumeInverter
from monai_semgan.utils.progress import OnStep, StepEvent
from monai_semgan.utils.settings import field_names, make_settings, refuse_unknown
from monai_semgan.utils.shared_background import divided

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inversion.result import InversionResult
    from monai_semgan.slicing.prepared import PreparedVolume


def preview_settings(bundle: Bundle, batch_size: int | None = None) -> PreviewSettings:
    """Read the bundle's settings of the preview."""
    values = bundle.settings.get("preview", {})
    settings = make_settings(PreviewSettings, values, where="preview#", path=bundle.folder / CONFIG)
    return replace(settings, batch_size=batch_size) if batch_size is not None else settings


def inversion_settings(bundle: Bundle, mode: str, **changes: Any) -> InversionSettings:
    """Read the bundle's settings of a mode and apply the user's changes; values of None change nothing.

    Raises:
        SemganError: if a setting or the objective is unknown, or a value makes no sense.
    """
    section = "refine" if mode == "refine" else "invert"
    values = bundle.settings.get(section, {})
    settings = make_settings(InversionSettings, values, where=f"{section}#", path=bundle.folder / CONFIG)
    refuse_unknown(changes, field_names(InversionSettings))
    settings = replace(settings, **{name: value for name, value in changes.items() if value is not None})
    if settings.objective != AUTO:
        check_objective(settings.objective)
    return settings.rendering_only() if mode == "encoder" else settings


def preview(
    bundle: Bundle, prepared: PreparedVolume, settings: PreviewSettings | None = None, on_step: OnStep | None = None
) -> torch.Tensor:
    """Compute the student's probabilities `(D, K, H, W)` of all slices, on the CPU.

    Raises:
        Cancelled: if `on_step` raises it.
    """
    settings = settings or PreviewSettings()
    out_of_domain, device, distance = is_out_of_domain(bundle, prepared), bundle.device, slice_distance(prepared)
    return preview_slices(bundle.network, prepared.image, settings, out_of_domain, distance, device, on_step)


def student_for(
    bundle: Bundle, prepared: PreparedVolume, mode: str, on_step: OnStep | None
) -> tuple[torch.Tensor | None, list[torch.Tensor]]:
    """Compute what an inversion needs of the student: see `preview_parts`, None for probabilities that it does not.

    Mode `refine` needs its probabilities; every mode the shares of structures that were added to the model, which the
    generator does not render.
    """
    if mode != "refine" and not bundle.network.added_counts:
        return None, []
    out_of_domain, device, distance = is_out_of_domain(bundle, prepared), bundle.device, slice_distance(prepared)
    views = preview_settings(bundle)
    found, shares = preview_parts(bundle.network, prepared.image, views, out_of_domain, distance, device, on_step)
    return (found if mode == "refine" else None), shares


def is_out_of_domain(bundle: Bundle, prepared: PreparedVolume) -> bool:
    """Tell whether a scan is of a modality that the model has not learnt."""
    return bool(bundle.modalities) and prepared.modality not in bundle.modalities


def slice_distance(prepared: PreparedVolume) -> float:
    """Compute the distance of neighbouring slices in mm."""
    return float(np.linalg.norm(prepared.geometry.grid_affine[:3, 2]))


def invert(
    bundle: Bundle,
    prepared: PreparedVolume,
    settings: InversionSettings,
    mode: str,
    on_step: OnStep | None = None,
    finished: Callable[[torch.Tensor, InversionResult | None], object] | None = None,
) -> InversionResult:
    """Search the latents of the slices; with the preview's help where the mode is `refine`.

    Args:
        bundle: the model.
        prepared: the slices.
        settings: see `inversion_settings`.
        mode: `encoder`, `invert` or `refine`.
        on_step: told after every step; see `segment`.
        finished: makes a segmentation of what was found so far, for `on_step`.

    Returns:
        The result, on the CPU.
    """
    settings = settings.rendering_only() if mode == "encoder" else settings
    out_of_domain, views = is_out_of_domain(bundle, prepared), preview_settings(bundle)
    inverter = VolumeInverter(bundle.network, settings, in_domain=not out_of_domain)
    first, shares = student_for(bundle, prepared, mode, on_step)

    def whole(result: InversionResult) -> object:
        assert finished is not None
        result = with_shares(result.to("cpu"), shares)
        return finished(result.probabilities, result)

    def previewed() -> object:
        assert finished is not None and first is not None
        return finished(divided(first, shares), None)

    def told(event: StepEvent[Any]) -> None:
        assert on_step is not None
        if event.phase == "start" and first is not None:
            on_step(replace(event, make_partial=previewed))
        else:
            on_step(event.converted(whole))

    distance = slice_distance(prepared)
    average = rendered_average(bundle.network, prepared.image, views, settings, out_of_domain, distance)
    result = inverter.run(
        prepared.image.to(bundle.device),
        student=None if first is None else first.to(bundle.device),
        on_step=None if on_step is None else told,
        average=average,
    )
    return with_shares(result.to("cpu"), shares)
