"""From a volume and a bundle to labels on the volume's own grid."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_semgan.bundle.labels import CONFIG
from monai_semgan.errors import SemganError
from monai_semgan.inference.inferer import SliceInversionInferer
from monai_semgan.inference.preview import PreviewSettings, preview_slices
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.quality.assessment import DomainModel, assess_domain
from monai_semgan.slicing.postprocessing import label_on_grid
from monai_semgan.utils.progress import NullProgress, Progress
from monai_semgan.utils.settings import make_settings

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inversion.inversion_settings import InversionSettings
    from monai_semgan.inversion.result import InversionResult
    from monai_semgan.io.volume import Volume
    from monai_semgan.quality.assessment import DomainAssessment, DomainModel
    from monai_semgan.slicing.preprocessing import PreparedVolume

MODES = ("preview", "encoder", "invert", "refine")
"""preview: the student; encoder: codes of the encoder, rendered; invert: these codes optimised; refine: both."""

Peek = Callable[[Callable[[], "tuple[torch.Tensor, InversionResult | None]"]], None]
"""Given a function that makes probabilities `(D, K, H, W)`, and the inversion behind them, of what was found so far."""


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
        domain: how far the scan is from what the model knows; None if the bundle cannot tell.
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
    domain: DomainAssessment | None = None

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
    slice_range_mm: tuple[float, float] | None = None,
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
        slice_range_mm: only slices whose middle lies between these S coordinates (RAS mm); the label is 0 elsewhere.
        progress: told about every batch or step. A wish to stop ends an inversion with what it has found; a preview
            has nothing to give yet and raises `KeyboardInterrupt`.
        partial: given, after every step of an inversion, a function that makes a result of what was found until then,
            which takes about as long as one step; at the start of `refine` that is the preview.
        inversion: fields of `InversionSettings` that replace those of the bundle, for example `steps`.

    Raises:
        SemganError: if the mode is unknown, a setting makes no sense, or no slice lies in the range.
    """
    if mode not in MODES:
        raise SemganError(f"unknown mode {mode!r}", remedy=f"use {', '.join(MODES)}")
    progress = progress or NullProgress()
    started = time.perf_counter()
    prepared = bundle.preprocessing(volume, modality)
    if slice_range_mm is not None:
        prepared = prepared.between(*slice_range_mm)
    chosen = tuple(labels) if labels is not None else tuple(bundle.labels)
    single = bundle.preprocessing.field_of_view == "image"

    def finished(probabilities: torch.Tensor, result: InversionResult | None = None) -> Segmentation:
        label = label_on_grid(prepared.geometry, probabilities, bundle.labels, chosen, cleanup=cleanup, single=single)
        counts = {bundle.labels[i]: float(np.count_nonzero(label == i)) for i in chosen}
        volumes = {} if single else {name: count * volume.voxel_ml for name, count in counts.items()}
        areas, unit = organ_areas(counts, volume) if single else ({}, "cm²")
        domain = assess(bundle, prepared, probabilities, chosen, mode)
        notes = (*prepared.notes, *_remarks(label, prepared, result, bundle, domain))
        seconds = time.perf_counter() - started
        return Segmentation(label, probabilities, prepared, result, mode, volumes, notes, seconds, areas, unit, domain)

    if mode == "preview":
        return finished(preview(bundle, prepared, preview_settings(bundle, batch_size), progress))
    settings = inversion_settings(bundle, mode, batch_size, **inversion)
    peek = None if partial is None else lambda make: partial(lambda: finished(*make()))
    result = _invert(bundle, prepared, settings, mode, progress, peek)
    return finished(result.probabilities, result)


def assess(
    bundle: Bundle, prepared: PreparedVolume, probabilities: torch.Tensor, chosen: Sequence[int], mode: str
) -> DomainAssessment | None:
    """How far a scan is from what the model knows; None if the bundle has no settings for that."""
    model = domain_model(bundle)
    if model is None:
        return None
    return assess_domain(model, probabilities, prepared.geometry.grid_affine, bundle.labels, mode, chosen)


