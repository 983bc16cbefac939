"""Randomness as a pure function of (seed, rank, step), so that a resumed run continues the same sequence."""

from __future__ import annotations

import numpy as np
import torch

#: Independent streams of random numbers of one step.
STREAMS = {"augment": 0, "latent": 1, "choice": 2, "pool": 3, "evaluate": 4, "initial": 5, "global": 6}


def step_seed(seed: int, rank: int, step: int, stream: str) -> int:
    """A well-mixed 63-bit seed for one stream of one step of one process."""
    entropy = [abs(int(seed)), int(rank), int(step), STREAMS[stream]]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def step_generator(seed: int, rank: int, step: int, stream: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on `device` that is seeded by `step_seed`."""
    return torch.Generator(device=device).manual_seed(step_seed(seed, rank, step, stream))
