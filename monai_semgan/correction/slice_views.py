"""What can be seen in one slice: grey values, and what student and generator make of it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from monai_semgan.bundle.load import Bundle
from monai_semgan.inference.views import AIR
from monai_semgan.networks import InversionSegmenter, Latent
from monai_semgan.networks.unet import StudentEnsemble, StudentUNet
from monai_semgan.slicing.prepared import PreparedVolume

KEPT = 32
"""Views kept in memory, of three megabytes each."""

SMOOTHING = 0.8
"""Standard deviation in pixels of the Gaussian that grey values are looked at through."""

LEAST = 1e-4
"""Probabilities are cut off here before their logarithm is taken."""


@dataclass(frozen=True, eq=False)
class SliceView:
    """Hold what is seen in a slice.

    Attributes:
        grey: `(H, W)` in -1..1, smoothed; of colours their mean.
        body: `(H, W)` bool: no air.
        seen: `(K, H, W)` probabilities of the student.
        rendered: `(R, H, W)` probabilities that the encoder's latents render; None for a student alone.
        encoded: latent of the slice, of one row; None for a student alone.
        maps: `(F, h, w)` last maps of the student before its labels, in half precision; no maps where it has none.
    """

    grey: np.ndarray
    body: np.ndarray
    seen: np.ndarray
    rendered: np.ndarray | None
    encoded: Latent | None
    maps: torch.Tensor

    def features(self) -> torch.Tensor:
        """Describe every pixel: `(P, F)` features of the student, its log-probabilities and grey values."""
        size = self.grey.shape
        fine = F.interpolate(self.maps[None].float(), size=size, mode="bilinear", align_corners=False)[0]
        logarithms = torch.from_numpy(self.seen).clamp_min(LEAST).log()
        return torch.cat([fine, logarithms, torch.from_numpy(self.grey)[None]]).flatten(1).T

    def student(self, structure: int) -> np.ndarray | None:
        """Log-odds `(H, W)` of a structure for the student; None if it does not know it."""
        return log_odds(self.seen[structure]) if structure < len(self.seen) else None

    def rendering(self, structure: int) -> np.ndarray | None:
        """Log-odds `(H, W)` of a structure in the rendering; None if there is none."""
        known = self.rendered is not None and structure < len(self.rendered)
        return log_odds(self.rendered[structure]) if known else None  # type: ignore[index]


class SliceViews:
    """Look at the slices of a scan, at each once.

    Args:
        bundle: the model.
        prepared: the slices.
        negatives: look at the negatives, too: the scan is of a modality that the model has not learnt.
    """

    def __init__(self, bundle: Bundle, prepared: PreparedVolume, negatives: bool) -> None:
        self.network: InversionSegmenter = bundle.network
        self.device, self.prepared, self.negatives = bundle.device, prepared, negatives
        self._kept: OrderedDict[int, SliceView] = OrderedDict()

    def __getitem__(self, number: int) -> SliceView:
        """Look at a slice."""
        if number not in self._kept:
            self._kept[number] = self._look(number)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[number]

    @torch.no_grad()
    def _look(self, number: int) -> SliceView:
        image = self.prepared.image[number : number + 1].to(self.device)
        body = image.amax(1)[0] > AIR
        views = torch.cat([image, torch.where(image > AIR, -image, image)]) if self.negatives else image
        logits, maps = student_view(self.network, views)
        seen = logits.softmax(1).mean(0)
        rendered, encoded = None, None
        if self.network.renders:
            latents = self.network.encode(views)
            rendered = self.network.render(latents).logits.softmax(1).mean(0).cpu().numpy()
            encoded = latents[:1].float()
        grey = ndimage.gaussian_filter(image[0].mean(0).cpu().numpy(), SMOOTHING)
        return SliceView(grey, body.cpu().numpy(), seen.cpu().numpy(), rendered, encoded, maps.half().cpu())


def student_view(network: InversionSegmenter, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the student once: what it makes of several views of a slice, and its last features before that.

    Args:
        network: of a bundle.
        images: `(n, C, H, W)`.

    Returns:
        Logits `(n, K, H, W)` as `preview` gives them, and features `(F, h, w)` of all views one after the other; F is 0
        where the student is of another kind.
    """
    student = network.student
    first = student.members[0] if isinstance(student, StudentEnsemble) else student
    if not isinstance(first, StudentUNet):
        return network.preview(images), images.new_zeros(0, *images.shape[-2:])
    logits, maps = network.preview_with_maps(images)
    return logits, torch.cat([maps[0], maps[-1]], 1).flatten(0, 1)


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Turn probabilities into log-odds, which are finite."""
    cut = probability.clip(LEAST, 1 - LEAST)
    found: np.ndarray = np.log(cut) - np.log1p(-cut)
    return found
