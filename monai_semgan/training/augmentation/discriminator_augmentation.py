"""Differentiable augmentation of what the discriminators see (DiffAugment, ADA), on images and labels alike.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (NeurIPS 2020); Karras et al., "Training
Generative Adversarial Networks with Limited Data" (NeurIPS 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_semgan.training.augmentation.random_draws import BatchRandom, per_sample


@dataclass(frozen=True)
class DiscriminatorAugmentation:
    """Rotate, scale, shift, change brightness and contrast, and cut out.

    Geometry and cut-out are the same for an image and its label probabilities; grey values change in the image only.
    No mirroring: the liver lies on one side. Everything is differentiable with respect to images and probabilities,
    twice, so that R1 may be taken with respect to the images before augmentation.

    Args:
        rotation: largest rotation in degrees.
        scale: largest magnification; the smallest is its inverse.
        shift: largest shift as a share of the image size.
        brightness: largest offset, on the scale of [-1, 1].
        contrast: largest factor on the distance from the mean; the smallest is its inverse.
        cutout: edge length of the removed square as a share of the image size; 0 for none.

    Examples:
        >>> augment = DiscriminatorAugmentation()
        >>> image, probabilities = augment(torch.zeros(2, 1, 32, 32), torch.ones(2, 1, 32, 32), strength=0.5)
    """

    rotation: float = 10.0
    scale: float = 1.2
    shift: float = 0.1
    brightness: float = 0.1
    contrast: float = 1.2
    cutout: float = 0.3

    def __call__(
        self,
        image: Tensor,
        probabilities: Tensor | None = None,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Augment a batch; each kind of change befalls each sample with probability `strength`.

        Args:
            image: images `(N, C, H, W)` in [-1, 1]; outside is air, -1.
            probabilities: label probabilities `(N, K, H, W)`; outside is background, class 0.
            strength: p of ADA, from 0 (nothing) to 1.
            generator: source of randomness.

        Returns:
            Image and probabilities of the same shapes.
        """
        if strength <= 0.0:
            return image, probabilities
        random = BatchRandom(image, generator)
        image = self._change_greys(image, strength, random)
        signal = self._offsets_from_outside(image, probabilities)
        signal = linear_grid_sample(signal, self._grid(image, strength, random))
        if self.cutout > 0:
            signal = signal * self._keep_mask(image, strength, random)
        channels = image.shape[1]
        moved = (signal[:, :channels] - 1.0).to(image.dtype)
        if probabilities is None:
            return moved, None
        labels = signal[:, channels:] + _background(probabilities)
        return moved, labels.to(probabilities.dtype)

    def _change_greys(self, image: Tensor, strength: float, random: BatchRandom) -> Tensor:
        offset = random.uniform(-self.brightness, self.brightness) * random.chance(strength)
        log_contrast = float(torch.log(torch.tensor(self.contrast)))
        factor = torch.exp(random.uniform(-log_contrast, log_contrast) * random.chance(strength))
        mean = image.mean(dim=(1, 2, 3), keepdim=True)
        return (image - mean) * per_sample(factor) + (mean + per_sample(offset))

    def _offsets_from_outside(self, image: Tensor, probabilities: Tensor | None) -> Tensor:
        """Image and probabilities minus what lies outside, so that zero padding is right for both."""
        signal = image.float() + 1.0
        if probabilities is None:
            return signal
        return torch.cat((signal, probabilities.float() - _background(probabilities)), dim=1)

    def _grid(self, image: Tensor, strength: float, random: BatchRandom) -> Tensor:
        count, _, height, width = image.shape
        angle = torch.deg2rad(random.uniform(-self.rotation, self.rotation)) * random.chance(strength)
        log_scale = float(torch.log(torch.tensor(self.scale)))
        zoom = torch.exp(random.uniform(-log_scale, log_scale) * random.chance(strength))
        shift = random.uniform(-2 * self.shift, 2 * self.shift, count, 2) * random.chance(strength)[:, None]
        cosine, sine, ratio = torch.cos(angle) / zoom, torch.sin(angle) / zoom, height / width
        first = torch.stack((cosine, -sine * ratio, shift[:, 0]), dim=1)
        second = torch.stack((sine / ratio, cosine, shift[:, 1]), dim=1)
        return F.affine_grid(torch.stack((first, second), dim=1), [count, 1, height, width], align_corners=False)

    def _keep_mask(self, image: Tensor, strength: float, random: BatchRandom) -> Tensor:
        count, _, height, width = image.shape
        half = 0.5 * self.cutout * random.chance(strength)[:, None]
        centre = random.uniform(0.0, 1.0, count, 2)
        row = (torch.arange(height, device=image.device) + 0.5) / height
        column = (torch.arange(width, device=image.device) + 0.5) / width
        rows, columns = (row - centre[:, :1]).abs() < half, (column - centre[:, 1:]).abs() < half
        return (~(rows[:, :, None] & columns[:, None, :]))[:, None].float()


