"""One gradient that is no number costs a step, not the training; a training that has no others stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from monai_semgan.errors import SemganError
from monai_semgan.losses.regularisers import PathLength
from monai_semgan.networks.weights import load_weights, save_weights
from monai_semgan.training.engine.gradient_guard import MOST_IN_A_ROW, GradientGuard
from monai_semgan.training.stages.student_stage import StudentStage
from tests.training.phantoms import TINY, train

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16), "generated_fraction": 0.0}
BROKEN = [float("inf"), float("-inf"), float("nan")]


def break_gradients(monkeypatch: pytest.MonkeyPatch, first: int, last: int) -> None:
    """From one step to another the loss has an infinite gradient, as an overflow makes it."""
    whole = StudentStage.step

    def step(self: StudentStage, step: int) -> dict[str, torch.Tensor]:
        weight = dict(self.networks["student"].named_parameters())["model.0.residual.weight"]
        hook = weight.register_hook(lambda grad: grad.fill_(float("inf")) if first <= step <= last else grad)
        try:
            return whole(self, step)
        finally:
            hook.remove()

    monkeypatch.setattr(StudentStage, "step", step)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("value", BROKEN)
def test_a_broken_gradient_changes_neither_weights_nor_moments(fused: bool, value: float) -> None:
    layer, guard = nn.Linear(3, 1), GradientGuard()
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=fused)
    for number, gradient in enumerate([1.0, value, 1.0]):
        before = layer.weight.detach().clone()
        layer.weight.grad, layer.bias.grad = torch.ones(1, 3), torch.ones(1)
        layer.weight.grad[0, 1] = gradient
        guard.step({"layer": optimiser}, list(layer.parameters()), 5.0)
        assert torch.equal(layer.weight, before) == (number == 1)
    assert guard.skipped == 1 and torch.isfinite(layer.weight).all() and not guard.broken()
    assert int(optimiser.state[layer.weight]["step"]) == 2


def test_gradients_that_need_no_clipping_are_left_as_they_are() -> None:
    layer, twin = nn.Linear(3, 1), nn.Linear(3, 1)
    twin.load_state_dict(layer.state_dict())
    for one in (layer, twin):
        one.weight.grad, one.bias.grad = torch.full((1, 3), 0.3), torch.full((1,), 0.1)
    GradientGuard().step({"x": torch.optim.SGD(layer.parameters(), 0.1)}, list(layer.parameters()), float("inf"))
    torch.optim.SGD(twin.parameters(), 0.1).step()
    assert torch.equal(layer.weight, twin.weight)


def test_a_single_overflow_is_counted_and_the_training_goes_on(
    datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_gradients(monkeypatch, 2, 4)
    (result,) = train("student", datalist, tmp_path, steps=8, **STUDENT)
    assert result.finished
    assert json.loads((tmp_path / "student" / "record.json").read_text())["skipped_steps"] == 3
    assert all(torch.isfinite(tensor).all() for tensor in load_weights(tmp_path / "model.pt").values())


def test_a_training_that_diverges_stops_with_the_step_and_keeps_the_last_weights(
    datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_gradients(monkeypatch, 5, 1000)
    with pytest.raises(SemganError) as caught:
        train("student", datalist, tmp_path, steps=100, checkpoint_steps=2, **STUDENT)
    told = str(caught.value)
    stopped = 5 + MOST_IN_A_ROW
    assert f"diverged: gradients of the student are no numbers after {stopped} steps" in told
    assert "lower the learning_rate; the weights of step 14 are kept" in told and "\n" not in told
    assert json.loads((tmp_path / "student" / "record.json").read_text())["step"] == 14
    assert all(torch.isfinite(tensor).all() for tensor in load_weights(tmp_path / "student" / "weights.pt").values())


@pytest.mark.parametrize("value", BROKEN)
def test_weights_that_are_no_numbers_are_not_loaded(datalist: Path, tmp_path: Path, value: float) -> None:
    save_weights(tmp_path / "broken.pt", {"student.bias": torch.tensor([0.0, value])})
    with pytest.raises(
        SemganError, match=r"broken.pt: holds weights that are no finite numbers \(student.bias\)"
    ) as told:
        train("student", datalist, tmp_path / "run", steps=1, init=tmp_path / "broken.pt", **STUDENT)
    assert "\n" not in str(told.value) and not (tmp_path / "run" / "student").exists()


def test_a_checkpoint_with_weights_that_are_no_numbers_is_not_resumed(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=1, **STUDENT)
    path = tmp_path / "student" / "checkpoint.pt"
    state = torch.load(path)
    next(iter(state["stage"]["networks"]["student"].values()))[0] = float("nan")
    torch.save(state, path)
    with pytest.raises(SemganError, match=r"no finite numbers \(stage.networks.student"):
        train("student", datalist, tmp_path, steps=2, resume=True, **STUDENT)


def test_a_path_length_that_overflows_once_is_forgotten() -> None:
    penalty = PathLength()
    latents = torch.ones(2, 3, 4, requires_grad=True)
    penalty((latents.sum((1, 2))[:, None, None, None] * torch.ones(2, 1, 4, 4)), latents)
    known = float(penalty.mean_length)
    penalty((latents.sum((1, 2))[:, None, None, None] * torch.full((2, 1, 4, 4), 1e38) * 10), latents)
    assert float(penalty.mean_length) == known > 0
