"""Contrast randomisation: the same anatomy in the contrasts of many scanners.

A network that sees CT only, but in ever new contrasts, learns the shapes and not the grey values. Ingredients, all
batched and drawn anew for every sample:

* random shallow convolutional networks (GIN: Ouyang et al., "Causality-inspired single-source domain generalization
  for medical image segmentation", IEEE TMI 2022);
* random intensity curves: cubic Bezier, increasing and decreasing (Zhou et al., "Models Genesis", MedIA 2021), gamma,
  and free curves that are not monotone;
* curves of their own for labelled organs (location-scale augmentation, SLAug: Su et al., AAAI 2023);
* bias field, blur, loss of resolution, Gaussian and Rician noise, and percentile scaling as in MRI (Billot et al.,
  "SynthSeg", MedIA 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.training.augmentation.degradation import Degradation
from monai_semgan.training.augmentation.random_draws import BatchRandom, per_sample

_BINS = 64


@dataclass(frozen=True)
class ContrastRandomisation:
    """Give every image of a batch a random contrast.

    Geometry is left alone, so labels stay valid.

    Args:
        clean_probability: share of samples that are returned untouched.
        curve_probability: chance of a random intensity curve.
        class_probability: chance that known organs get curves of their own, where there are labels.
        tied_labels: labels that are the same tissue and share a curve, such as both kidneys: `organs.pairs` of the
            names.
        convolution_probability: chance of a random convolutional network (samples without curve always get one).
        dark_air_probability: chance that air stays black, as it is in every MRI.
        air_level: image values below this are air.
        bias_probability: chance of a smooth multiplicative field.
        bias_strength: standard deviation of the field's logarithm.
        blur_probability: chance of a Gaussian blur.
        blur_sigma: largest blur in pixels.
        resolution_probability: chance of a loss of resolution.
        resolution_factor: largest loss.
        noise_probability: chance of noise.
        noise_std: largest standard deviation of the noise, on the scale of [0, 1].

    Examples:
        >>> contrast = ContrastRandomisation()
        >>> contrast(torch.zeros(2, 1, 64, 64), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2, 1, 64, 64])
    """

    clean_probability: float = 0.1
    curve_probability: float = 0.7
    class_probability: float = 0.6
    tied_labels: tuple[tuple[int, ...], ...] = ()
    convolution_probability: float = 0.6
    dark_air_probability: float = 0.9
    air_level: float = -0.93
    bias_probability: float = 0.5
    bias_strength: float = 0.25
    blur_probability: float = 0.25
    blur_sigma: float = 1.2
    resolution_probability: float = 0.2
    resolution_factor: float = 2.0
    noise_probability: float = 0.5
    noise_std: float = 0.06

    @torch.no_grad()
    def __call__(self, image: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Randomise the contrast of a batch.

        Args:
            image: images `(N, C, H, W)` in [-1, 1], air at -1.
            labels: optional integer labels `(N, H, W)`, 0 background, 255 unknown.
            generator: source of randomness.

        Returns:
            New images, same shape and dtype, in [-1, 1].
        """
        random = BatchRandom(image, generator)
        chosen = (~random.chance(self.clean_probability)).nonzero().flatten()
        if not len(chosen):
            return image.clone()
        source = image[chosen].float()
        random.size = len(chosen)
        body = body_mask(source, self.air_level)
        result = self._recolour(source, labels[chosen] if labels is not None else None, random)
        result = self._acquire(result, body, random)
        return image.index_copy(0, chosen, result.to(image.dtype))

    @property
    def _degradation(self) -> Degradation:
        return Degradation(
            self.blur_probability,
            self.blur_sigma,
            self.resolution_probability,
            self.resolution_factor,
            self.noise_probability,
            self.noise_std,
            rician_probability=0.5,
        )

    def _recolour(self, image: Tensor, labels: Tensor | None, random: BatchRandom) -> Tensor:
        """Apply curves and random networks: `(N, C, H, W)` in [-1, 1] to arbitrary values."""
        curved = random.chance(self.curve_probability)
        convolved = random.chance(self.convolution_probability) | ~curved
        rows = curved.nonzero().flatten()
        if len(rows):
            remapped = self._apply_curves(image[rows], labels[rows] if labels is not None else None, random)
            image = image.index_copy(0, rows, remapped)
        rows = convolved.nonzero().flatten()
        if len(rows):
            image = image.index_copy(0, rows, random_convolutions(image[rows], random))
        return image

    def _apply_curves(self, image: Tensor, labels: Tensor | None, random: BatchRandom) -> Tensor:
        count = image.shape[0]
        axis = equalised_axis(image)
        if labels is None:
            return apply_curves(image, random_curves(axis, random)[:, None])
        known = torch.where(labels == UNLABELLED, 0, labels)
        classes = int(known.max()) + 1
        curves = random_curves(axis.repeat_interleave(classes, dim=0), random).view(count, classes, _BINS)
        # An organ's curve covers a random part of the range: a shift and a scale of its grey values.
        ends = random.uniform(0.0, 1.0, count, classes, 2)
        local = ends[..., :1] + (ends[..., 1:] - ends[..., :1]) * curves
        for tied in self.tied_labels:
            for label in (label for label in tied[1:] if label < classes):
                local[:, label] = local[:, tied[0]]
        own = random.chance(self.class_probability, count, 1, 1) & random.chance(0.8, count, classes, 1)
        own[:, 0] = False
        return apply_curves(image, torch.where(own, local, curves[:, :1]), known)

    def _acquire(self, image: Tensor, body: Tensor, random: BatchRandom) -> Tensor:
        """What a scanner does to tissue: field, sharpness, noise, scaling. Returns images in [-1, 1]."""
        size = (image.shape[2], image.shape[3])
        strength = random.uniform(0.0, self.bias_strength) * random.chance(self.bias_probability)
        image = image - image.amin(dim=(1, 2, 3), keepdim=True)
        rows = strength.nonzero().flatten()
        if len(rows):
            field = random.smooth_field(len(rows), 1, size, knots=4)
            image = image.index_copy(0, rows, image[rows] * torch.exp(field * per_sample(strength[rows])))
        dark = per_sample(random.chance(self.dark_air_probability)) & (body.mean(dim=(1, 2, 3), keepdim=True) > 0.01)
        body = torch.where(dark, body, 1.0)
        image = robust_unit_range(image, body, random) * body
        image = self._degradation(image, random)
        return image.clamp_(0.0, 1.0).mul_(2.0).sub_(1.0)


