"""Curves of losses stay small however long the training is, and keep its shape."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.training.engine.loss_history import MOST, LossHistory


@given(st.integers(1, 3000), st.integers(1, 500))
def test_points_are_few_ascending_and_reach_the_end(readings: int, every: int) -> None:
    history = LossHistory()
    for number in range(1, readings + 1):
        history.add(number * every, {"loss": 1.0 / number})
    steps = [entry["step"] for entry in history.entries]
    assert steps == sorted(set(steps)) and len(steps) <= MOST
    assert steps[-1] >= 0.95 * readings * every or readings < 50
    losses = [entry["loss"] for entry in history.entries]
    assert losses == sorted(losses, reverse=True)


def test_points_are_evenly_spread_after_many_readings() -> None:
    history = LossHistory()
    for step in range(20, 200_001, 20):
        history.add(step, {"loss": float(step)})
    gaps = [b["step"] - a["step"] for a, b in zip(history.entries, history.entries[1:], strict=False)]
    assert max(gaps) <= 2 * min(gaps)


def test_a_resumed_training_goes_on_with_the_points_of_before() -> None:
    first = LossHistory()
    for step in range(1, 400):
        first.add(step, {"loss": 1.0})
    second = LossHistory(json.loads(json.dumps(first.entries)))
    second.add(1000, {"loss": 2.0, "sure": 0.5})
    assert second.entries[0] == first.entries[0] and second.entries[-1] == {"loss": 2.0, "sure": 0.5, "step": 1000}
