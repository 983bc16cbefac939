"""Randomness depends on seed, rank and step alone; so does the stock of generated pairs."""

from __future__ import annotations

import torch

from monai_semgan.networks import JointGenerator
from monai_semgan.training.engine.seeds import STREAMS, step_seed
from monai_semgan.training.pair_pool import PairPool, PoolSettings, plausible


def pool(seed: int = 0, rank: int = 0) -> PairPool:
    torch.manual_seed(0)
    generator = JointGenerator(16, 8, 1, 3, {4: 8, 8: 8, 16: 4}, mapping_layers=1).eval().requires_grad_(False)
    return PairPool(generator, seed, rank, torch.device("cpu"), PoolSettings(6, 3, refresh_every=4, mixing=0.5))


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


def test_pools_of_other_processes_hold_other_pairs() -> None:
    assert not torch.equal(pool(rank=0).draw(0, 4).image, pool(rank=1).draw(0, 4).image)


def test_pairs_are_what_their_codes_render() -> None:
    pairs, generator = (stock := pool()).draw(9, 4), stock.generator
    sample = generator.synthesis(pairs.latents)
    assert (sample.image.clamp(-1, 1) - pairs.image).abs().max() < 0.05
    assert (sample.logits.argmax(1) == pairs.label).float().mean() > 0.98


def test_unsure_and_monstrous_labels_are_not_believed() -> None:
    logits = torch.zeros(4, 3, 32, 32)
    logits[:, 0] = 10.0
    logits[1, 1, 10:20, 10:20] = 20.0  # a sure organ
    logits[2, 1, 10:20, 10:20] = 10.3  # an unsure one
    logits[3, 2] = 20.0  # nothing but organ
    assert plausible(logits).tolist() == [True, True, False, False]
