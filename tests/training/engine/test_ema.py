"""The moving average follows the weights, fast at first."""

from __future__ import annotations

import torch
from torch import nn

from monai_semgan.training.engine.ema import MovingAverage


def test_after_its_half_life_an_old_weight_counts_half() -> None:
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    average = MovingAverage(network, half_life=100, ramp=1e9)
    nn.init.ones_(network.weight)
    for step in range(10):
        average.update(network, batch=10, images_seen=10 * (step + 1))
    assert torch.allclose(average.network.weight, torch.tensor(0.5))


def test_early_in_a_run_the_average_forgets_the_initial_weights() -> None:
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    average = MovingAverage(network, half_life=1e6, ramp=0.1)
    nn.init.ones_(network.weight)
    for step in range(20):
        average.update(network, batch=4, images_seen=4 * (step + 1))
    assert average.network.weight.item() > 0.95


def test_buffers_are_copied_and_the_average_asks_for_no_gradient() -> None:
    network = nn.BatchNorm1d(2)
    average = MovingAverage(network)
    network.running_mean.fill_(3.0)
    average.update(network, 1, 1)
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
