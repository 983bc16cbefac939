"""Where the generator cannot explain a scan: for results that have rendered nothing themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from monai_semgan.inference.slice_modes import is_out_of_domain
from monai_semgan.inference.views import AIR
from monai_semgan.inversion.result import residual_map
from monai_semgan.utils.gpu import with_cpu_fallback

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.networks import InversionSegmenter
    from monai_semgan.slicing.prepared import PreparedVolume

RENDERED = 24
"""Slices that are rendered at most; encoding and rendering takes about as long as the preview of a slice."""

BATCH = 4


def rendered_residual(bundle: Bundle, prepared: PreparedVolume) -> tuple[list[int], torch.Tensor]:
    """Render the encoder's codes of slices that are spread evenly over the scan.

    Returns:
        Their numbers, at most `RENDERED`, and the residual of each, see `body_mean`.
    """
    count = prepared.image.shape[0]
    index = list(range(0, count, -(-count // RENDERED)))
    in_domain = not is_out_of_domain(bundle, prepared)

    def compute(network: InversionSegmenter) -> torch.Tensor:
        device, found = next(network.parameters()).device, []
        for first in range(0, len(index), BATCH):
            slices = prepared.image[index[first : first + BATCH]].to(device)
            with torch.no_grad():  # in full precision, as what mode `encoder` gives, of which this is a part
                rendering = network.render(network.encode(slices)).image
            found.append(body_mean(residual_map(slices, rendering, in_domain), slices).cpu())
        return torch.cat(found)

    return index, with_cpu_fallback(bundle.network, compute)[0]


def body_mean(residual: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Compute the mean `(D,)` of a residual `(D, H, W)` over the pixels of slices `(D, C, H, W)` that are not air."""
    body = image.amax(1) > AIR
    return (residual * body).sum((1, 2)) / body.sum((1, 2)).clamp_min(1)
