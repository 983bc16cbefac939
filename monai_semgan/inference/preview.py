"""The preview: probabilities of the student for all slices of a volume."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter1d

from monai_semgan.utils.device import autocast, halving_batches
from monai_semgan.utils.progress import OnStep, StepEvent
from monai_semgan.utils.settings import check_ranges, checked

PREVIEW_BATCH = 16

AIR = -0.97
"""Darker pixels of a slice are air, which stays as it is in the slice's negative."""


@checked
@dataclass(frozen=True)
class PreviewSettings:
    """Set how the student's probabilities are made.

    Args:
        smoothing_mm: standard deviation of a Gaussian across the slices, in mm; 0 for none.
        shift_pixels: average over the slice and its copies shifted by this many pixels along both diagonals;
            0 for the slice alone.
        negative: for scans of a modality that the model has not learnt, average over the slices and their negatives:
            what is bright may be dark there.
        batch_size: slices computed together.

    Raises:
        SemganError: if a value makes no sense.
    """

    smoothing_mm: float = 0.0
    shift_pixels: int = 0
    negative: bool = False
    batch_size: int = PREVIEW_BATCH

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
    tell = on_step or (lambda event: None)
    place, total = device or image.device, image.shape[0]

    def run(window: slice) -> torch.Tensor:
        batch = image[window].to(place)
        with autocast(place):
            negative = settings.negative and out_of_domain
            return student_probabilities(network, batch, settings.shift_pixels, negative).cpu()

    probabilities, done = torch.empty(0), 0
    tell(StepEvent("preview", 0, total, total))
    for part in halving_batches(run, total, settings.batch_size):
        if not done:
            probabilities = part.new_empty(total, *part.shape[1:])
        probabilities[done : done + part.shape[0]] = part
        done += part.shape[0]
        tell(StepEvent("preview", done, total, total))
    return smooth_across(probabilities, settings.smoothing_mm, distance_mm)


def student_probabilities(
    network: torch.nn.Module, image: torch.Tensor, shift_pixels: int = 0, negative: bool = False
) -> torch.Tensor:
    """Compute the student's probabilities `(N, K, H, W)`, averaged over small shifts and the negative."""
    shifts = [(0, 0)]
    if shift_pixels:
        shifts += [(a * shift_pixels, b * shift_pixels) for a in (-1, 1) for b in (-1, 1)]
    images = [image, torch.where(image > AIR, -image, image)] if negative else [image]
    total = torch.zeros(())
    for view in images:
        for shift in shifts:
            logits = network.preview(torch.roll(view, shift, (2, 3)))  # type: ignore[operator]
            probabilities = torch.softmax(logits.float(), 1)
            total = total.to(image.device) + torch.roll(probabilities, (-shift[0], -shift[1]), (2, 3))
    return total / (len(shifts) * len(images))


def smooth_across(probabilities: torch.Tensor, sigma_mm: float, distance_mm: float) -> torch.Tensor:
    """Smooth `(D, K, H, W)` by a Gaussian across the slices, in place; sums over the classes stay 1."""
    if sigma_mm <= 0 or distance_mm <= 0 or probabilities.shape[0] < 2:
        return probabilities
    for values in probabilities.unbind(1):  # one class at a time: a long scan's probabilities are large
        smoothed = gaussian_filter1d(values.numpy(), sigma_mm / distance_mm, axis=0, mode="nearest", truncate=3.0)
        values.copy_(torch.from_numpy(smoothed))
    return probabilities
