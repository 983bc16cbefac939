"""Which slices go into the batch of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from monai_semgan.data.sampler import StepSampler
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.training.engine.distributed import Workers

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet


class LabelledSampler:
    """Labelled slices of whole scans, with more of those that show an organ.

    Args:
        slices: the training slices.
        batch_size: slices per step and process.
        organ_fraction: share of slices with an organ, as far as both kinds exist.
        seed: seed of the run.
        workers: processes that share the work.
    """

    def __init__(self, slices: SliceSet, batch_size: int, organ_fraction: float, seed: int, workers: Workers) -> None:
        self.batch_size = batch_size
        indices = torch.as_tensor(slices.labelled_indices)
        labels = slices.labels[indices]
        organ = ((labels > 0) & (labels != UNLABELLED)).flatten(1).any(1)
        kinds = [(indices[organ], seed), (indices[~organ], seed + 1)]
        with_organ = round(batch_size * organ_fraction)
        if len(kinds[0][0]) == 0 or len(kinds[1][0]) == 0:
            with_organ = batch_size if len(kinds[0][0]) else 0
        counts = [with_organ, batch_size - with_organ]
        self._samplers = [
            StepSampler(chosen, count, seed=kind_seed, rank=workers.rank, world_size=workers.size)
            for (chosen, kind_seed), count in zip(kinds, counts, strict=True)
            if count > 0
        ]

    def batch(self, step: int) -> torch.Tensor:
        """Indices of the slices of a step."""
        return torch.cat([torch.as_tensor(sampler.batch(step)) for sampler in self._samplers])
