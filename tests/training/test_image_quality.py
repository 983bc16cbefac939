"""The image distance ranks sets of slices as eyes do, the same everywhere."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from monai_semgan.training.image_quality import FrozenFeatures, describe_all, frechet_distance
from tests.training.phantoms import phantom


def slices(seeds: range) -> torch.Tensor:
    """Phantom slices (n, 1, 64, 64) in [-1, 1]."""
    volumes = [torch.from_numpy(phantom(seed, slices=12)[0]).float().permute(2, 0, 1) for seed in seeds]
    return (torch.cat(volumes)[:, None] / 200 - 0.4).clamp(-1, 1)


def test_real_slices_are_near_real_ones_and_spoilt_ones_far() -> None:
    extractor = FrozenFeatures()
    first, second = slices(range(0, 10)), slices(range(10, 20))
    quarters = [quarter for half in first.chunk(2, 2) for quarter in half.chunk(2, 3)]
    shuffled = torch.cat([torch.cat(quarters[3:1:-1], 3), torch.cat(quarters[1::-1], 3)], 2)
    noise = 0.1 * torch.randn(first.shape, generator=torch.Generator().manual_seed(0))
    reference = describe_all(second.split(32), extractor)

    def distance(images: torch.Tensor) -> float:
        return frechet_distance(describe_all(images.split(32), extractor), reference)

    real = distance(first)
    for spoilt in (F.avg_pool2d(first, 3, 1, 1), (first + noise).clamp(-1, 1), shuffled):
        assert distance(spoilt) > 5 * real


def test_more_noise_is_farther() -> None:
    extractor = FrozenFeatures()
    images = slices(range(4))
    reference = describe_all(images.split(32), extractor)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    distances = [
        frechet_distance(describe_all((images + level * noise).clamp(-1, 1).split(32), extractor), reference)
        for level in (0.0, 0.03, 0.1, 0.3)
    ]
    assert distances == sorted(distances) and distances[0] < 1e-2


def test_the_extractor_is_the_same_on_every_machine_and_whatever_the_seed() -> None:
    torch.manual_seed(1)
    first = FrozenFeatures()
    torch.manual_seed(2)
    second = FrozenFeatures()
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    assert abs(float(first.layers[0].weight[0, 0, 0, 0]) - FIRST_WEIGHT) < 1e-6


FIRST_WEIGHT = 0.6645537614822388
