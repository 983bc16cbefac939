"""From a volume and a bundle to labels on the volume's own grid."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_semgan.bundle.labels import CONFIG
from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.modes import MODES
from monai_semgan.errors import SemganError
from monai_semgan.inference.remarks import Remark, remarks_on, unlearnt_modality, with_reservation
from monai_semgan.inference.slice_modes import inversion_settings, invert, preview, preview_settings
from monai_semgan.io.reading import read_volume
from monai_semgan.quality.assessment import DomainModel, assess_domain, judged_affine
from monai_semgan.slicing.planes import stack_axes
from monai_semgan.slicing.postprocessing import label_on_grid
from monai_semgan.utils.gpu import FULL, with_cpu_fallback
from monai_semgan.utils.progress import OnStep
from monai_semgan.utils.settings import make_settings
from monai_semgan.utils.shared_background import whole_background
from monai_semgan.utils.side_by_side import undivided

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inversion.result import InversionResult
    from monai_semgan.io.volume import Volume
    from monai_semgan.networks import InversionSegmenter
    from monai_semgan.quality.assessment import DomainAssessment
    from monai_semgan.slicing.prepared import PreparedVolume


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Hold what segmenting a volume gives.

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
        domain: how far the scan is from what the model knows; None if the bundle has no calibration, without a score
            if the scan does not allow one.
        remarks: those of the notes that are about the result, with their kind.
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
    remarks: tuple[Remark, ...] = ()

    @property
    def cancelled(self) -> bool:
        """Tell whether the user ended the inversion early; the label is the best that was found until then."""
        return self.inversion is not None and self.inversion.cancelled


def segment(
    scan: Volume | str | Path,
    bundle: Bundle | str | Path | None = None,
    mode: str = "preview",
    *,
    modality: str | None = None,
    labels: Sequence[int | str] | str | int | None = None,
    cleanup: bool = True,
    slice_range_mm: tuple[float, float] | None = None,
    on_step: OnStep | None = None,
    **settings: Any,
) -> Segmentation:
    """Segment a scan.

    Args:
        scan: CT in HU, MR or radiograph; or the file or DICOM folder to read it from.
        bundle: the model, or its folder; the one that comes with the package when left out. Load it once for many.
        mode: `preview`, `encoder`, `invert` or `refine`.
        modality: `CT` or `MR`; guessed from the values when left out.
        labels: ids or names to give out; all when left out.
        cleanup: keep the largest piece of every organ and fill its holes.
        slice_range_mm: only slices whose middle lies between these S coordinates (RAS mm); the label is 0 elsewhere.
        on_step: called with a `StepEvent` after every batch and step. Its `partial()` makes a `Segmentation` of what
            has been found: in phase `step` by the inversion, in phase `start` of mode `refine` by the preview.
            If it raises `Cancelled`, an inversion ends with the best result so far, which says so in `cancelled`.
        settings: fields of `InversionSettings` that replace those of the bundle, for example `steps`; None changes
            nothing. A preview heeds `batch_size` only. `series` and `resample` are those of `read_volume`, for a file.
            `plane`, `axial` or `stored`, replaces the plane that the model was trained on, see `Preprocessing`.

    Raises:
        SemganError: if the mode, a label or a setting is unknown or makes no sense, or no slice lies in the range.
        Cancelled: if `on_step` raises it before the end of the preview, when there is nothing to give yet.
    """
    if mode not in MODES:
        raise SemganError(f"unknown mode {mode!r}", remedy=f"use {', '.join(MODES)}")
    bundle = load_bundle(bundle) if bundle is None or isinstance(bundle, (str, Path)) else bundle
    if mode not in bundle.modes:
        bundle.network.check_renders(f"mode {mode}")
    reading = {name: settings.pop(name) for name in ("series", "resample") if name in settings}
    if reading and not isinstance(scan, (str, Path)):
        raise SemganError(f"{' and '.join(reading)} is for files", remedy="give the file, or read_volume the setting")
    volume = read_volume(scan, **reading) if isinstance(scan, (str, Path)) else scan
    started = time.perf_counter()
    chosen = tuple(bundle.labels if labels is None else parse_labels(labels, bundle.labels))
    preprocessing = bundle.preprocessing.in_plane(settings.pop("plane", None))
    inversion = inversion_settings(bundle, mode, **settings)
    with undivided():
        prepared = preprocessing(volume, modality)
    asked_for = other_plane(volume, preprocessing.plane, bundle.preprocessing.plane)
    prepared = replace(prepared, notes=(*prepared.notes, *asked_for))
    if slice_range_mm is not None:
        prepared = prepared.between(*slice_range_mm)
    single = bundle.preprocessing.field_of_view == "image"

    @undivided()
    def finished(probabilities: torch.Tensor, result: InversionResult | None = None) -> Segmentation:
        options: dict[str, Any] = {"cleanup": cleanup, "single": single, "added": bundle.network.added_counts}
        label = label_on_grid(prepared.geometry, probabilities, bundle.labels, chosen, **options)
        counts = {bundle.labels[i]: float(np.count_nonzero(label == i)) for i in chosen}
        volumes = {} if single else {name: count * volume.voxel_ml for name, count in counts.items()}
        areas, unit = organ_areas(counts, volume) if single else ({}, "cm²")
        domain = assess(bundle, prepared, probabilities, chosen, mode)
        said = remarks_on(counts, prepared, result, bundle.modalities, domain)
        notes = tuple(dict.fromkeys((*prepared.notes, *(one.text for one in said))))
        seconds = time.perf_counter() - started
        return Segmentation(
            label, probabilities, prepared, result, mode, volumes, notes, seconds, areas, unit, domain, said
        )

    def compute(network: InversionSegmenter) -> Segmentation:
        model = bundle if network is bundle.network else replace(bundle, network=network)
        if mode == "preview":
            return finished(preview(model, prepared, preview_settings(model, settings.get("batch_size")), on_step))
        result = invert(model, prepared, inversion, mode, on_step, finished)
        return finished(result.probabilities, result)

    found, full = with_cpu_fallback(bundle.network, compute)
    return with_device_note(found, FULL if full else bundle.device_note)


def other_plane(volume: Volume, used: str, learnt: str) -> tuple[str, ...]:
    """Say that a user has chosen another plane than that which a model was trained on, if it makes a difference."""
    if len({str(stack_axes(volume.affine, volume.array.shape, plane)) for plane in (used, learnt)}) == 1:
        return ()
    return (f"Cut in the {used} plane, as asked for: the model was trained on the {learnt} one.",)


def with_device_note(found: Segmentation, note: str) -> Segmentation:
    """Add to a result why it was computed on the CPU; nothing where the note is empty."""
    if not note:
        return found
    remark = Remark(note, "computed_on_cpu", warning=False)
    return replace(found, notes=(*found.notes, note), remarks=(*found.remarks, remark))


def assess(
    bundle: Bundle, prepared: PreparedVolume, probabilities: torch.Tensor, chosen: Sequence[int], mode: str
) -> DomainAssessment | None:
    """Measure how far a scan is from what the model knows; None if the bundle has no settings for that.

    Structures that were added to the model do not count: nobody has measured what can be expected of them.
    """
    model = domain_model(bundle)
    if model is None:
        return None
    probabilities, known = whole_background(probabilities, bundle.network.added_counts), bundle.trained_labels
    chosen = [index for index in chosen if index in known] or list(known)
    affine = judged_affine(bundle.preprocessing, prepared.geometry.grid_affine)
    single = bundle.preprocessing.field_of_view == "image"
    found = assess_domain(model, probabilities, affine, known, mode, chosen, as_whole=single)
    return with_reservation(found, unlearnt_modality(prepared, bundle.modalities))


def domain_model(bundle: Bundle) -> DomainModel | None:
    """Read what the bundle knows of its failures; None if nothing."""
    section = bundle.settings.get("domain")
    return make_settings(DomainModel, section, where="domain#", path=bundle.folder / CONFIG) if section else None


def organ_areas(counts: Mapping[str, float], volume: Volume) -> tuple[dict[str, float], str]:
    """Compute areas by organ name in a single image, and their unit: cm², or pixels where the spacing is not known."""
    if not volume.spacing_known:
        return dict(counts), "pixels"
    thin = max(axis for axis in range(3) if volume.array.shape[axis] == 1)
    pixel_cm2 = volume.voxel_ml * 1000.0 / float(volume.spacing[thin]) / 100.0
    return {name: count * pixel_cm2 for name, count in counts.items()}, "cm²"


def parse_labels(names: Sequence[str | int] | str | int, labels: Mapping[int, str]) -> list[int]:
    """Find the ids of organs given by name (case and `_` for blanks do not matter) or by id.

    Raises:
        SemganError: if a name or id is unknown, or there is none.
    """
    names = [names] if isinstance(names, (str, int)) else names
    by_name = {name.lower(): index for index, name in labels.items()} | {str(index): index for index in labels}
    known = f"this model knows {', '.join(labels.values())}"
    if len(names) == 0:
        raise SemganError("no label is chosen", remedy=f"{known}; leave the labels out for all")
    found = []
    for name in names:
        key = " ".join(str(name).replace("_", " ").lower().split())
        if key not in by_name:
            raise SemganError(f"unknown label {name!r}", remedy=known)
        found.append(by_name[key])
    return sorted(set(found))
