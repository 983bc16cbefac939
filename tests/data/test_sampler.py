"""Which slices a step sees depends on seed, step and rank alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.data.sampler import StepSampler
from monai_semgan.errors import SemganError


@settings(max_examples=50, deadline=None)
@given(
    size=st.integers(1, 40),
    batch=st.integers(1, 50),
    world=st.integers(1, 4),
    seed=st.integers(0, 2**40),
)
def test_every_slice_is_seen_once_per_epoch_over_all_ranks(size: int, batch: int, world: int, seed: int) -> None:
    indices = torch.arange(size) * 3 + 100
    samplers = [StepSampler(indices, batch, seed, rank, world) for rank in range(world)]
    drawn = torch.cat([sampler.batch(step) for step in range(2 * size) for sampler in samplers])
    for epoch in drawn[: len(drawn) // size * size].reshape(-1, size)[:4]:
        assert epoch.sort().values.tolist() == indices.tolist()


def test_a_resumed_run_sees_what_the_uninterrupted_one_would_have_seen() -> None:
    whole = StepSampler(range(17), 5, seed=3)
    sequence = [whole.batch(step) for step in range(20)]
    for step in (19, 3, 11):
        assert torch.equal(StepSampler(range(17), 5, seed=3).batch(step), sequence[step])


def test_epochs_and_seeds_differ() -> None:
    one, other = StepSampler(range(50), 50, seed=1), StepSampler(range(50), 50, seed=2)
    assert not torch.equal(one.batch(0), one.batch(1))
    assert not torch.equal(one.batch(0), other.batch(0))
    assert one.epoch(3) == 3.0


def test_nothing_to_draw_from_is_explained() -> None:
    with pytest.raises(SemganError, match="no slices to draw from"):
        StepSampler([], 4)
