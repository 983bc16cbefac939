"""Randomness depends on seed, rank and step alone; so does the stock of generated pairs."""

from __future__ import annotations

import pytest
import torch

from monai_semgan.networks import JointGenerator, JointSample
from monai_semgan.training import pair_pool
from monai_semgan.training.engine.seeds import STREAMS, step_seed
from monai_semgan.training.pair_pool import PairPool, Pairs, PoolSettings, plausible


def pool(seed: int = 0, rank: int = 0, settings: PoolSettings | None = None) -> PairPool:
    torch.manual_seed(0)
    generator = JointGenerator(16, 8, 1, 3, {4: 8, 8: 8, 16: 4}, mapping_layers=1).eval().requires_grad_(False)
    return PairPool(
        generator, seed, rank, torch.device("cpu"), settings or PoolSettings(6, 3, refresh_every=4, mixing=0.5)
    )


def test_seeds_differ_between_runs_processes_steps_and_streams() -> None:
    seeds = {
        step_seed(seed, rank, step, stream)
        for seed in range(3)
        for rank in range(3)
        for step in range(20)
        for stream in STREAMS
    }
    assert len(seeds) == 3 * 3 * 20 * len(STREAMS) and min(seeds) >= 0


def test_a_pool_asked_at_a_late_step_holds_what_an_old_one_holds() -> None:
    old, fresh = pool(), pool()
    for step in range(0, 30):
        old.draw(step, 2)
    for one, other in zip(old.draw(30, 5), fresh.draw(30, 5), strict=True):
        assert torch.equal(one, other)


def test_a_look_at_an_old_step_costs_the_following_ones_nothing() -> None:
    stock = pool()
    stock.draw(30, 2)
    first = stock.draw(30, 5)
    stock.draw(0, 2)
    drawn = stock._drawn
    for one, other in zip(stock.draw(30, 5), first, strict=True):
        assert torch.equal(one, other)
    assert stock._drawn == drawn, "nothing was rendered again"


def test_pools_of_other_processes_hold_other_pairs() -> None:
    assert not torch.equal(pool(rank=0).draw(0, 4).image, pool(rank=1).draw(0, 4).image)


def test_pairs_are_what_their_codes_render() -> None:
    pairs, generator = (stock := pool()).draw(9, 4), stock.generator
    sample = generator.synthesis(pairs.latents)
    assert (sample.image.clamp(-1, 1) - pairs.image).abs().max() < 0.05
    assert (sample.logits.argmax(1) == pairs.label).float().mean() > 0.98


def some_are_plausible(logits: torch.Tensor) -> torch.Tensor:
    """Stands in for `plausible`: about one of three pairs of the tiny generator."""
    return logits[:, 0].mean((1, 2)) > 1.35


def rendered(stock: PairPool, number: int) -> tuple[Pairs, int]:
    """A chunk, and how many pairs were rendered for it."""
    counts: list[int] = []
    synthesis = stock.generator.synthesis

    def counting(latents: torch.Tensor) -> JointSample:
        counts.append(len(latents))
        return synthesis(latents)

    stock.generator.synthesis = counting  # type: ignore[assignment, method-assign]
    chunk = stock.render(number)
    stock.generator.synthesis = synthesis  # type: ignore[method-assign]
    return chunk, sum(counts)


def test_a_pool_keeps_plausible_pairs_only_and_does_not_draw_for_them_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pair_pool, "plausible", some_are_plausible)
    stock = pool(settings=PoolSettings(chunk=40, mixed_precision=False))
    for number in range(3):
        chunk, count = rendered(stock, number)
        assert bool(some_are_plausible(stock.generator.synthesis(chunk.latents).logits).all())
        assert 40 < count <= 60
    assert 0.1 < stock.acceptance < 0.9


def test_a_generator_that_makes_nothing_plausible_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_pool, "plausible", lambda logits: torch.zeros(len(logits), dtype=torch.bool))
    stock = pool(settings=PoolSettings(chunk=40, mixed_precision=False))
    chunk, count = rendered(stock, 0)
    assert count == 40 == len(chunk.latents) and stock.acceptance == 0.0


def test_unsure_and_monstrous_labels_are_not_believed() -> None:
    logits = torch.zeros(4, 3, 32, 32)
    logits[:, 0] = 10.0
    logits[1, 1, 10:20, 10:20] = 20.0  # a sure organ
    logits[2, 1, 10:20, 10:20] = 10.3  # an unsure one
    logits[3, 2] = 20.0  # nothing but organ
    assert plausible(logits).tolist() == [True, True, False, False]