class AdaptiveStrength:
    """Raise the strength of augmentation while the discriminator overfits, lower it otherwise (ADA).

    Overfitting shows as real images being told with confidence: r = E[sign(D(real))].

    Args:
        target: the r that is aimed at.
        images_to_full: images after which the strength can have gone from 0 to 1.
        maximum: largest strength; high ones leak into the generated images.
        initial: strength at the start.
    """

    def __init__(
        self, target: float = 0.6, images_to_full: int = 500_000, maximum: float = 0.8, initial: float = 0.0
    ) -> None:
        self.target = target
        self.images_to_full = images_to_full
        self.maximum = maximum
        self.strength = initial

    def update(self, real_scores: Tensor) -> float:
        """Adapt to the discriminator's scores of a batch of real images `(N, ...)`; returns the new strength."""
        sign = float(real_scores.detach().float().sign().mean())
        step = real_scores.shape[0] / self.images_to_full * (1.0 if sign > self.target else -1.0)
        self.strength = min(self.maximum, max(0.0, self.strength + step))
        return self.strength

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint has to hold."""
        return {"strength": self.strength}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from a checkpoint."""
        self.strength = float(state["strength"])


def linear_grid_sample(image: Tensor, grid: Tensor) -> Tensor:
    """Bilinear `grid_sample` with zero padding that can be differentiated any number of times by the image.

    torch's own has a second derivative in 2.13, but not in all versions. With a fixed grid sampling is linear in the
    image: its derivative is the adjoint map, and the adjoint's derivative is sampling again. No gradient reaches the
    grid.

    Args:
        image: `(N, C, H, W)`.
        grid: `(N, H', W', 2)`, in the coordinates of `torch.nn.functional.grid_sample` with `align_corners=False`.

    Returns:
        Samples `(N, C, H', W')`.
    """
    return _Sample.apply(image, grid.detach())


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image: Tensor, grid: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(grid)
        ctx.shape = image.shape
        return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, None]:  # type: ignore[no-untyped-def,override]
        (grid,) = ctx.saved_tensors
        return _SampleAdjoint.apply(gradient, grid, ctx.shape), None


class _SampleAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(grid)
        # Only the shape of the image matters to its gradient: an expanded scalar stands in for it.
        stand_in = gradient.new_zeros(()).expand(shape)
        adjoint, _ = torch.ops.aten.grid_sampler_2d_backward(
            gradient.contiguous(), stand_in, grid, 0, 0, False, [True, False]
        )
        return adjoint

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, None, None]:  # type: ignore[no-untyped-def,override]
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradient, grid), None, None


def _background(probabilities: Tensor) -> Tensor:
    """One-hot background `(1, K, 1, 1)`."""
    one_hot = torch.zeros(1, probabilities.shape[1], 1, 1, device=probabilities.device)
    one_hot[:, 0] = 1.0
    return one_hot
