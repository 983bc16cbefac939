"""Colour randomisation: the same picture in another light, through another camera, on skin of another tone.

What is darker stays darker and what is redder stays redder than its surroundings, since in photographs colour tells
what a thing is: curves that fall, as in `contrast`, would turn a naevus into a scar. All is drawn anew for every
sample:

* exposure: gamma and gain of all colours together;
* white balance: a gain for each of red, green and blue, as cameras and lamps have it;
* a turn of the hue and another saturation, both about the grey axis;
* illumination: a smooth multiplicative field, and a fall-off to the corners;
* blur, loss of resolution, noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from monai_semgan.io.volume import COLOURS
from monai_semgan.training.augmentation.contrast import ContrastRandomisation
from monai_semgan.training.augmentation.degradation import Degradation
from monai_semgan.training.augmentation.random_draws import BatchRandom, per_sample


class Randomisation(Protocol):
    """Give every image of a batch another appearance; labels stay valid."""

    def __call__(self, image: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Change images `(N, C, H, W)` in [-1, 1]."""


@dataclass(frozen=True)
class ColourRandomisation:
    """Give every picture of a batch another light and another camera.

    Geometry is left alone, so labels stay valid; black stays black, so what lies outside a picture does too.

    Args:
        clean_probability: share of samples that are returned untouched.
        gamma: largest logarithm of the exponent of all colours.
        gain: largest logarithm of a factor on all colours.
        balance: standard deviation of the logarithm of each colour's own factor.
        hue_degrees: largest turn about the grey axis.
        saturation: largest logarithm of the factor on the distance from grey.
        light_probability: chance of a smooth multiplicative field.
        light_strength: largest standard deviation of the field's logarithm.
        corner_probability: chance of a fall-off of the light to the corners.
        corner_strength: largest share of the light that the corners lose.
        degradation: blur, loss of resolution and noise.

    Examples:
        >>> other_light = ColourRandomisation()
        >>> other_light(torch.zeros(2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 64, 64])
    """

    clean_probability: float = 0.1
    gamma: float = 0.5
    gain: float = 0.3
    balance: float = 0.08
    hue_degrees: float = 15.0
    saturation: float = 0.4
    light_probability: float = 0.5
    light_strength: float = 0.2
    corner_probability: float = 0.3
    corner_strength: float = 0.6
    degradation: Degradation = Degradation(0.25, 1.2, 0.2, 2.0, 0.5, 0.05)

    @torch.no_grad()
    def __call__(self, image: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Change light and camera of a batch.

        Args:
            image: pictures `(N, 3, H, W)` in [-1, 1].
            labels: not looked at: what a thing is does not decide how it is lit.
            generator: source of randomness.

        Returns:
            New pictures, same shape and dtype, in [-1, 1].
        """
        random = BatchRandom(image, generator)
        chosen = (~random.chance(self.clean_probability)).nonzero().flatten()
        if not len(chosen):
            return image.clone()
        random.size = len(chosen)
        values = (image[chosen].float() + 1.0).mul_(0.5).clamp_(0.0, 1.0)
        values = self._exposed(values, random)
        values = torch.einsum("nkc,nchw->nkhw", self._mixing(random), values).clamp_min_(0.0)
        values = values * self._light(values, random)
        values = self.degradation(values, random).clamp_(0.0, 1.0)
        return image.index_copy(0, chosen, values.mul_(2.0).sub_(1.0).to(image.dtype))

    def _exposed(self, values: Tensor, random: BatchRandom) -> Tensor:
        exponent = torch.exp(random.uniform(-self.gamma, self.gamma))
        factor = torch.exp(random.uniform(-self.gain, self.gain))
        return values.clamp_min(1e-4).pow(per_sample(exponent)) * per_sample(factor)

    def _mixing(self, random: BatchRandom) -> Tensor:
        """White balance, then turn and stretch about the grey axis: `(N, 3, 3)`."""
        balance = torch.diag_embed(torch.exp(self.balance * random.normal(random.size, COLOURS)))
        angle = torch.deg2rad(random.uniform(-self.hue_degrees, self.hue_degrees))
        stretch = torch.exp(random.uniform(-self.saturation, self.saturation))
        return about_grey(angle, stretch) @ balance

    def _light(self, values: Tensor, random: BatchRandom) -> Tensor:
        """What light falls where: `(N, 1, H, W)`."""
        size = (values.shape[2], values.shape[3])
        strength = random.uniform(0.0, self.light_strength) * random.chance(self.light_probability)
        field = torch.exp(random.smooth_field(random.size, 1, size, knots=4) * per_sample(strength))
        loss = random.uniform(0.0, self.corner_strength) * random.chance(self.corner_probability)
        return field * (1.0 - per_sample(loss) * _far_from_middle(size, values.device))


def about_grey(angle: Tensor, stretch: Tensor) -> Tensor:
    """Matrices `(N, 3, 3)` that turn colours about the grey axis and stretch their distance from it.

    Args:
        angle: `(N,)` radians (rotation by Rodrigues' formula).
        stretch: `(N,)` factors.
    """
    grey = torch.full((COLOURS, COLOURS), 1.0 / COLOURS, device=angle.device)
    across = torch.eye(COLOURS, device=angle.device) - grey
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], device=angle.device) / math.sqrt(3)
    cosine, sine = (f(angle)[:, None, None] for f in (torch.cos, torch.sin))
    return grey + stretch[:, None, None] * (cosine * across + sine * cross)


def _far_from_middle(size: tuple[int, int], device: torch.device) -> Tensor:
    """Squared distance from the middle, 1 in the corners: `(1, 1, H, W)`."""
    rows, columns = (torch.linspace(-1.0, 1.0, edge, device=device) for edge in size)
    far: Tensor = (rows[:, None].square() + columns[None].square()) / 2
    return far[None, None]


def randomisation_for(image_channels: int, tied_labels: tuple[tuple[int, ...], ...] = ()) -> Randomisation:
    """The randomisation that keeps the meaning of such images: of colours for three channels, else of contrast.

    Args:
        image_channels: 1 or 3.
        tied_labels: labels that are the same tissue, see `ContrastRandomisation`.
    """
    return ColourRandomisation() if image_channels == COLOURS else ContrastRandomisation(tied_labels=tied_labels)