def body_mask(image: Tensor, air_level: float) -> Tensor:
    """Soft mask of what is not air, `(N, 1, H, W)` in [0, 1]; gas inside the body counts as air.

    Values are averaged before they are compared, since the air of generated images is not quite flat, and cut off at
    the grey of fat, so that bright skin does not widen the mask.
    """
    capped = image.mean(dim=1, keepdim=True).clamp(-1.0, air_level + 0.08)
    smooth = F.avg_pool2d(capped, 5, stride=1, padding=2, count_include_pad=False)
    return ((smooth - air_level) / 0.04).add_(0.5).clamp_(0.0, 1.0)


def equalised_axis(image: Tensor) -> Tensor:
    """Grey values `(N, 64)` half way to histogram equalisation: the crowded range of soft tissue gets more room.

    Entry i is where the value `2 i / 63 - 1` lies on the new axis from 0 to 1.
    """
    position = torch.linspace(-1.0, 1.0, _BINS, device=image.device)
    values = image[:, 0, ::4, ::4].flatten(1)
    # Air is left out by sending it to the ends' own value, the smallest one.
    values = torch.where(values > values.amin(dim=1, keepdim=True) + 0.02, values, torch.inf).sort(dim=1).values
    total = torch.isfinite(values).sum(dim=1, keepdim=True).clamp_min(1)
    rank = torch.searchsorted(values, position.expand(len(values), _BINS).contiguous())
    return 0.25 * (position + 1.0) + 0.5 * (rank / total).clamp_max(1.0)


def random_curves(axis: Tensor, random: BatchRandom) -> Tensor:
    """Random intensity curves `(M, 64)` with values in [0, 1]: 30 % Bezier, 15 % gamma, 55 % free.

    Half of the Bezier and gamma curves fall. Free curves join random values at knots that are evenly spaced along
    `axis` `(M, 64)`.
    """
    count = len(axis)
    position = torch.linspace(0.0, 1.0, _BINS, device=random.device)
    gamma = position ** torch.exp(random.uniform(-1.0, 1.0, count, 1))
    kind = random.uniform(0.0, 1.0, count, 1)
    monotone = torch.where(kind < 0.3, bezier_curves(count, position, random), gamma)
    monotone = torch.where(random.chance(0.5, count, 1), 1.0 - monotone, monotone)
    intervals = random.integer(4, 9)
    knots = random.uniform(0.0, 1.0, count, intervals + 1)
    index = (axis * intervals).long().clamp_(0, intervals - 1)
    start, stop = knots.gather(1, index), knots.gather(1, index + 1)
    free = torch.lerp(start, stop, axis * intervals - index)
    return torch.where(kind < 0.45, monotone, free)


