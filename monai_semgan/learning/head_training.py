"""Fits a head for new structures on the maps of a student that stays as it is.

What is randomised is the slice: its geometry, and its contrast, so that the head also works where grey values mean
other things. The student's maps of a batch are computed while the head learns from the batch before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.losses.label_losses import UNLABELLED, MaskedDiceCELoss
from monai_semgan.networks.added_structures import StructureHead
from monai_semgan.training.augmentation.colour import randomisation_for
from monai_semgan.training.augmentation.paired import PairedAugmentation
from monai_semgan.training.engine.ema import MovingAverage
from monai_semgan.training.engine.schedule import Stopwatch, cosine_factor
from monai_semgan.training.engine.seeds import step_generator
from monai_semgan.utils.device import autocast
from monai_semgan.utils.progress import ETA
from monai_semgan.utils.side_by_side import undivided

if TYPE_CHECKING:
    from monai_semgan.learning.learn_settings import LearnSettings
    from monai_semgan.learning.structure_scans import StructureScan
    from monai_semgan.networks import InversionSegmenter
    from monai_semgan.utils.progress import Progress

BALANCE = 0.7
"""Of the cross-entropy: without it small structures stay background for hundreds of steps (docs/learning.md)."""

MAX_NORM = 5.0
"""Of the gradient: one batch of many must not undo what the others have taught."""


@dataclass(frozen=True, eq=False)
class HeadBatch:
    """Slices with the frozen network's view of them.

    Attributes:
        image: `(N, C, H, W)` in -1..1.
        logits: the student's `(N, K, H, W)`.
        features: its maps.
        target: `(N, H, W)` int64, 255 where something else is known already.
    """

    image: torch.Tensor
    logits: torch.Tensor
    features: list[torch.Tensor]
    target: torch.Tensor


class HeadTraining:
    """One head, from the first step to the last; `run` may be called again, with other scans.

    Args:
        network: of a bundle; stays as it is.
        structures: how many are learnt.
        settings: how.
        progress: told after every step, also in which share of the whole learning it is.
    """

    def __init__(
        self, network: InversionSegmenter, structures: int, settings: LearnSettings, progress: Progress
    ) -> None:
        if not hasattr(network.student, "with_features"):
            raise SemganError("this model's student is no U-Net of this package", remedy="learn with another model")
        self.network, self.structures, self.settings, self.progress = network, structures, settings, progress
        self.device = next(network.parameters()).device
        torch.manual_seed(settings.seed)
        self.head = new_head(network, structures).to(self.device)
        self.average = MovingAverage(self.head, settings.average_slices)
        self.loss = MaskedDiceCELoss(dice_weight=structures, balance=BALANCE)
        self.paired = PairedAugmentation()
        self.step = 0

    def run(self, scans: Sequence[StructureScan], watch: Stopwatch, seconds: float, end: float) -> StructureHead:
        """Learn until so many seconds, of the same clock, have gone by.

        Args:
            scans: to learn from.
            watch: counts the time; pauses are left out.
            seconds: where this part ends.
            end: where the whole learning ends, for the bar.

        Returns:
            The average of the head, in evaluation mode.

        Raises:
            Cancelled: the user wants to stop.
            SemganError: the loss is no number.
        """
        slices, begun, first = _Slices(scans, self.structures, self.settings), watch.elapsed, self.step
        optimiser = torch.optim.AdamW(
            self.head.parameters(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
        with _Ahead(lambda step: self._batch(slices, step), self.step) as batches, undivided():
            while self.step == first or (watch.elapsed < seconds and not self._enough(first)):
                share = (watch.elapsed - begun) / max(1e-6, seconds - begun)
                if self.settings.steps is not None:  # then what is learnt does not depend on the clock
                    share = (self.step - first) / self.settings.steps
                optimiser.param_groups[0]["lr"] = self.settings.learning_rate * cosine_factor(share, 0.05, 0.02)
                loss = self._learn(next(batches), optimiser)
                self._tell(loss, watch, end)
        return self.finished

    @property
    def finished(self) -> StructureHead:
        """The average of the head, in evaluation mode."""
        return cast("StructureHead", self.average.network)

    def _enough(self, first: int) -> bool:
        return self.settings.steps is not None and self.step - first >= self.settings.steps

    def _learn(self, batch: HeadBatch, optimiser: torch.optim.Optimizer) -> float:
        with autocast(self.device, self.settings.mixed_precision):
            logits = self.head(batch.image, batch.logits, batch.features)
        loss = self.loss(_with_background(logits), batch.target)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise SemganError("learning has met values that are no numbers", remedy="check the scans, or learn again")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.head.parameters(), MAX_NORM, error_if_nonfinite=True)
        optimiser.step()
        self.step += 1
        self.average.update(self.head, len(batch.image), self.step * self.settings.batch_size)
        return value

    def _tell(self, loss: float, watch: Stopwatch, end: float) -> None:
        done, total = min(watch.elapsed, end), end
        left = {ETA: max(0.0, end - done), "loss": loss, "step": float(self.step)}
        with watch.paused():  # whoever takes the news may hold the work up
            self.progress.update(round(done), max(1, round(total)), "learning", **left)
        if self.progress.should_stop():
            raise Cancelled

    @undivided()
    @torch.no_grad()
    def _batch(self, slices: _Slices, step: int) -> HeadBatch:
        """A batch of a step; the same whatever else is computed meanwhile."""
        settings, source = self.settings, step_generator(self.settings.seed, 0, step, "augment", self.device)
        index = slices.draw(step)
        image, target = slices.image[index].to(self.device), slices.target[index].to(self.device).long()
        image, moved = self.paired(image, target, source)
        target = cast("torch.Tensor", moved)
        contrast = randomisation_for(image.shape[1], ())
        chosen = torch.rand(len(image), generator=source, device=self.device) < settings.contrast_probability
        randomised = contrast(image, None, source)
        image = torch.where(chosen[:, None, None, None], randomised, image)
        with autocast(self.device, settings.mixed_precision):
            logits, features = self.network.student.with_features(image)  # type: ignore[operator]
            taken = logits.argmax(1) > 0
            if self.network.added is not None:
                taken |= earlier_found(self.network, image, logits, features)
        return HeadBatch(image, logits, features, torch.where(taken, UNLABELLED, target))


def new_head(network: InversionSegmenter, structures: int) -> StructureHead:
    """Make a head that has learnt nothing yet."""
    student = network.student
    with torch.no_grad():
        image = torch.zeros(1, image_channels(network), 64, 64, device=next(network.parameters()).device)
        classes = student(image).shape[1]
    return StructureHead(cast("list[int]", student.feature_channels), image.shape[1], classes, structures)


def image_channels(network: InversionSegmenter) -> int:
    """Count the channels of the images that a network takes."""
    first = next(one for one in network.student.modules() if isinstance(one, torch.nn.Conv2d))
    return int(first.in_channels)


def earlier_found(
    network: InversionSegmenter, image: torch.Tensor, logits: torch.Tensor, features: list[torch.Tensor]
) -> torch.Tensor:
    """Where the heads that were learnt earlier find something: `(N, H, W)` bool."""
    assert network.added is not None
    parts = network.added(image, logits, features).split([1 + count for count in network.added_counts], 1)
    return torch.stack([part.argmax(1) > 0 for part in parts]).any(0)


def _with_background(logits: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)


class _Slices:
    """All slices of the scans, and which of them show what."""

    def __init__(self, scans: Sequence[StructureScan], structures: int, settings: LearnSettings) -> None:
        self.settings = settings
        self.image = torch.cat([scan.image for scan in scans])
        self.target = torch.cat([_with_unknown(scan, structures) for scan in scans])
        shown = ((self.target == number).flatten(1).any(1) for number in range(1, structures + 1))
        self.showing = [rows for found in shown if len(rows := found.nonzero()[:, 0])]

    def draw(self, step: int) -> torch.Tensor:
        """Numbers of the slices of a step: some of each structure in turn, and any others."""
        source = step_generator(self.settings.seed, 0, step, "choice")
        size = self.settings.batch_size
        wanted = round(size * self.settings.structure_share) if self.showing else 0
        chosen = []
        for number in range(wanted):
            rows = self.showing[(step + number) % len(self.showing)]
            chosen.append(rows[torch.randint(len(rows), (1,), generator=source)])
        return torch.cat([*chosen, torch.randint(len(self.image), (size - wanted,), generator=source)])


def _with_unknown(scan: StructureScan, structures: int) -> torch.Tensor:
    """A scan's target; without what it does not tell, background means nothing."""
    told = len(scan.known) == structures
    return scan.target if told else torch.where(scan.target == 0, UNLABELLED, scan.target.long()).to(torch.uint8)


class _Ahead:
    """Batches of consecutive steps, the next one made in another thread where PyTorch may use several."""

    def __init__(self, make: Callable[[int], HeadBatch], step: int) -> None:
        self.make, self.step = make, step
        self.pool = ThreadPoolExecutor(1, "batch") if torch.get_num_threads() > 1 else None
        self.next: Future[HeadBatch] | None = None

    def __enter__(self) -> _Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def __next__(self) -> HeadBatch:
        step, self.step = self.step, self.step + 1
        if self.pool is None:
            return self.make(step)
        ready = self.next or self.pool.submit(self.make, step)
        self.next = self.pool.submit(self.make, step + 1)
        return ready.result()
