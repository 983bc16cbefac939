"""The preview: probabilities of the student for all slices of a volume."""

from __future__ import annotations

from dataclasses import replace

import torch

from monai_semgan.inference.views import Look, LookWithAdded, PreviewSettings, average_views
from monai_semgan.inversion.result import InversionResult
from monai_semgan.utils.progress import OnStep
from monai_semgan.utils.shared_background import divided

__all__ = ["PreviewSettings", "preview_parts", "preview_slices", "with_shares"]


def preview_slices(
    network: torch.nn.Module,
    image: torch.Tensor,
    settings: PreviewSettings,
    out_of_domain: bool = False,
    distance_mm: float = 0.0,
    device: torch.device | None = None,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """Compute the student's probabilities `(D, K, H, W)` of all slices `(D, C, H, W)`, on the CPU.

    Args:
        network: of a bundle.
        image: slices in -1..1, neighbours in the patient being neighbours here.
        settings: how they are averaged and smoothed.
        out_of_domain: the scan is of a modality that the model has not learnt.
        distance_mm: of neighbouring slices; 0 if it is not known, then nothing is smoothed across them.
        device: where to compute; that of `image` when left out.
        on_step: called before the first and after every batch.

    Returns:
        Probabilities, those of structures that were added to the model last.

    Raises:
        Cancelled: if `on_step` raises it.
    """
    found, shares = preview_parts(network, image, settings, out_of_domain, distance_mm, device, on_step)
    return found if shares is None else divided(found, shares)


def preview_parts(
    network: torch.nn.Module,
    image: torch.Tensor,
    settings: PreviewSettings,
    out_of_domain: bool = False,
    distance_mm: float = 0.0,
    device: torch.device | None = None,
    on_step: OnStep | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute the student's probabilities, and apart from them those of the structures that were added.

    Arguments and errors as above.

    Returns:
        Probabilities `(D, K, H, W)` of the student's own classes; and how their background is shared `(D, 1 + A, H, W)`
        between what stays background and A structures, None where none were added.
    """
    added = int(getattr(network, "added_count", 0))
    look: Look = network.preview  # type: ignore[assignment]
    if added:
        look = LookWithAdded(network.preview_parts, added)  # type: ignore[arg-type]
    found = average_views(look, image, settings, out_of_domain, distance_mm, device, on_step)
    if not added:
        return found, None
    own = 1 + added
    return found[:, :-own].contiguous(), found[:, -own:].contiguous()


def with_shares(result: InversionResult, shares: torch.Tensor | None) -> InversionResult:
    """Give a result of the generator, which does not render what was added to the model, its added structures.

    Args:
        result: on the CPU.
        shares: see `preview_parts`; None changes nothing.
    """
    if shares is None:
        return result
    probabilities = divided(result.probabilities, shares)
    added = shares.shape[1] - 1
    best = torch.cat([probabilities[:, :1], probabilities[:, -added:]], 1).argmax(1)
    late = (result.label == 0) & (best > 0)
    label = torch.where(late, best.to(result.label.dtype) + (result.probabilities.shape[1] - 1), result.label)
    return replace(result, probabilities=probabilities, label=label)
