"""From a volume and a bundle to labels on the volume's own grid."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_semgan.data.terminology import natural_pieces
from monai_semgan.device import autocast, halving_batches
from monai_semgan.errors import SemganError
from monai_semgan.postprocessing import clean_label
from monai_semgan.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.bundle import Bundle
    from monai_semgan.data.preprocessing import PreparedVolume
    from monai_semgan.data.volume import Volume
    from monai_semgan.inversion.result import InversionResult
    from monai_semgan.inversion.settings import InversionSettings

MODES = ("preview", "encoder", "invert", "refine")
"""preview: the student; encoder: codes of the encoder, rendered; invert: these codes optimised; refine: both."""

PREVIEW_BATCH = 16

MIN_SHARE = 0.001
"""Organs that take less than this part of a radiograph are specks."""

Peek = Callable[[Callable[[], "tuple[torch.Tensor, InversionResult | None]"]], None]
"""Given a function that makes probabilities `(D, K, H, W)`, and the inversion behind them, of what was found so far."""

AIR = -0.97
"""Darker pixels of a slice are air, which stays as it is in the slice's negative."""


@dataclass(frozen=True)
class PreviewSettings:
    """How the student's probabilities are made.

    Args:
        smoothing_mm: standard deviation of a Gaussian across the slices, in mm; 0 for none.
        shift_pixels: average over the slice and its copies shifted by this many pixels along both diagonals;
            0 for the slice alone.
        negative: for scans of a modality that the model has not learnt, average over the slices and their negatives:
            what is bright may be dark there.
        batch_size: slices computed together.
    """

    smoothing_mm: float = 0.0
    shift_pixels: int = 0
    negative: bool = False
    batch_size: int = PREVIEW_BATCH


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What segmenting a volume gives.

    Attributes:
        label: ids `(I, J, K)` uint8, on the grid of the volume.
        probabilities: `(D, K, H, W)` on the grid of the slices, background first.
        prepared: the slices, where they lie, and the modality.
        inversion: details of the inversion; None for a preview.
        mode: how it was made.
        volumes_ml: volume by organ name, in ml; empty for radiographs.
        notes: what a user should know, one sentence each.
        seconds: time it took.
        areas: area by organ name, for radiographs only.
        area_unit: `cm²`, or `pixels` where the image does not tell how large a pixel is.
    """

    label: np.ndarray
    probabilities: torch.Tensor
    prepared: PreparedVolume
    inversion: InversionResult | None
    mode: str
    volumes_ml: dict[str, float]
    notes: tuple[str, ...]
    seconds: float
    areas: Mapping[str, float] = field(default_factory=dict)
    area_unit: str = "cm²"

    @property
    def cancelled(self) -> bool:
        """Whether the user ended the inversion early; the label is the best that was found until then."""
        return self.inversion is not None and self.inversion.cancelled


def segment_volume(
    volume: Volume,
    bundle: Bundle,
    mode: str = "preview",
    *,
    modality: str | None = None,
    labels: Sequence[int] | None = None,
    cleanup: bool = True,
    batch_size: int | None = None,
    progress: Progress | None = None,
    partial: Callable[[Callable[[], Segmentation]], None] | None = None,
    **inversion: Any,
) -> Segmentation:
    """Segment a volume.

    Args:
        volume: CT in HU, or MR.
        bundle: the model.
        mode: one of `MODES`.
        modality: `CT` or `MR`; guessed from the values when left out.
        labels: ids to give out; all when left out.
        cleanup: keep the largest piece of every organ and fill its holes.
        batch_size: slices computed together; chosen when left out. Does not change the result.
        progress: told about every batch or step. A wish to stop ends an inversion with what it has found; a preview
            has nothing to give yet and raises `KeyboardInterrupt`.
        partial: given, after every step of an inversion, a function that makes a result of what was found until then,
            which takes about as long as one step; at the start of `refine` that is the preview.
        inversion: fields of `InversionSettings` that replace those of the bundle, for example `steps`.

    Raises:
        SemganError: if the mode is unknown or a setting makes no sense.
    """
    if mode not in MODES:
        raise SemganError(f"unknown mode {mode!r}", remedy=f"use {', '.join(MODES)}")
    progress = progress or NullProgress()
    started = time.perf_counter()
    prepared = bundle.preprocessing(volume, modality)
    chosen = tuple(labels) if labels is not None else tuple(bundle.labels)

    def finished(probabilities: torch.Tensor, result: InversionResult | None = None) -> Segmentation:
        label = prepared.geometry.restore_label(probabilities)
        label[~np.isin(label, chosen)] = 0
        single = bundle.preprocessing.frame == "image"
        if cleanup:
            smallest = MIN_SHARE * label.size * volume.voxel_ml if single else 1.0
            pieces = {index: natural_pieces(name) for index, name in bundle.labels.items()}
            label = clean_label(label, volume.voxel_ml, min_ml=smallest, pieces=pieces)
        counts = {bundle.labels[i]: float((label == i).sum()) for i in chosen}
        volumes = {} if single else {name: count * volume.voxel_ml for name, count in counts.items()}
        areas, unit = organ_areas(counts, volume) if single else ({}, "cm²")
        notes = (*prepared.notes, *_remarks(label, prepared, result, bundle))
        seconds = time.perf_counter() - started
        return Segmentation(label, probabilities, prepared, result, mode, volumes, notes, seconds, areas, unit)

    if mode == "preview":
        return finished(preview(bundle, prepared, preview_settings(bundle, batch_size), progress))
    settings = inversion_settings(bundle, mode, batch_size, **inversion)
    peek = None if partial is None else lambda make: partial(lambda: finished(*make()))
    result = _invert(bundle, prepared, settings, mode, progress, peek)
    return finished(result.probabilities, result)


def organ_areas(counts: Mapping[str, float], volume: Volume) -> tuple[dict[str, float], str]:
    """Areas by organ name in a single image, and their unit: cm², or pixels where the spacing is not known."""
    if not volume.spacing_known:
        return dict(counts), "pixels"
    thin = max(axis for axis in range(3) if volume.array.shape[axis] == 1)
    pixel_cm2 = volume.voxel_ml * 1000.0 / float(volume.spacing[thin]) / 100.0
    return {name: count * pixel_cm2 for name, count in counts.items()}, "cm²"


def preview_settings(bundle: Bundle, batch_size: int | None = None) -> PreviewSettings:
    """The bundle's settings of the preview."""
    settings = PreviewSettings(**_known(PreviewSettings, bundle.settings.get("preview", {}), bundle))
    return replace(settings, batch_size=batch_size) if batch_size is not None else settings


