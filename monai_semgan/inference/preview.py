"""The preview: probabilities of the student for all slices of a volume."""

from __future__ import annotations

import torch

from monai_semgan.inference.views import Look, PreviewSettings, average_views
from monai_semgan.utils.progress import OnStep

__all__ = ["PreviewSettings", "preview_slices"]


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

    Raises:
        Cancelled: if `on_step` raises it.
    """
    look: Look = network.preview  # type: ignore[assignment]
    return average_views(look, image, settings, out_of_domain, distance_mm, device, on_step)
