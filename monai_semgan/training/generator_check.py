"""How close generated slices are to real ones, from as many of them as there is time for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from monai_semgan.networks import JointSample
from monai_semgan.training.image_quality import FrozenFeatures, describe_all, frechet_distance
from monai_semgan.training.pair_pool import plausible

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet

REAL_MOST = 4096
"""Real slices that generated ones are compared with, at most."""

REAL_EACH = 2
"""Real slices for each generated one, as far as there are so many."""

LEAST = 16
"""Generated images of the smallest check: one batch."""


def counts_up_to(most: int) -> list[int]:
    """Numbers of images that checks may use: `most` and its halves, ascending, so that many checks use the same."""
    counts = [most]
    while counts[-1] // 2 >= LEAST:
        counts.append(counts[-1] // 2)
    return counts[::-1]


class GeneratorCheck:
    """Compare generated slices with the training slices by their features (see `image_quality`).

    The number of images is doubled as long as the next check is expected to end in time. Distances depend on that
    number, so it is told, and only those of equal numbers can be compared. The same slices come first whatever the
    number is.

    Args:
        slices: the training slices.
        device: where features are computed.
        clock: source of the time, replaceable in tests.
    """

    def __init__(self, slices: SliceSet, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self.slices, self.device, self.clock = slices, device, clock
        self.extractor = FrozenFeatures(slices.images.shape[1]).to(device)
        chosen = torch.linspace(0, len(slices) - 1, min(len(slices), REAL_MOST)).round().long()
        order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))
        self._order = chosen[order]
        self._real = torch.empty(0)

    def __call__(self, samples: Iterator[JointSample], most: int, seconds: float) -> dict[str, float]:
        """Check a generator.

        Args:
            samples: batches of what it makes, `most` images or more.
            most: images to be used if there is time.
            seconds: when to end; the smallest check is made at least.

        Returns:
            Frechet distance (lower is better), share of plausible pairs (higher is better), and number of images.
        """
        started, used = self.clock(), 0
        features, believed = torch.empty(0), torch.empty(0)
        for count in counts_up_to(most):
            if used and (self.clock() - started) * count / used > seconds:
                break
            while len(features) < count:
                sample = next(samples)
                features = torch.cat([features, describe_all([sample.image], self.extractor)])
                believed = torch.cat([believed, plausible(sample.logits).float().cpu()])
            self._describe_real(REAL_EACH * count)
            used = count
        distance = frechet_distance(features[:used], self._real[: REAL_EACH * used])
        share = float(believed[:used].mean())
        return {"frechet": round(distance, 3), "plausible": round(share, 4), "frechet_images": used}

    def _describe_real(self, count: int) -> None:
        """Have features of so many real slices, or of all; those of earlier checks are kept."""
        for part in self._order[len(self._real) : count].split(64):
            image, _ = self.slices.batch(part, self.device)
            self._real = torch.cat([self._real, describe_all([image], self.extractor)])
