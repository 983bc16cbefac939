"""Gradient penalties of adversarial training, per sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from monai_semgan.losses.adversarial import Scores, sample_scores


def r1_penalty(scores: Scores, inputs: Tensor | Sequence[Tensor]) -> Tensor:
    """Compute the squared norm of the gradient of each sample's score by that sample's inputs.

    R1 of Mescheder et al., "Which Training Methods for GANs do actually Converge?" (ICML 2018), without its factor
    gamma / 2. The scores are summed over the batch before the derivative is taken: with their mean, every squared
    norm would come out smaller by 1 / N^2.

    Args:
        scores: scores `(N,)`, patch scores `(N, 1, h, w)`, or a list of such for several scales.
        inputs: what the discriminator saw, `(N, ...)`, or several such tensors (image and label probabilities), all
            with `requires_grad`.

    Returns:
        Penalties `(N,)`, differentiable; the caller takes their mean.

    Raises:
        ValueError: if the scores are not per sample.
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    scales = [scores] if isinstance(scores, Tensor) else list(scores)
    if any(scale.ndim == 0 or scale.shape[0] != tensors[0].shape[0] for scale in scales):
        raise ValueError("R1 needs one score per sample, not a mean over the batch")
    gradients = torch.autograd.grad(sample_scores(scales).sum(), tensors, create_graph=True)
    return torch.stack([gradient.float().square().flatten(1).sum(dim=1) for gradient in gradients]).sum(dim=0)


class PathLength(nn.Module):
    """Regularise the path length: equal steps in latent space shall make equal steps in image space.

    Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020).

    Args:
        decay: weight of a new batch in the running mean of the length.
    """

    mean_length: Tensor

    def __init__(self, decay: float = 0.01) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean_length", torch.zeros(()))

    def forward(self, images: Tensor, latents: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Penalise lengths that differ from the running mean, which is updated.

        Args:
            images: rendered images `(N, C, H, W)`.
            latents: the W+ latents that they came from, `(N, L, D)`, with `requires_grad`.
            generator: source of randomness, on the images' device.

        Returns:
            Squared differences `(N,)`, differentiable.
        """
        noise = torch.empty_like(images).normal_(generator=generator) / math.sqrt(images.shape[2] * images.shape[3])
        (gradient,) = torch.autograd.grad((images * noise).sum(), latents, create_graph=True)
        lengths = gradient.float().square().sum(dim=2).mean(dim=1).add(1e-12).sqrt()
        mean = lengths.detach().mean()
        # a mean that is no number once would stay so
        self.mean_length.lerp_(torch.where(torch.isfinite(mean), mean, self.mean_length), self.decay)
        return (lengths - self.mean_length).square()
