"""Geometric augmentation of images together with their labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.training.augmentation.random_draws import BatchRandom


@dataclass(frozen=True)
class PairedAugmentation:
    """Rotate, scale, shift and bend images and labels alike, in one resampling.

    Left and right are not exchanged by default: the liver lies on one side.

    Args:
        probability: share of samples that are moved at all.
        rotation: largest rotation in degrees.
        scale: smallest and largest magnification.
        stretch: largest relative difference of the magnifications of the two axes.
        shift: largest shift as a share of the image size.
        elastic: standard deviation of the elastic displacement in pixels.
        elastic_knots: control points of the elastic field along each axis.
        flip_probability: chance of mirroring axis 2 (right and left).

    Examples:
        >>> augment = PairedAugmentation()
        >>> image, label = augment(torch.zeros(2, 1, 64, 64), torch.zeros(2, 64, 64, dtype=torch.long))
    """

    probability: float = 0.9
    rotation: float = 15.0
    scale: tuple[float, float] = (0.8, 1.25)
    stretch: float = 0.1
    shift: float = 0.08
    elastic: float = 1.0
    elastic_knots: int = 6
    flip_probability: float = 0.0

    @torch.no_grad()
    def __call__(
        self, image: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Augment a batch.

        Args:
            image: images `(N, C, H, W)` in [-1, 1]; what comes in from outside is -1.
            labels: integer labels `(N, H, W)`; what comes in from outside is background,
                or unknown (255) where the whole slice is unknown.
            generator: source of randomness.

        Returns:
            Images and labels of the same shapes and dtypes.
        """
        random = BatchRandom(image, generator)
        grid = self.sampling_grid(image, random)
        moved = F.grid_sample(image.float() + 1.0, grid, padding_mode="zeros", align_corners=False) - 1.0
        if labels is None:
            return moved.to(image.dtype), None
        return moved.to(image.dtype), resample_labels(labels, grid)

    def sampling_grid(self, image: Tensor, random: BatchRandom) -> Tensor:
        """Where each output pixel comes from, `(N, H, W, 2)` in the coordinates of `grid_sample`."""
        count, _, height, width = image.shape
        active = random.chance(self.probability)
        angle = torch.deg2rad(random.uniform(-self.rotation, self.rotation)) * active
        low, high = torch.log(torch.tensor(self.scale)).tolist()
        zoom = random.uniform(low, high)[:, None]
        stretch = random.uniform(-0.5, 0.5) * self.stretch
        zoom = torch.exp((zoom + torch.stack((stretch, -stretch), dim=1)) * active[:, None])
        shift = random.uniform(-2 * self.shift, 2 * self.shift, count, 2) * active[:, None]
        mirror = torch.where(random.chance(self.flip_probability), -1.0, 1.0)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        ratio = height / width
        theta = torch.stack(
            (
                torch.stack((cosine / zoom[:, 0], -sine / zoom[:, 0] * ratio, shift[:, 0]), dim=1),
                torch.stack((sine / zoom[:, 1] / ratio, cosine / zoom[:, 1], shift[:, 1]), dim=1) * mirror[:, None],
            ),
            dim=1,
        )
        grid = F.affine_grid(theta, [count, 1, height, width], align_corners=False)
        if self.elastic > 0:
            field = random.smooth_field(count, 2, (height, width), self.elastic_knots).permute(0, 2, 3, 1)
            pixels = torch.tensor((2.0 / width, 2.0 / height), device=grid.device) * self.elastic
            grid = grid + field * (pixels * active[:, None, None, None])
        return grid


def resample_labels(labels: Tensor, grid: Tensor) -> Tensor:
    """Nearest-neighbour sampling of labels `(N, H, W)`; outside is background, or unknown for unknown slices."""
    shifted = F.grid_sample(labels[:, None].float() + 1.0, grid, mode="nearest", align_corners=False)[:, 0]
    outside = torch.where((labels == UNLABELLED).flatten(1).all(dim=1), float(UNLABELLED), 0.0)
    return torch.where(shifted > 0, shifted - 1.0, outside[:, None, None]).to(labels.dtype)