def inversion_settings(bundle: Bundle, mode: str, batch_size: int | None = None, **changes: Any) -> InversionSettings:
    """The bundle's settings of a mode with the user's changes; values of None change nothing."""
    from monai_semgan.inversion.settings import InversionSettings

    section = "refine" if mode == "refine" else "invert"
    settings = InversionSettings(**_known(InversionSettings, bundle.settings.get(section, {}), bundle))
    changes = {name: value for name, value in {**changes, "batch_size": batch_size}.items() if value is not None}
    return replace(settings, **changes)


@torch.no_grad()
def preview(
    bundle: Bundle, prepared: PreparedVolume, settings: PreviewSettings | None = None, progress: Progress | None = None
) -> torch.Tensor:
    """The student's probabilities `(D, K, H, W)` of all slices, on the CPU.

    Raises:
        KeyboardInterrupt: if the user wants to stop.
    """
    settings = settings or PreviewSettings()
    progress = progress or NullProgress()
    image, device, total = prepared.image, bundle.device, prepared.image.shape[0]
    negative = settings.negative and bool(bundle.modalities) and prepared.modality not in bundle.modalities

    def run(window: slice) -> torch.Tensor:
        batch = image[window].to(device)
        with autocast(device):
            return student_probabilities(bundle.network, batch, settings.shift_pixels, negative).cpu()

    parts = []
    done = 0
    progress.update(0, total, "segmenting slice")
    for part in halving_batches(run, total, settings.batch_size):
        parts.append(part)
        done += part.shape[0]
        progress.update(done, total)
        if progress.should_stop():
            raise KeyboardInterrupt
    probabilities = torch.cat(parts)
    return smooth_across(probabilities, settings.smoothing_mm, slice_distance(prepared))


