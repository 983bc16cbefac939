"""Probabilities of slices as the mean of several views of them, smoothed across the slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from scipy.ndimage import gaussian_filter1d

from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.selection import beside
from monai_semgan.networks import InversionSegmenter
from monai_semgan.utils.device import autocast, halving_batches
from monai_semgan.utils.progress import OnStep, StepEvent
from monai_semgan.utils.settings import check_ranges, checked
from monai_semgan.utils.side_by_side import SMALL_BATCH, side_by_side

GPU_SLICES = 64
"""Slices computed together on a GPU, to keep it busy."""

AIR = -0.97
"""Darker pixels of a slice are air, which stays as it is in the slice's negative."""

SEEN = 0.2
"""A slice is looked at again, shifted, if it or one beside it gives some pixel this probability of an organ.

That is the case for half of the slices of the CT validation volumes; on none of these volumes, nor on the MRI tuning
volumes, do the shifted views of the other slices change a voxel, and with .5 none either.
"""

View = tuple[bool, tuple[int, int]]
"""A way to look at a slice: whether as its negative, and by how many pixels it is shifted."""


Look = Callable[[torch.Tensor], torch.Tensor]
"""Slices `(N, C, H, W)` to logits `(N, K, H, W)`."""


@dataclass(frozen=True)
class LookWithAdded:
    """Look at slices with a model to which structures were added.

    Attributes:
        parts: see `InversionSegmenter.preview_parts`: its last logits are groups with a softmax each, and all that is
            computed of the first group is as without them.
        groups: logits of each of the last groups.
    """

    parts: Look
    groups: tuple[int, ...]

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the logits of all groups."""
        return self.parts(image)


@checked
@dataclass(frozen=True)
class PreviewSettings:
    """Set how probabilities are made of several views of every slice.

    Args:
        smoothing_mm: standard deviation of a Gaussian across the slices, in mm; 0 for none.
        shift_pixels: average over the slice and its copies shifted by this many pixels along both diagonals, where
            it or a slice beside it shows anything; 0 for the slice alone.
        negative: for scans of a modality that the model has not learnt, average over the slices and their negatives:
            what is bright may be dark there.
        batch_size: slices computed together; None chooses by device.
        mixed_precision: use bfloat16 where that is faster.

    Raises:
        SemganError: if a value makes no sense.
    """

    smoothing_mm: float = 0.0
    shift_pixels: int = 0
    negative: bool = False
    batch_size: int | None = None
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        check_ranges(self, counts=("batch_size",), not_negative=("smoothing_mm", "shift_pixels"))


@dataclass(frozen=True)
class Known:
    """Hold what is known of slices as they are, in place of looking at them.

    Attributes:
        probabilities: `(D, K, H, W)`, on the CPU.
        share: their share in the mean of all views; None for that of one view.
    """

    probabilities: torch.Tensor
    share: float | None = None


@torch.no_grad()
def average_views(
    look: Look,
    image: torch.Tensor,
    settings: PreviewSettings,
    out_of_domain: bool = False,
    distance_mm: float = 0.0,
    device: torch.device | None = None,
    on_step: OnStep | None = None,
    known: Known | None = None,
) -> torch.Tensor:
    """Compute probabilities `(D, K, H, W)` of all slices `(D, C, H, W)`, on the CPU.

    Args:
        look: what gives the logits of a view.
        image: slices in -1..1, neighbours in the patient being neighbours here.
        settings: how they are averaged and smoothed.
        out_of_domain: the scan is of a modality that the model has not learnt.
        distance_mm: of neighbouring slices; 0 if it is not known, then nothing is smoothed across them.
        device: where to compute; that of `image` when left out.
        on_step: called before the first and after every batch.
        known: what has been computed of the slices as they are.

    Raises:
        Cancelled: if `on_step` raises it.
    """
    work = _Averaging(look, image, settings, device or image.device, on_step or (lambda event: None))
    first, further = views_of(settings.shift_pixels, settings.negative and out_of_domain)
    if known is None:
        share = len(first) / (len(first) + len(further))
        probabilities = work.first(first, share)
    else:
        further = [*first[1:], *further]
        share = 1 / (1 + len(further)) if known.share is None else known.share
        probabilities = known.probabilities.clone()
    if further:
        work.mix(probabilities, shows_anything(probabilities, settings, distance_mm), further, share)
    return smooth_across(probabilities, settings.smoothing_mm, distance_mm)


def rendered_average(
    network: InversionSegmenter,
    image: torch.Tensor,
    settings: PreviewSettings,
    search: InversionSettings,
    out_of_domain: bool = False,
    distance_mm: float = 0.0,
) -> Callable[[torch.Tensor, OnStep], torch.Tensor] | None:
    """Make a function that averages rendered probabilities with what the encoder makes of further views.

    Args:
        network: of a bundle, on the device to compute on.
        image: slices `(D, C, H, W)`.
        settings: which views, and how to smooth.
        search: whether views are averaged, with what share of the search, in which batches and arithmetic.
        out_of_domain: the scan is of a modality that the model has not learnt.
        distance_mm: of neighbouring slices; 0 if it is not known.

    Returns:
        The function; None where views are not averaged.
    """
    if not search.average_views:
        return None
    mixed_precision = settings.mixed_precision and search.mixed_precision
    settings = replace(settings, batch_size=search.batch_size, mixed_precision=mixed_precision)

    def average(rendered: torch.Tensor, on_step: OnStep) -> torch.Tensor:
        place = rendered.device
        known = Known(rendered.cpu(), search.search_share)
        look = network.rendered
        return average_views(look, image, settings, out_of_domain, distance_mm, place, on_step, known).to(place)

    return average


class _Averaging:
    """One call of `average_views`."""

    def __init__(
        self, look: Look, image: torch.Tensor, settings: PreviewSettings, place: torch.device, tell: OnStep
    ) -> None:
        self.look, self.image, self.place, self.tell = look, image, place, tell
        self.mixed_precision = settings.mixed_precision
        self.batch_size = settings.batch_size or (GPU_SLICES if place.type == "cuda" else SMALL_BATCH)
        self.before = 0.0
        self._event(0.0)

    def first(self, views: list[View], share: float) -> torch.Tensor:
        """Look at all slices; that is so large a share of the work."""
        probabilities = torch.empty(0)
        for index, part in self._parts(torch.arange(len(self.image)), views, share):
            if not len(probabilities):
                probabilities = part.new_empty(len(self.image), *part.shape[1:])
            probabilities[index] = part
        self.before = share
        return probabilities

    def mix(self, probabilities: torch.Tensor, seen: torch.Tensor, views: list[View], share: float) -> None:
        """Look at some slices again, and leave what was known of them its share."""
        for index, part in self._parts(seen, views, 1.0 - self.before):
            probabilities[index] = torch.lerp(part, probabilities[index], share)
        self._event(1.0)

    def _parts(self, chosen: torch.Tensor, views: list[View], share: float) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield which slices, and the mean of their views, batch by batch."""

        def run(window: slice) -> torch.Tensor:
            with torch.no_grad(), autocast(self.place, self.mixed_precision):
                return mean_of_views(self.look, self.image[chosen[window]].to(self.place), views).cpu()

        done = 0
        for part in batches(run, len(chosen), self.batch_size, self.place):
            yield chosen[done : done + len(part)], part
            done += len(part)
            self._event(self.before + share * done / len(chosen))

    def _event(self, fraction: float) -> None:
        total = len(self.image)
        self.tell(StepEvent("preview", round(total * fraction), total, total))


