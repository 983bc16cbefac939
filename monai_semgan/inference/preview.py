"""The preview: probabilities of the student for all slices of a volume."""

from __future__ import annotations

from collections.abc import Sequence
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
    return divided(found, shares)


def preview_parts(
    network: torch.nn.Module,
    image: torch.Tensor,
    settings: PreviewSettings,
    out_of_domain: bool = False,
    distance_mm: float = 0.0,
    device: torch.device | None = None,
    on_step: OnStep | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Compute the student's probabilities, and apart from them those of the structures that were added.

    Arguments and errors as above.

    Returns:
        Probabilities `(D, K, H, W)` of the student's own classes; and by head that has added A structures how the
        background is shared `(D, 1 + A, H, W)`, see `monai_semgan.utils.shared_background.divided`.
    """
    counts: tuple[int, ...] = getattr(network, "added_counts", ())
    look: Look = network.preview  # type: ignore[assignment]
    groups = tuple(1 + count for count in counts)
    if groups:
        look = LookWithAdded(network.preview_parts, groups)  # type: ignore[arg-type]
    found = average_views(look, image, settings, out_of_domain, distance_mm, device, on_step)
    first, *shares = found.split([found.shape[1] - sum(groups), *groups], 1)
    return first.contiguous(), [share.contiguous() for share in shares]


def with_shares(result: InversionResult, shares: Sequence[torch.Tensor]) -> InversionResult:
    """Give a result of the generator, which does not render what was added to the model, its added structures.

    Args:
        result: of the generator alone.
        shares: see `preview_parts`; none change nothing.

    Returns:
        The result with more classes, on the device on which it was.
    """
    place = result.probabilities.device
    label, probabilities = result.label.clone(), result.probabilities
    for share in (share.to(place) for share in shares):
        first = probabilities.shape[1]
        probabilities = divided(probabilities, [share])
        best = torch.cat([probabilities[:, :1], probabilities[:, first:]], 1).argmax(1)
        late = (label == 0) & (best > 0)
        label[late] = (best[late] + first - 1).to(label.dtype)
    return replace(result, probabilities=probabilities, label=label) if shares else result
