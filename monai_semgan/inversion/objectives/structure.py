"""Objectives that see structure and not grey values, for scans of another contrast than the generator's.

All of them ignore the sign of contrast: an inverted image has (almost) the descriptors of the original.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_semgan.inversion.objectives.base import ReconstructionObjective, State, WeightedSum, slice_mean
from monai_semgan.inversion.objectives.registry import register_objective

_RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


class DescriptorObjective(ReconstructionObjective):
    """Compare descriptors by their L1 distance; a subclass says which."""

    uses_probabilities = False

    def describe(self, image: Tensor) -> Tensor:
        """Compute descriptors `(n, F, H, W)` of single-channel images `(n, 1, H, W)` in float32."""
        raise NotImplementedError

    def prepare(self, target: Tensor) -> State:
        """Describe the targets `(D, C, H, W)`."""
        with torch.no_grad():
            return {"descriptors": self._describe_grey(target)}

    def __call__(self, image: Tensor, state: State, index: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """Compute the mean absolute difference of descriptors: `(n,)`."""
        return slice_mean((self._describe_grey(image) - state["descriptors"][index]).abs())

    def _describe_grey(self, image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return self.describe(_grey(image))


@register_objective("mind")
class MindObjective(DescriptorObjective):
    """Modality independent neighbourhood descriptor with self-similarity context, in 2D.

    Heinrich et al., "Towards Realtime Multimodal Fusion for Image-Guided Interventions Using Self-similarities"
    (MICCAI 2013). The patches compared lie on a ring of eight around the pixel, 90 degrees apart: eight channels.

    Args:
        radius: radius of a patch in pixels.
        dilation: distance of the ring from the pixel.
        noise: grey value differences (on the scale of [-1, 1]) that count as noise, so that air stays featureless.
    """

    def __init__(self, radius: int = 1, dilation: int = 2, noise: float = 0.02) -> None:
        self.radius = radius
        self.dilation = dilation
        self.noise = noise

    def describe(self, image: Tensor) -> Tensor:
        """Compute descriptors `(n, 8, H, W)`, between 0 and 1."""
        height, width = image.shape[2:]
        reach = self.dilation
        padded = F.pad(image, [reach] * 4, mode="replicate")
        ring = torch.cat(
            [padded[:, :, reach * (1 + r) :, reach * (1 + c) :][:, :, :height, :width] for r, c in _RING], dim=1
        )
        distance = box_mean((ring - ring.roll(-2, dims=1)).square(), self.radius)
        spread = distance.mean(dim=1, keepdim=True)
        typical = spread.mean(dim=(2, 3), keepdim=True)
        spread = torch.minimum(torch.maximum(spread, 1e-3 * typical), 1e3 * typical) + self.noise**2
        return torch.exp(-(distance - distance.amin(dim=1, keepdim=True)) / spread)


@register_objective("gradient")
class GradientObjective(DescriptorObjective):
    """Normalised gradient fields: edges shall lie and run alike, whatever their strength and sign.

    Haber and Modersitzki, "Intensity Gradient Based Registration and Fusion of Multi-modal Images" (MICCAI 2006), with
    the tensors n n' of the normalised gradients n compared instead of their products, so that two equal images
    have distance 0 and superfluous edges cost as much as missing ones.

    Args:
        edge: gradients below this multiple of the slice's mean gradient count as noise.
        noise: gradients below this count as noise everywhere.
        scales: number of resolutions, each half the one before.
    """

    def __init__(self, edge: float = 1.0, noise: float = 0.01, scales: int = 2) -> None:
        self.edge = edge
        self.noise = noise
        self.scales = scales

    def describe(self, image: Tensor) -> Tensor:
        """Compute gradient tensors of all scales, flattened: `(n, P)`."""
        tensors = []
        for _ in range(self.scales):
            tensors.append(self._tensor(image).flatten(1))
            image = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
        return torch.cat(tensors, dim=1)

    def _tensor(self, image: Tensor) -> Tensor:
        padded = F.pad(image, [1] * 4, mode="replicate")
        rows = 0.25 * (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:])
        columns = 0.25 * (padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :])
        down = 0.5 * (rows[..., 2:, :] - rows[..., :-2, :])
        across = 0.5 * (columns[..., 2:] - columns[..., :-2])
        square = down.square() + across.square()
        typical = (square + 1e-12).sqrt().mean(dim=(1, 2, 3), keepdim=True)
        norm = square + (self.edge * typical).square() + self.noise**2
        return torch.cat((down.square(), across.square(), 2.0 * down * across), dim=1) / norm


@register_objective("correlation")
class LocalCorrelationObjective(ReconstructionObjective):
    """One minus the squared correlation within a moving window, where the target has structure.

    After Avants et al., "Symmetric diffeomorphic image registration with cross-correlation" (MedIA 2008).

    Args:
        radius: radius of the window in pixels.
        noise: standard deviations below this (on the scale of [-1, 1]) are no structure.
    """

    uses_probabilities = False

    def __init__(self, radius: int = 4, noise: float = 0.03) -> None:
        self.radius = radius
        self.noise = noise

    def prepare(self, target: Tensor) -> State:
        """Compute local means and variances of the targets `(D, C, H, W)`."""
        with torch.no_grad(), torch.autocast(target.device.type, enabled=False):
            grey = _grey(target)
            mean, variance = self._moments(grey)
            weight = variance / (variance + self.noise**2)
            weight = weight / weight.mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
            return {"grey": grey, "mean": mean, "variance": variance, "weight": weight}

    def __call__(self, image: Tensor, state: State, index: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """Take the weighted mean of `1 - correlation^2`: `(n,)`."""
        target, target_mean, target_variance, weight = (
            state[name][index] for name in ("grey", "mean", "variance", "weight")
        )
        with torch.autocast(image.device.type, enabled=False):
            grey = _grey(image)
            mean, variance = self._moments(grey)
            covariance = box_mean(grey * target, self.radius) - mean * target_mean
            floor = self.noise**2
            squared = covariance.square() / ((variance + floor) * (target_variance + floor))
            return slice_mean(weight * (1.0 - squared))

    def _moments(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        mean = box_mean(grey, self.radius)
        return mean, (box_mean(grey.square(), self.radius) - mean.square()).clamp_min(0.0)


@register_objective("structure")
def structure_objective() -> WeightedSum:
    """Add descriptors, gradients and correlation."""
    return WeightedSum([(MindObjective(), 1.0), (GradientObjective(), 1.0), (LocalCorrelationObjective(), 0.25)])


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Take the mean over a square of edge `2 radius + 1`, over what lies inside the image; `(n, C, H, W)`."""
    across = F.avg_pool2d(image, (1, 2 * radius + 1), 1, (0, radius), count_include_pad=False)
    return F.avg_pool2d(across, (2 * radius + 1, 1), 1, (radius, 0), count_include_pad=False)


def _grey(image: Tensor) -> Tensor:
    """Return the single-channel float32 image `(n, 1, H, W)`."""
    return image.float().mean(dim=1, keepdim=True)
