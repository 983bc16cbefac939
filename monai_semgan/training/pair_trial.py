"""Whether generated pairs help: small networks are trained with them and without, and scored on slices held out.

A generator that has learnt little makes pairs that look like labelled slices and are wrong, and nothing in them tells
so. What can be measured is what matters: the same small network, from the same initial weights and on the same labelled
slices, once with a share of generated pairs in each batch and once without. Both are scored on labelled patients that
neither has been trained on (Ravuri and Vinyals, "Classification accuracy score for conditional generative models",
NeurIPS 2019, score generators by what a classifier learns from them). Then the halves of the patients change places.

The generator has seen the labels of both halves, and half of the labels are left for the real side: both favour the
pairs. So they must win by more than `LEAST_GAIN`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from monai_semgan.data.sampler import StepSampler
from monai_semgan.errors import Cancelled
from monai_semgan.losses.label_losses import UNLABELLED, MaskedDiceCELoss
from monai_semgan.networks import build_student
from monai_semgan.training.augmentation.paired import PairedAugmentation

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet
    from monai_semgan.training.engine.schedule import Schedule
    from monai_semgan.training.pair_pool import Pairs

LEAST_GAIN = 0.01
"""Dice by which pairs must raise the score."""

SIDE = 64
"""Pixels to which slices are reduced: a trial is about shapes and places of organs."""

LEAST_STEPS = 100
"""Steps below which networks have learnt too little to be compared."""

TIME_SHARE = 0.1
"""Share of the training's time that a trial may take."""

PROBE = 8
"""Steps that tell how long the others will take."""

TRAININGS = 4
"""Trainings of a trial: with pairs and without, on each half."""

CHANNELS = (16, 32, 64)
"""Channels by level of the small network."""

BLOCK = 8
"""Slices of a block, where a single labelled patient is divided by blocks."""

MOST_SCORED = 192
"""Slices of a half that are scored, at most."""


@dataclass(frozen=True)
class TrialSettings:
    """How long the small networks are trained.

    Args:
        num_classes: with the background.
        fraction: share of generated pairs in a batch.
        steps: of each of the four trainings.
        batch_size: images per step.
        learning_rate: of AdamW.
        organ_fraction: share of slices with an organ among the labelled ones, as far as both kinds exist.
        seed: of initial weights, slices and augmentation.
    """

    num_classes: int
    fraction: float = 0.3
    steps: int = 300
    batch_size: int = 8
    learning_rate: float = 1e-2
    organ_fraction: float = 0.67
    seed: int = 0


@dataclass(frozen=True)
class TrialScores:
    """What came out.

    Attributes:
        without: mean Dice of the organs on held-out slices, trained without pairs.
        with_pairs: the same, trained with pairs in each batch.
    """

    without: float
    with_pairs: float

    @property
    def helped(self) -> bool:
        """Whether pairs raise the score by more than `LEAST_GAIN`."""
        return self.with_pairs - self.without > LEAST_GAIN


def affordable(
    settings: TrialSettings,
    slices: SliceSet,
    device: torch.device,
    schedule: Schedule | None,
    clock: Callable[[], float] = time.perf_counter,
) -> TrialSettings | None:
    """Shorten a trial to fit the training that it is for.

    Args:
        settings: of the longest trial.
        slices: training slices; some are trained on to see how long a step takes.
        device: to compute on.
        schedule: of the training; a trial takes at most a tenth of its time, and no more steps.
        clock: source of the time, replaceable in tests.

    Returns:
        The settings with as many steps as there may be; None if so few would say nothing.
    """
    steps = settings.steps
    if schedule is not None and schedule.steps is not None:
        steps = min(steps, schedule.steps)
    if schedule is not None and schedule.budget is not None and steps >= LEAST_STEPS:
        started = clock()
        _train(slices, divide(slices)[0], None, replace(settings, steps=PROBE), device, lambda: False)
        each = max(1e-9, clock() - started) / PROBE
        steps = min(steps, int(TIME_SHARE * schedule.budget / TRAININGS / each))
    return replace(settings, steps=steps) if steps >= LEAST_STEPS else None