def domain_model(bundle: Bundle) -> DomainModel | None:
    """What the bundle knows of its failures; None if nothing."""
    section = bundle.settings.get("domain")
    return make_settings(DomainModel, section, where="domain#", path=bundle.folder / CONFIG) if section else None


def organ_areas(counts: Mapping[str, float], volume: Volume) -> tuple[dict[str, float], str]:
    """Areas by organ name in a single image, and their unit: cm², or pixels where the spacing is not known."""
    if not volume.spacing_known:
        return dict(counts), "pixels"
    thin = max(axis for axis in range(3) if volume.array.shape[axis] == 1)
    pixel_cm2 = volume.voxel_ml * 1000.0 / float(volume.spacing[thin]) / 100.0
    return {name: count * pixel_cm2 for name, count in counts.items()}, "cm²"


def preview_settings(bundle: Bundle, batch_size: int | None = None) -> PreviewSettings:
    """The bundle's settings of the preview."""
    values = bundle.settings.get("preview", {})
    settings = make_settings(PreviewSettings, values, where="preview#", path=bundle.folder / CONFIG)
    return replace(settings, batch_size=batch_size) if batch_size is not None else settings


def inversion_settings(bundle: Bundle, mode: str, batch_size: int | None = None, **changes: Any) -> InversionSettings:
    """The bundle's settings of a mode with the user's changes; values of None change nothing."""
    section = "refine" if mode == "refine" else "invert"
    values = bundle.settings.get(section, {})
    settings = make_settings(InversionSettings, values, where=f"{section}#", path=bundle.folder / CONFIG)
    changes = {name: value for name, value in {**changes, "batch_size": batch_size}.items() if value is not None}
    return replace(settings, **changes)


def preview(
    bundle: Bundle, prepared: PreparedVolume, settings: PreviewSettings | None = None, progress: Progress | None = None
) -> torch.Tensor:
    """The student's probabilities `(D, K, H, W)` of all slices, on the CPU.

    Raises:
        KeyboardInterrupt: if the user wants to stop.
    """
    settings = settings or PreviewSettings()
    out_of_domain, device, distance = is_out_of_domain(bundle, prepared), bundle.device, slice_distance(prepared)
    return preview_slices(bundle.network, prepared.image, settings, out_of_domain, distance, device, progress)


def is_out_of_domain(bundle: Bundle, prepared: PreparedVolume) -> bool:
    """Whether a scan is of a modality that the model has not learnt."""
    return bool(bundle.modalities) and prepared.modality not in bundle.modalities


def slice_distance(prepared: PreparedVolume) -> float:
    """Distance of neighbouring slices in mm."""
    return float(np.linalg.norm(prepared.geometry.grid_affine[:3, 2]))


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
    progress.update(0, settings.steps * settings.starts, "finding codes to start from, step")  # as long as some steps

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
    result = replace(result.to("cpu"), cancelled=False)  # the search goes on: nobody has stopped it
    return result.probabilities, result


def _remarks(
    label: np.ndarray,
    prepared: PreparedVolume,
    result: InversionResult | None,
    bundle: Bundle,
    domain: DomainAssessment | None,
) -> list[str]:
    remarks = []
    if domain is not None and domain.verdict != "in domain":
        remarks.append(f"Out-of-domain score {domain.score:.2f}: {domain.verdict}. {domain.advice}")
    if is_out_of_domain(bundle, prepared):
        learnt = " and ".join(bundle.modalities)
        remarks.append(f"The input is {prepared.modality}, the model has learnt from {learnt}: check the result.")
    if not label.any():
        organs = ", ".join(bundle.labels.values())
        remarks.append(f"No organ was found: the scan may not show {organs}, or not be a {prepared.modality}.")
    if result is not None and result.cancelled:
        done = int(result.steps_done.max())
        remarks.append(f"Stopped early after {done} steps: the result is the best found until then.")
    return remarks
