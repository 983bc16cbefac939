"""Which slices a training step sees: a function of seed and step alone, so that a resumed run goes on unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from monai_semgan.errors import SemganError


class StepSampler:
    """Shuffled epochs without replacement, addressed by step.

    Consecutive steps walk through a fresh permutation of the slices in every epoch; the ranks of a distributed run get
    disjoint parts of each step. Nothing is stored between calls.

    Args:
        indices: (n,) slices to draw from.
        batch_size: slices per step and rank.
        seed: another seed gives another order.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        SemganError: there is nothing to draw from.
    """

    def __init__(
        self,
        indices: torch.Tensor | Sequence[int],
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.indices = torch.as_tensor(indices, dtype=torch.long).cpu()
        if not len(self.indices):
            raise SemganError("there are no slices to draw from", remedy="add volumes, or labels, to the data list")
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self._epoch, self._order = -1, self.indices

    def batch(self, step: int) -> torch.Tensor:
        """(batch_size,) int64: the slices of `step` (0, 1, 2, ...) for this rank."""
        first = (step * self.world_size + self.rank) * self.batch_size
        end, size = first + self.batch_size, len(self.indices)
        parts = []
        for epoch in range(first // size, (end - 1) // size + 1):
            begin = epoch * size
            parts.append(self._permuted(epoch)[max(first - begin, 0) : min(end - begin, size)])
        return torch.cat(parts)

    def epoch(self, step: int) -> float:
        """How often every slice has been seen before `step`, over all ranks."""
        return step * self.world_size * self.batch_size / len(self.indices)

    def _permuted(self, epoch: int) -> torch.Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
            self._order = self.indices[torch.randperm(len(self.indices), generator=generator)]
            self._epoch = epoch
        return self._order
