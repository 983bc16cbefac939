"""A stage from outside the package is trained by `train`, beside those of the package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from monai_semgan._moved import OldNameWarning
from monai_semgan.errors import SemganError
from monai_semgan.training.engine.ema import MovingAverage
from monai_semgan.training.run import train
from monai_semgan.training.stages.stage import Stage, StageContext
from monai_semgan.training.stages.stage_registry import (
    TrainedGenerator,
    budget_shares,
    find_stage,
    forget_stage,
    register_stage,
    stage_names,
)
from monai_semgan.training.training_settings import TrainSettings


@dataclass(frozen=True)
class BrightnessSettings:
    """Settings of the stage below."""

    learning_rate: float = 0.1


class BrightnessStage(Stage):
    """Learn the mean grey value of the training slices."""

    def __init__(self, context: StageContext, settings: BrightnessSettings) -> None:
        super().__init__(context, batch_size=2)
        self.level = nn.Linear(1, 1, bias=False)
        self.networks = {"brightness": self.level}
        self.averages = {"brightness": MovingAverage(self.level, 8.0)}
        self.optimisers = {"brightness": torch.optim.SGD(self.level.parameters(), lr=settings.learning_rate)}
        self.base_rates = {"brightness": settings.learning_rate}

    @staticmethod
    def build(
        context: StageContext, settings: BrightnessSettings, generator: Callable[[], TrainedGenerator]
    ) -> tuple[Stage, dict[str, Any]]:
        """Make it."""
        return BrightnessStage(context, settings), {"generator": generator().network is not None}

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """Go one step towards the mean."""
        images, _ = self.context.slices.batch([step % len(self.context.slices)])
        loss = (self.level(torch.ones(1, 1)) - images.mean()).square().mean()
        self.optimisers["brightness"].zero_grad()
        loss.backward()
        self.optimizer_step("brightness", self.level.parameters(), max_norm=5.0)
        return {"loss": loss.detach()}

    def image_grid(self) -> np.ndarray:
        """Show a grey square."""
        return np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def brightness() -> Iterator[str]:
    """The stage, as another program registers it."""
    register_stage("brightness", BrightnessSettings)(BrightnessStage)
    yield "brightness"
    forget_stage("brightness")


def test_a_stage_from_outside_is_trained_and_leaves_weights(brightness: str, datalist: Path, tmp_path: Path) -> None:
    settings = TrainSettings(steps=4, size=32, pixel_mm=11.0, options={"learning_rate": 0.3})
    (result,) = train(brightness, datalist, tmp_path / "run", settings)
    assert result.finished and result.steps == 4
    assert (tmp_path / "run" / "brightness" / "weights.pt").is_file()
    assert '"learning_rate": 0.3' in (tmp_path / "run" / "brightness" / "record.json").read_text()


def test_all_trains_those_of_the_package_in_their_order(brightness: str) -> None:
    assert stage_names() == ("gan", "encoder", "student", "brightness")
    assert list(budget_shares()) == ["gan", "encoder", "student"] and sum(budget_shares().values()) == pytest.approx(1)


def test_a_taken_name_is_refused(brightness: str) -> None:
    for name in ("gan", "all", brightness):
        with pytest.raises(SemganError, match="known already; choose another name"):
            register_stage(name, BrightnessSettings)(BrightnessStage)


def test_that_a_stage_is_given_labelled_volumes_alone_is_deprecated() -> None:
    with pytest.warns(OldNameWarning, match="labelled_only of register_stage goes in 0.4: draw the slices of"):
        register_stage("sharpness", BrightnessSettings, labelled_only=True)


def test_an_unknown_stage_is_told_with_those_that_there_are() -> None:
    with pytest.raises(SemganError, match="unknown stage 'brightness'; use gan, encoder, student, all"):
        find_stage("brightness")