def bezier_curves(count: int, position: Tensor, random: BatchRandom) -> Tensor:
    """Rising cubic Bezier curves from (0, 0) to (1, 1) with random control points, read off at `position`."""
    time = torch.linspace(0.0, 1.0, 2 * len(position), device=position.device)
    control = random.uniform(0.0, 1.0, 2, count, 2)
    first, second, third = 3 * time * (1 - time) ** 2, 3 * time**2 * (1 - time), time**3
    # Abscissae of the control points in [0, 1] keep x(t) monotone: the curve is a function of x.
    x, y = control[..., :1] * first + control[..., 1:] * second + third
    index = torch.searchsorted(x, position.expand(count, -1).contiguous()).clamp_(1, len(time) - 1)
    x0, x1 = x.gather(1, index - 1), x.gather(1, index)
    y0, y1 = y.gather(1, index - 1), y.gather(1, index)
    return torch.lerp(y0, y1, ((position - x0) / (x1 - x0).clamp_min(1e-6)).clamp(0.0, 1.0))


def apply_curves(image: Tensor, curves: Tensor, labels: Tensor | None = None) -> Tensor:
    """Look images up in curves, with linear interpolation between bins.

    Args:
        image: images `(N, C, H, W)` in [-1, 1].
        curves: values in [0, 1], `(N, K, bins)`, one curve per class.
        labels: class per pixel `(N, H, W)`; None uses curve 0.

    Returns:
        Images in [-1, 1].
    """
    bins = curves.shape[2]
    position = ((image + 1.0) * (0.5 * (bins - 1))).clamp_(0.0, bins - 1.0)
    index = position.long().clamp_(max=bins - 2)
    weight = (position - index).flatten(1)
    if labels is not None:
        index = index + labels[:, None].long() * bins
    index = index.flatten(1)
    table = curves.flatten(1)
    slope = F.pad(table[:, 1:] - table[:, :-1], (0, 1))
    value = table.gather(1, index) + slope.gather(1, index) * weight
    return value.mul_(2.0).sub_(1.0).view_as(image)


def random_convolutions(image: Tensor, random: BatchRandom, layers: int = 4, hidden: int = 2) -> Tensor:
    """Pass each image through a random shallow network of its own and blend it with the input (GIN).

    Kernels are 1x1 or 3x3, activations leaky; the blend has the Frobenius norm of the standardised input.
    """
    count, channels, height, width = image.shape
    std, mean = torch.std_mean(image, dim=(1, 2, 3), keepdim=True)
    source = (image - mean) / std.clamp_min(1e-3)
    signal = F.pad(source, [layers] * 4, mode="replicate").flatten(0, 1)[None]
    for layer in range(layers):
        inputs = channels if layer == 0 else hidden
        outputs = channels if layer == layers - 1 else hidden
        weight = random.normal(count, outputs, inputs, 3, 3)
        point = random.chance(0.5, count, 1, 1, 1, 1)
        centre = F.pad(weight[..., 1:2, 1:2], [1] * 4)
        weight = torch.where(point, centre, weight).flatten(0, 1)
        signal = F.conv2d(signal, weight, random.normal(count * outputs), groups=count)
        if layer < layers - 1:
            signal = F.leaky_relu_(signal, 0.01)
    alpha = per_sample(random.uniform(0.0, 1.0, count))
    mixed = torch.lerp(source, signal.view(count, channels, height, width), alpha)
    norm = source.flatten(1).norm(dim=1) / mixed.flatten(1).norm(dim=1).clamp_min(1e-6)
    return mixed * per_sample(norm)


def robust_unit_range(image: Tensor, body: Tensor, random: BatchRandom) -> Tensor:
    """Scale each image between percentiles of its body to about [0, 1], as MRI is normalised.

    The lower end of the body comes to lie a little above the black of the air, the upper percentile varies.

    Args:
        image: images `(N, C, H, W)`.
        body: soft mask `(N, 1, H, W)`.
        random: source of randomness.
    """
    inside = body[:, :, ::2, ::2] > 0.5
    values = torch.where(inside, image[:, :, ::2, ::2], torch.inf).flatten(1).sort(dim=1).values
    last = torch.isfinite(values).sum(dim=1, keepdim=True) - 1

    def percentile(fraction: Tensor) -> Tensor:
        found = values.gather(1, (last * fraction[:, None]).long().clamp_min(0))
        return per_sample(torch.where(last >= 0, found, 0.0))

    low = percentile(random.uniform(0.0, 0.03))
    high = percentile(random.uniform(0.97, 1.0))
    floor = per_sample(random.uniform(0.0, 0.15))
    return (image - low) / (high - low).clamp_min(1e-3) * (1.0 - floor) + floor
