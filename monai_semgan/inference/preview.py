"""The preview: probabilities of the student for all slices of a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter1d

from monai_semgan.inversion.selection import beside
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


@checked
@dataclass(frozen=True)
class PreviewSettings:
    """Set how the student's probabilities are made.

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


@torch.no_grad()
def preview_slices(
    network: torch.nn.Module,
    image: torch.Tensor,
    settings: PreviewSettings,
    out_of_domain: bool = False,
    distance_mm: float = 0.0,
    device: torch.device | None = None,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """Compute the student's probabilities `(D, K, H, W)` of all slices `(D, C, H, W)`, on the CPU.

    Args:
        network: of a bundle.
        image: slices in -1..1, neighbours in the patient being neighbours here.
        settings: how they are averaged and smoothed.
        out_of_domain: the scan is of a modality that the model has not learnt.
        distance_mm: of neighbouring slices; 0 if it is not known, then nothing is smoothed across them.
        device: where to compute; that of `image` when left out.
        on_step: called before the first and after every batch.

    Raises:
        Cancelled: if `on_step` raises it.
    """
    place, total, tell = device or image.device, image.shape[0], on_step or (lambda event: None)
    batch_size = settings.batch_size or (GPU_SLICES if place.type == "cuda" else SMALL_BATCH)
    first, further = views_of(settings.shift_pixels, settings.negative and out_of_domain)
    share = len(first) / (len(first) + len(further))

    def look(
        chosen: torch.Tensor, views: list[View], before: float, share: float
    ) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield which slices, and the mean of their views, batch by batch."""

        def run(window: slice) -> torch.Tensor:
            with autocast(place, settings.mixed_precision):
                return mean_of_views(network, image[chosen[window]].to(place), views).cpu()

        done = 0
        for part in batches(run, len(chosen), batch_size, place):
            yield chosen[done : done + len(part)], part
            done += len(part)
            tell(StepEvent("preview", round(total * (before + share * done / len(chosen))), total, total))

    tell(StepEvent("preview", 0, total, total))
    probabilities = torch.empty(0)
    for index, part in look(torch.arange(total), first, 0.0, share):
        if not len(probabilities):
            probabilities = part.new_empty(total, *part.shape[1:])
        probabilities[index] = part
    if further:
        for index, part in look(shows_anything(probabilities, settings, distance_mm), further, share, 1.0 - share):
            probabilities[index] = torch.lerp(part, probabilities[index], share)
        tell(StepEvent("preview", total, total, total))
    return smooth_across(probabilities, settings.smoothing_mm, distance_mm)


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


def mean_of_views(network: torch.nn.Module, image: torch.Tensor, views: list[View]) -> torch.Tensor:
    """Compute the mean of the student's probabilities `(N, K, H, W)` for several views of slices."""
    total = torch.zeros((), device=image.device)
    for negative, (down, right) in views:
        view = torch.where(image > AIR, -image, image) if negative else image
        logits = network.preview(torch.roll(view, (down, right), (2, 3)))  # type: ignore[operator]
        total = total + torch.roll(torch.softmax(logits.float(), 1), (-down, -right), (2, 3))
    return total / len(views)


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