def student_probabilities(
    network: torch.nn.Module, image: torch.Tensor, shift_pixels: int = 0, negative: bool = False
) -> torch.Tensor:
    """Probabilities `(N, K, H, W)` of the student for `(N, C, H, W)`, averaged over small shifts and the negative."""
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


def slice_distance(prepared: PreparedVolume) -> float:
    """Distance of neighbouring slices in mm."""
    return float(np.linalg.norm(prepared.geometry.grid_affine[:3, 2]))


def smooth_across(probabilities: torch.Tensor, sigma_mm: float, distance_mm: float) -> torch.Tensor:
    """Gaussian smoothing of `(D, K, H, W)` across the slices; sums over the classes stay 1."""
    if sigma_mm <= 0 or probabilities.shape[0] < 2:
        return probabilities
    from scipy.ndimage import gaussian_filter1d

    smoothed = gaussian_filter1d(probabilities.numpy(), sigma_mm / distance_mm, axis=0, mode="nearest", truncate=3.0)
    return torch.from_numpy(smoothed)


def parse_labels(names: Sequence[str], labels: Mapping[int, str]) -> list[int]:
    """Ids of organs given by name (case and `_` for blanks do not matter) or by id.

    Raises:
        SemganError: if a name is unknown.
    """
    by_name = {name.lower(): index for index, name in labels.items()} | {str(index): index for index in labels}
    found = []
    for name in names:
        key = " ".join(name.replace("_", " ").lower().split())
        if key not in by_name:
            raise SemganError(f"unknown label {name!r}", remedy=f"this model knows {', '.join(labels.values())}")
        found.append(by_name[key])
    return sorted(set(found))


def _invert(
    bundle: Bundle,
    prepared: PreparedVolume,
    settings: InversionSettings,
    mode: str,
    progress: Progress,
    peek: Peek | None = None,
) -> InversionResult:
    from monai_semgan.inferers import SliceInversionInferer

    known = bundle.modalities or (prepared.modality,)
    learnt = prepared.modality if prepared.modality in known else known[0]
    inferer = SliceInversionInferer(settings, mode, learnt)
    student = None
    if mode == "refine":
        first = preview(bundle, prepared, preview_settings(bundle), progress)
        student = first.to(bundle.device)
        if peek is not None:
            peek(lambda: (first, None))
    inputs = prepared.image.permute(1, 2, 3, 0)[None].to(bundle.device)

    def told(step: int, steps: int, converged: int, losses: torch.Tensor) -> bool:
        loss = float(losses.nanmean())
        progress.update(step, steps, "inverting step", loss=loss, converged=converged, slices=len(losses))
        return progress.should_stop()

    result = inferer.invert(
        inputs,
        bundle.network,
        modality=prepared.modality,
        student=student,
        callback=told,
        should_stop=progress.should_stop,
        peek=None if peek is None else lambda make: peek(lambda: _on_cpu(make())),
    )
    return result.to("cpu")


def _on_cpu(result: InversionResult) -> tuple[torch.Tensor, InversionResult]:
    result = result.to("cpu")
    return result.probabilities, result


def _remarks(label: np.ndarray, prepared: PreparedVolume, result: InversionResult | None, bundle: Bundle) -> list[str]:
    remarks = []
    if bundle.modalities and prepared.modality not in bundle.modalities:
        learnt = " and ".join(bundle.modalities)
        remarks.append(f"The input is {prepared.modality}, the model has learnt from {learnt}: check the result.")
    if not label.any():
        organs = ", ".join(bundle.labels.values())
        remarks.append(f"No organ was found: the scan may not show {organs}, or not be a {prepared.modality}.")
    if result is not None and result.cancelled:
        done = int(result.steps_done.max())
        remarks.append(f"Stopped early after {done} steps: the result is the best found until then.")
    return remarks


def _known(settings: type, values: Mapping[str, Any], bundle: Bundle) -> dict[str, Any]:
    """The values, if all of them are fields of a settings class."""
    names = {field.name for field in fields(settings)}
    unknown = sorted(set(values) - names)
    if unknown:
        from monai_semgan.bundle import CONFIG

        problem = f"unknown setting {unknown[0]!r}"
        raise SemganError(problem, remedy=f"known are {', '.join(sorted(names))}", path=bundle.folder / CONFIG)
    return dict(values)
