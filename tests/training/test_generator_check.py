"""The check of a generator uses as many images as there is time for, always in the same order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from monai_semgan.data.slice_set import SliceSet
from monai_semgan.networks import JointSample
from monai_semgan.training.generator_check import GeneratorCheck, counts_up_to


class Watch:
    """A clock that only rendering moves."""

    def __init__(self, seconds_per_batch: float) -> None:
        self.now, self.pace, self.images = 0.0, seconds_per_batch, 0

    def __call__(self) -> float:
        return self.now

    def samples(self) -> Iterator[JointSample]:
        """Batches of 16 random slices, the same ones each time."""
        source = torch.Generator().manual_seed(0)
        while True:
            self.now += self.pace
            self.images += 16
            yield JointSample(torch.rand(16, 1, 32, 32, generator=source), torch.zeros(16, 3, 32, 32))


def real_slices(count: int = 300) -> SliceSet:
    image = torch.randint(256, (count, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return SliceSet(image, torch.zeros(count, 32, 32, dtype=torch.uint8), torch.zeros(count), ("a",), (), (), ())


@pytest.mark.parametrize(("seconds", "images"), [(1000.0, 256), (9.0, 128), (4.0, 64), (0.0, 16)])
def test_the_number_of_rendered_images_follows_the_time(seconds: float, images: int) -> None:
    watch = Watch(1.0)
    found = GeneratorCheck(real_slices(), torch.device("cpu"), watch)(watch.samples(), 256, seconds)
    assert found["frechet_images"] == watch.images == images
    assert watch.now <= max(seconds, 1.0)


def test_a_check_finds_the_same_whatever_was_checked_before() -> None:
    fresh, used = (GeneratorCheck(real_slices(), torch.device("cpu"), Watch(1.0)) for _ in range(2))
    used(Watch(1.0).samples(), 256, 1e9)
    assert used(Watch(1.0).samples(), 32, 1e9) == fresh(Watch(1.0).samples(), 32, 1e9)


def test_numbers_of_images_are_halves_of_the_most() -> None:
    assert counts_up_to(2048) == [16, 32, 64, 128, 256, 512, 1024, 2048]
    assert counts_up_to(2) == [2] and counts_up_to(100) == [25, 50, 100]
