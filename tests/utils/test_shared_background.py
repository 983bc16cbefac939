"""What is divided can be put together again, to the last bit."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.utils.shared_background import divided, whole_background


def probabilities(classes: int, seed: int, sharpness: float) -> torch.Tensor:
    """Of 200 pixels; sharp ones have a background of nearly 0 and nearly 1."""
    source = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(1, classes, 200, generator=source)).softmax(1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    sharpness=st.sampled_from([0.1, 1.0, 10.0, 60.0]),
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_old_probabilities_come_back_to_the_last_bit(seed: int, sharpness: float, counts: list[int]) -> None:
    old = probabilities(5, seed, sharpness)
    shares = [probabilities(1 + count, seed + number, sharpness) for number, count in enumerate(counts, start=1)]
    found = divided(old, shares)
    assert found.shape[1] == 5 + sum(counts) and bool((found >= 0).all())
    for known in range(len(counts) + 1):
        before = divided(old, shares[:known])
        assert torch.equal(whole_background(found, counts[known:]), before)


def test_every_structure_gets_its_share_of_the_background() -> None:
    old, shares = probabilities(3, 0, 1.0), probabilities(3, 1, 1.0)
    found = divided(old, [shares])
    torch.testing.assert_close(found[:, 3:], old[:, :1] * shares[:, 1:], atol=1e-6, rtol=0)
    torch.testing.assert_close(found.sum(1), torch.ones(1, 200))


def test_nothing_added_changes_nothing() -> None:
    old = probabilities(4, 0, 1.0)
    assert whole_background(old, ()) is old and divided(old, []) is old
