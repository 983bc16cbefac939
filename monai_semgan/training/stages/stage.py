"""What a training stage is: networks, optimisers, one step; the loop around it is the same for all."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from monai_semgan.errors import Cancelled
from monai_semgan.networks.weights import load_into, part
from monai_semgan.organs import pairs
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.ema import MovingAverage
from monai_semgan.training.engine.gradient_guard import GradientGuard
from monai_semgan.training.engine.schedule import Schedule, cosine_factor

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet


@dataclass
class StageContext:
    """What every stage is given.

    Args:
        slices: training slices, labelled and unlabelled.
        validation: slices of the validation volumes, or None.
        device: where to train.
        workers: the processes of the run.
        seed: seed of everything random.
        size: side of a slice in pixels.
        num_classes: classes with the background.
        initial: weights to begin with, by prefix (see `training.engine.run_files.gather_weights`).
        mixed_precision: use bfloat16 where the device is fast with it.
        schedule: how long the stage trains, where that is known.
        should_stop: whether someone waits for the end of the run (SIGTERM, Ctrl-C); what takes longer than some
            seconds besides the steps asks it, see `Stage.check_stop`.
    """

    slices: SliceSet
    validation: SliceSet | None
    device: torch.device
    workers: Workers
    seed: int = 0
    size: int = 128
    num_classes: int = 5
    initial: Mapping[str, torch.Tensor] = field(default_factory=dict)
    mixed_precision: bool = True
    schedule: Schedule | None = None
    should_stop: Callable[[], bool] = lambda: False

    @property
    def tied_labels(self) -> tuple[tuple[int, ...], ...]:
        """Classes that are the two sides of one structure, and so the same tissue, where the names are known."""
        return pairs(self.slices.class_names)


SHARE = "share"
"""Entry of an optimiser's group: its learning rate as a share of that of the network."""

CHECK_SHARE = 0.05
"""Share of a stage's time for checks and pictures."""


class Stage(abc.ABC):
    """One stage of training.

    Subclasses fill `networks`, `averages` (both by the prefix that the weights have in files) and `optimisers`, and
    implement `step` and `image_grid`.

    Args:
        context: data, device and seed.
        batch_size: images per step and process.
    """

    name: str = ""
    check_share: float = CHECK_SHARE
    """Share of the stage's time that `evaluate` and `image_grid` may take, within the time budget. With 0 they take as
    long as they need, beyond it."""
    check_seconds: float = math.inf
    """Seconds that the next `evaluate` may take; the loop tells."""

    def __init__(self, context: StageContext, batch_size: int) -> None:
        self.context = context
        self.batch_size = batch_size
        self.networks: dict[str, nn.Module] = {}
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.averages: dict[str, MovingAverage] = {}
        self.base_rates: dict[str, float] = {}
        self.guard = GradientGuard()

    @abc.abstractmethod
    def step(self, step: int) -> dict[str, torch.Tensor]:
        """Do step number `step` (from 0) and return scalars to log, left on the device."""

    def check_stop(self) -> None:
        """End an evaluation or a picture early when the run shall end.

        Raises:
            Cancelled: if it shall; the loop writes the checkpoint without the rest.
        """
        if self.context.should_stop():
            raise Cancelled

    @abc.abstractmethod
    def image_grid(self) -> np.ndarray:
        """A picture (H, W, 3) uint8 that shows what the stage can do now."""

    def evaluate(self, final: bool) -> dict[str, float]:
        """Figures of merit of the averaged weights, in full at the end; empty when there is nothing to score on."""
        return {}

    def final_check_seconds(self) -> float:
        """How long `evaluate` will take at the end, as far as it is known; 0 where it is not."""
        return 0.0

    def worst_slices(self) -> np.ndarray | None:
        """A picture (H, W, 3) uint8 of the worst validation slices of the last `evaluate`; None without any."""
        return None

    def details(self) -> dict[str, Any]:
        """What only this stage can say in the record (the last evaluation in full, say)."""
        return {}

    def parts(self) -> dict[str, dict[str, dict[str, torch.Tensor]]]:
        """Weights to keep: file stem -> prefix -> state dict; averaged ones in `weights`, others apart."""
        files: dict[str, dict[str, dict[str, torch.Tensor]]] = {}
        for name, network in self.networks.items():
            average = self.averages.get(name)
            kept = average.network if average is not None else network
            files.setdefault("weights" if average is not None else name, {})[name] = kept.state_dict()
        return files

    def load_pretrained(self, weights: Mapping[str, torch.Tensor]) -> list[str]:
        """Load the parts that `weights` holds into the networks and their averages.

        Returns:
            Names of the networks that were found.

        Raises:
            SemganError: if a part was made for another architecture.
        """
        found = []
        for name, network in self.networks.items():
            state = part(weights, name)
            if state:
                load_into(network, state)
                if name in self.averages:
                    load_into(self.averages[name].network, state)
                found.append(name)
        return found

    def rate_factor(self, fraction: float) -> float:
        """Factor of the learning rate at a progress in [0, 1]."""
        return cosine_factor(fraction)

    def images_seen(self, steps: int) -> int:
        """Images that all processes have trained on after `steps` steps."""
        return steps * self.batch_size * self.context.workers.size

    def set_rate(self, fraction: float, scale: float = 1.0) -> None:
        """Set the learning rates for a progress in [0, 1]."""
        factor = self.rate_factor(fraction) * scale
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = self.base_rates[name] * factor * group.get(SHARE, 1.0)

    def extra_state(self) -> dict[str, Any]:
        """Further state that a resumed run needs."""
        return {}

    def load_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `extra_state` gave."""
        if state:
            raise ValueError(f"the {self.name} stage keeps no further state")

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "averages": {name: average.network.state_dict() for name, average in self.averages.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "extra": self.extra_state(),
            "skipped_steps": self.guard.skipped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, average in self.averages.items():
            average.network.load_state_dict(state["averages"][name])
        for name, optimiser in self.optimisers.items():
            load_optimiser(optimiser, state["optimisers"][name])
        self.guard.load(state.get("skipped_steps", 0))
        self.load_extra_state(state["extra"])

    def update_averages(self, step: int) -> None:
        """Take the weights after step number `step` into the moving averages."""
        batch = self.batch_size * self.context.workers.size
        for name, average in self.averages.items():
            average.update(self.networks[name], batch, self.images_seen(step + 1))

    def optimizer_step(
        self, names: str | Sequence[str], parameters: Iterable[nn.Parameter], max_norm: float = math.inf
    ) -> None:
        """Average the gradients over the processes, clip them and let optimisers step, if the gradients are numbers.

        Args:
            names: of the networks; their optimisers step all or none.
            parameters: of all of them.
            max_norm: of all gradients together.
        """
        parameters = list(parameters)
        self.context.workers.average_gradients(parameters)
        chosen = [names] if isinstance(names, str) else names
        self.guard.step({name: self.optimisers[name] for name in chosen}, parameters, max_norm)


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimiser's state that may come from another kind of device.

    How this optimiser computes, and how its memory is laid out, stay as they are. PyTorch takes both from the state;
    on a processor its fused Adam then mixes up the elements of moments that have their channels last without a word.
    """
    fused = [group.get("fused") for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, own in zip(optimiser.param_groups, fused, strict=True):
        if "fused" in group:
            group["fused"] = own
    for parameter, values in optimiser.state.items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)