def try_pairs(
    slices: SliceSet,
    pairs: Pairs,
    settings: TrialSettings,
    device: torch.device,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrialScores:
    """Train and score small networks with generated pairs and without.

    Args:
        slices: training slices; those whose label knows all classes are used.
        pairs: generated ones to draw from.
        settings: see `TrialSettings`.
        device: to compute on.
        should_stop: asked after every step.

    Raises:
        Cancelled: `should_stop` said so.
    """
    halves = divide(slices)
    found: dict[bool, list[float]] = {False: [], True: []}
    for trained, held_out in (halves, halves[::-1]):
        for with_pairs, scores in found.items():
            drawn = pairs if with_pairs else None
            network = _train(slices, trained, drawn, settings, device, should_stop)
            scores.append(_score(network, slices, held_out, settings.num_classes, device))
    return TrialScores(*(round(sum(scores) / len(scores), 4) for scores in found.values()))


def divide(slices: SliceSet) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of the labelled slices of every other patient, and those of the others.

    The slices of a single labelled patient are divided by blocks.
    """
    indices = slices.fully_labelled_indices
    patients = [slices.patients[volume] for volume in slices.volume_index[indices].tolist()]
    order = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    if len(order) > 1:
        group = torch.tensor([order[patient] for patient in patients])
    else:
        group = torch.arange(len(indices)) // BLOCK
    return indices[group % 2 == 0], indices[group % 2 == 1]


def _train(
    slices: SliceSet,
    indices: torch.Tensor,
    pairs: Pairs | None,
    settings: TrialSettings,
    device: torch.device,
    should_stop: Callable[[], bool],
) -> nn.Module:
    """Train a small network on some of the labelled slices, and on pairs in place of a share of them."""
    source = torch.Generator(device=device).manual_seed(settings.seed)
    drawn = round(settings.batch_size * settings.fraction) if pairs is not None else 0
    samplers = _samplers(slices, indices, settings.batch_size - drawn, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = build_student(slices.images.shape[1], settings.num_classes, CHANNELS).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=settings.steps)
    loss, paired = MaskedDiceCELoss(), PairedAugmentation()
    for step in range(settings.steps):
        batches = [slices.batch(sampler.batch(step), device) for sampler in samplers]
        if pairs is not None and drawn:
            rows = torch.randint(len(pairs.image), (drawn,), generator=source, device=device)
            batches.append((pairs.image[rows].float() / 127.5 - 1.0, pairs.label[rows].long()))
        image, label = _reduced(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
        image, moved = paired(image, label, source)
        optimiser.zero_grad(set_to_none=True)
        loss(network(image).float(), moved if moved is not None else label).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if should_stop():
            raise Cancelled
    return network.eval()


def _samplers(slices: SliceSet, indices: torch.Tensor, count: int, settings: TrialSettings) -> list[StepSampler]:
    """Draw slices with an organ and without in the shares of the student's batches."""
    organ = torch.isin(indices, slices.organ_indices.to(indices.device))
    kinds = [kind for kind in (indices[organ], indices[~organ]) if len(kind)]
    with_organ = round(count * settings.organ_fraction)
    counts = [with_organ, count - with_organ] if len(kinds) > 1 else [count]
    chosen = [(kind, number) for kind, number in zip(kinds, counts, strict=True) if number]
    return [StepSampler(kind, number, settings.seed) for kind, number in chosen]


def _reduced(image: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, C, H, W) and labels (N, H, W) at `SIDE` pixels or less."""
    factor = max(1, image.shape[-1] // SIDE)
    if factor == 1:
        return image, label
    return F.avg_pool2d(image, factor), label[:, factor // 2 :: factor, factor // 2 :: factor]


@torch.no_grad()
def _score(
    network: nn.Module, slices: SliceSet, indices: torch.Tensor, num_classes: int, device: torch.device
) -> float:
    """Mean Dice over the organs that the slices show, all slices together."""
    chosen = indices[torch.linspace(0, len(indices) - 1, min(MOST_SCORED, len(indices))).round().long()]
    both, sizes = torch.zeros(num_classes), torch.zeros(num_classes)
    shown = torch.zeros(num_classes, dtype=torch.bool)
    for part in chosen.split(32):
        image, label = _reduced(*slices.batch(part, device))
        predicted = network(image).argmax(1)
        for index in range(1, num_classes):
            mine, true = (predicted == index) & (label != UNLABELLED), label == index
            both[index] += 2 * (mine & true).sum().cpu()
            sizes[index] += (mine.sum() + true.sum()).cpu()
            shown[index] |= bool(true.any())
    return float((both[shown] / sizes[shown]).mean()) if bool(shown.any()) else 0.0
