"""The latent of an image: W+, and where the generator takes it, a spatial residual of its trunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Latent:
    """Hold the latents of N images.

    W+ says what an image looks like; the spatial part says where things are, which W+ alone must squeeze through a
    bottleneck. Codes in the feature space of a generator: Kang et al., "GAN inversion for out-of-range images with
    geometric transformations" (ICCV 2021); Parmar et al., "Spatially-adaptive multilayer selection" (CVPR 2022).

    Attributes:
        w_plus: W+ `(N, L, D)`.
        spatial: residual of the trunk `(N, C, S, S)`, added where it has S pixels; None for none.
    """

    w_plus: torch.Tensor
    spatial: torch.Tensor | None = None

    def __len__(self) -> int:
        """Count the images."""
        return self.w_plus.shape[0]

    @property
    def device(self) -> torch.device:
        """Tell where the latents lie."""
        return self.w_plus.device

    @property
    def parts(self) -> list[torch.Tensor]:
        """List the parts that there are: W+, and the spatial one if any."""
        return [self.w_plus] if self.spatial is None else [self.w_plus, self.spatial]

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Latent:
        """Apply a function to every part."""
        return Latent(*(function(part) for part in self.parts))

    def __getitem__(self, rows: torch.Tensor | slice) -> Latent:
        """Take the latents of some images."""
        return self.map(lambda part: part[rows])

    def put(self, rows: torch.Tensor, latents: Latent) -> None:
        """Change the latents of some images in place."""
        for own, other in zip(self.parts, latents.parts, strict=True):
            own[rows] = other.to(own.dtype)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Latent:
        """Return the same on another device."""
        return self.map(lambda part: part.to(device, dtype))

    def clone(self) -> Latent:
        """Return a copy that shares nothing with this one, outside any graph of gradients."""
        return self.map(lambda part: part.detach().clone())

    def float(self) -> Latent:
        """Return the same in single precision."""
        return self.map(lambda part: part.float())

    def same(self, other: Latent) -> torch.Tensor:
        """Tell for every image whether both have the same latent: `(N,)` bool."""
        pairs = zip(self.parts, other.parts, strict=True)
        return torch.stack([(one == two).flatten(1).all(1) for one, two in pairs]).all(0)


def chosen(wins: torch.Tensor, first: Latent, second: Latent) -> Latent:
    """Take the latents of `first` where `wins` `(N,)`, else those of `second`."""
    pairs = zip(first.parts, second.parts, strict=True)
    return Latent(*(torch.where(wins.view(-1, *[1] * (one.ndim - 1)), one, two) for one, two in pairs))


def joined(latents: Sequence[Latent]) -> Latent:
    """Put the latents of several sets of images one after the other."""
    return Latent(*(torch.cat(parts) for parts in zip(*(latent.parts for latent in latents), strict=True)))
