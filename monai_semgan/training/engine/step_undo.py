"""Leave a step that takes too long to be waited for, as if it had not begun."""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING, Any

from monai_semgan.errors import Cancelled

if TYPE_CHECKING:
    import torch

    from monai_semgan.training.engine.stop_request import StopRequest
    from monai_semgan.training.stages.stage import Stage

SLOW = 3.0
"""Seconds of a step from which the state before the next one is kept; a copy takes tenths of a second, and a shorter
step is waited for."""


class StepUndo:
    """Make steps, and take the one in hand back when it has to be left.

    Steps of seconds are those of a processor; a GPU's are short, and its memory is not spent on copies.

    Args:
        stage: what is trained.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._last = math.inf

    def run(self, step: int, stop: StopRequest) -> dict[str, torch.Tensor]:
        """Do a step and return its scalars.

        Args:
            step: its number, from 0.
            stop: whether someone wants the run to end.

        Raises:
            Cancelled: if the step was left; networks and optimisers are those of before.
        """
        if self.stage.context.device.type != "cpu" or self._last < SLOW:
            return self._timed(step)
        before: dict[str, Any] = copy.deepcopy(self.stage.state_dict())
        try:
            with stop.may_leave():
                return self._timed(step)
        except Cancelled:
            self.stage.load_state_dict(before)
            raise

    def _timed(self, step: int) -> dict[str, torch.Tensor]:
        start = time.monotonic()
        losses = self.stage.step(step)
        self._last = time.monotonic() - start
        return losses