def batches(
    run: Callable[[slice], torch.Tensor], total: int, batch_size: int, place: torch.device
) -> Iterator[torch.Tensor]:
    """Run batches one after the other on a GPU, and side by side on a CPU."""
    if place.type == "cpu":
        return side_by_side(run, total, batch_size)
    return halving_batches(run, total, batch_size)


def views_of(shift_pixels: int, negative: bool) -> tuple[list[View], list[View]]:
    """List the views of every slice, and the further ones of slices that show anything."""
    images = (False, True) if negative else (False,)
    shifts = [(a * shift_pixels, b * shift_pixels) for a in (-1, 1) for b in (-1, 1)] if shift_pixels else []
    return [(image, (0, 0)) for image in images], [(image, shift) for image in images for shift in shifts]


def mean_of_views(look: Look, image: torch.Tensor, views: list[View]) -> torch.Tensor:
    """Compute the mean of the probabilities `(N, K, H, W)` for several views of slices."""
    total = torch.zeros((), device=image.device)
    groups = look.groups if isinstance(look, LookWithAdded) else ()
    for negative, (down, right) in views:
        view = torch.where(image > AIR, -image, image) if negative else image
        logits = look(torch.roll(view, (down, right), (2, 3))).float()
        total = total + torch.roll(_softmax(logits, groups), (-down, -right), (2, 3))
    return total / len(views)


def _softmax(logits: torch.Tensor, groups: tuple[int, ...]) -> torch.Tensor:
    """Softmax over the classes `(N, K, H, W)`; over each of the last groups for itself."""
    if not groups:
        return torch.softmax(logits, 1)
    parts = logits.split([logits.shape[1] - sum(groups), *groups], 1)
    return torch.cat([torch.softmax(part.contiguous(), 1) for part in parts], 1)


def shows_anything(probabilities: torch.Tensor, settings: PreviewSettings, distance_mm: float) -> torch.Tensor:
    """Find the slices, of `(D, K, H, W)`, that show an organ or lie beside one that does: their indices."""
    organ = 1.0 - probabilities[:, 0].flatten(1).amin(1)
    margin = 1 + (int(settings.smoothing_mm / distance_mm) if distance_mm > 0 else 0)
    return beside(organ >= SEEN, margin).nonzero().squeeze(1)


def smooth_across(probabilities: torch.Tensor, sigma_mm: float, distance_mm: float) -> torch.Tensor:
    """Smooth `(D, K, H, W)` by a Gaussian across the slices, in place; sums over the classes stay 1."""
    if sigma_mm <= 0 or distance_mm <= 0 or probabilities.shape[0] < 2:
        return probabilities
    for values in probabilities.unbind(1):  # one class at a time: a long scan's probabilities are large
        smoothed = gaussian_filter1d(values.numpy(), sigma_mm / distance_mm, axis=0, mode="nearest", truncate=3.0)
        values.copy_(torch.from_numpy(smoothed))
    return probabilities
