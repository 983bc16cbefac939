"""Collect what a report says, as data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from nibabel.orientations import aff2axcodes

from monai_semgan.inference.examination import examine
from monai_semgan.io.private_note import public_notes
from monai_semgan.organs import RESEARCH_ONLY
from monai_semgan.outputs.description import model_facts
from monai_semgan.outputs.overlay import label_on_slices
from monai_semgan.outputs.report.diameters import largest_diameters
from monai_semgan.outputs.report.rendered_residual import body_mean, rendered_residual
from monai_semgan.quality.anatomy import AnatomyCheck, AnatomyReport
from monai_semgan.quality.features import slice_uncertainty
from monai_semgan.utils.versions import versions

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume

SCHEMA_VERSION = 2
"""2: `curve` is a residual in all modes, and tells its slices; `doubt` stands beside it."""


@dataclass(frozen=True)
class OrganFinding:
    """One organ.

    Attributes:
        name: as in the bundle.
        label: id in the label file.
        found: whether there is any voxel of it.
        volume_ml: volume; None for radiographs.
        axial_diameter_mm: largest diameter within a slice.
        diameter_mm: largest diameter in any direction.
        slices: first and last slice of the stack along the body (0 is the lowest), or None.
        expected_dice: Dice that the model expects, or None.
    """

    name: str
    label: int
    found: bool
    volume_ml: float | None
    axial_diameter_mm: float
    diameter_mm: float
    slices: tuple[int, int] | None
    expected_dice: float | None


@dataclass(frozen=True)
class SliceCurve:
    """A number for every slice, from the feet to the head.

    Attributes:
        name: `residual` (mean absolute difference of slice and rendering inside the body, 2 is the full range) or
            `doubt` (1 - soft Dice of the organs in the slice, 0 to 1).
        values: one for every number in `slices`; None where it is not defined: doubt where nothing was found.
        slices: numbers of the slices, ascending; all of them, or some where the others were not rendered.
    """

    name: str
    values: tuple[float | None, ...]
    slices: tuple[int, ...]


@dataclass(frozen=True)
class ReportContent:
    """Everything that stands in `report.json`.

    Attributes:
        schema_version: rises when keys change their meaning.
        notice: research use only.
        identifiers: file name and, from DICOM, patient and study; empty unless asked for.
        scan: modality, `shape` in voxels, `spacing_mm`, which is a stand-in unless `spacing_known`, `orientation` (such
            as LAS).
        organs: findings.
        domain: out-of-domain score and verdict, see `DomainAssessment.to_dict`; None if not assessed.
        curve: residual by slice: of the inversion, or of the encoder's rendering in other modes; None for radiographs.
        uncertainty: by slice, `doubt` in the file; None for radiographs.
        anatomy: checks of sides, pieces and sizes.
        notes: what a user should know.
        settings: mode and settings of the run.
        model: name, version and hash of the weights.
        versions: of the packages.
        seconds: time the segmentation took.
        areas: of organs in radiographs, in `area_unit`.
        area_unit: `cm²` or `pixels`.
    """

    schema_version: int
    notice: str
    identifiers: Mapping[str, str]
    scan: Mapping[str, Any]
    organs: tuple[OrganFinding, ...]
    domain: Mapping[str, Any] | None
    curve: SliceCurve | None
    uncertainty: SliceCurve | None
    anatomy: tuple[AnatomyCheck, ...]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    model: Mapping[str, str]
    versions: Mapping[str, str]
    seconds: float
    areas: Mapping[str, float]
    area_unit: str

    def to_dict(self) -> dict[str, Any]:
        """Return the same in JSON's types."""
        return {"doubt" if name == "uncertainty" else name: value for name, value in asdict(self).items()}


def report_content(
    segmentation: Segmentation,
    volume: Volume,
    bundle: Bundle,
    *,
    labels: Mapping[int, str] | None = None,
    identifiers: bool = False,
    anatomy: AnatomyReport | None = None,
) -> ReportContent:
    """Collect what a report says.

    Args:
        segmentation: the result.
        volume: the scan.
        bundle: the model.
        labels: organs that were asked for; all of the bundle when left out.
        identifiers: name the file, and from DICOM patient and study.
        anatomy: if it has been examined already.
    """
    labels = dict(labels or bundle.labels)
    anatomy = anatomy or examine(segmentation, volume, bundle, labels)
    domain, on_slices = segmentation.domain, label_on_slices(segmentation)
    return ReportContent(
        schema_version=SCHEMA_VERSION,
        notice=RESEARCH_ONLY,
        identifiers=identifiers_of(volume) if identifiers else {},
        scan=_scan(segmentation, volume),
        organs=tuple(_organ(index, name, segmentation, volume, on_slices) for index, name in labels.items()),
        domain=None if domain is None else domain.to_dict(),
        curve=residual_curve(segmentation, bundle),
        uncertainty=uncertainty_curve(segmentation),
        anatomy=anatomy.checks,
        notes=without_names(segmentation.notes, volume) if not identifiers else segmentation.notes,
        settings=_settings(segmentation),
        model={**model_facts(bundle), "weights_sha256": bundle.weights_sha256},
        versions=versions(),
        seconds=round(segmentation.seconds, 2),
        areas={name: round(value, 2) for name, value in segmentation.areas.items()},
        area_unit=segmentation.area_unit,
    )


def residual_curve(segmentation: Segmentation, bundle: Bundle) -> SliceCurve | None:
    """Return the residual by slice: that of the inversion, otherwise of some slices as the encoder's codes render them.

    None for single images, and for a student alone.
    """
    prepared = segmentation.prepared
    if prepared.image.shape[0] < 2 or not bundle.network.renders:
        return None
    if segmentation.inversion is None:
        slices, values = rendered_residual(bundle, prepared)
        return _curve("residual", values, slices)
    return _curve("residual", body_mean(segmentation.inversion.residual, prepared.image))


def uncertainty_curve(segmentation: Segmentation) -> SliceCurve | None:
    """Return how unsure every slice is; None for single images."""
    if segmentation.prepared.image.shape[0] < 2:
        return None
    return _curve("doubt", slice_uncertainty(segmentation.probabilities))


def _curve(name: str, values: Iterable[Any], slices: Sequence[int] | None = None) -> SliceCurve:
    rounded = tuple(None if math.isnan(value) else round(float(value), 4) for value in values)
    return SliceCurve(name, rounded, tuple(slices if slices is not None else range(len(rounded))))


def _organ(index: int, name: str, segmentation: Segmentation, volume: Volume, on_slices: np.ndarray) -> OrganFinding:
    mask = segmentation.label == index
    domain = segmentation.domain
    axial, largest = largest_diameters(mask, volume.affine)
    ml = segmentation.volumes_ml.get(name)
    return OrganFinding(
        name=name,
        label=index,
        found=bool(mask.any()),
        volume_ml=None if ml is None else round(ml, 2),
        axial_diameter_mm=round(axial, 1),
        diameter_mm=round(largest, 1),
        slices=_slices(on_slices == index),
        expected_dice=None if domain is None or name not in domain.organs else round(domain.organs[name], 3),
    )


def _slices(stack: np.ndarray) -> tuple[int, int] | None:
    used = np.flatnonzero(stack.any((1, 2)))
    return (int(used[0]), int(used[-1])) if used.size else None


def _scan(segmentation: Segmentation, volume: Volume) -> dict[str, Any]:
    geometry = segmentation.prepared.geometry
    stack = {"slices": int(geometry.num_slices), "pixel_mm": round(float(geometry.pixel_mm), 3)}
    return {**scan_facts(volume, segmentation.prepared.modality), **stack}


def scan_facts(volume: Volume, modality: str) -> dict[str, Any]:
    """Return modality, shape, spacing and orientation of a scan."""
    return {
        "modality": modality,
        "shape": [int(n) for n in volume.array.shape],
        "spacing_mm": [round(float(s), 3) for s in volume.spacing],
        "spacing_known": volume.spacing_known,
        "orientation": "".join(str(code) for code in aff2axcodes(volume.affine)),
    }


def _settings(segmentation: Segmentation) -> dict[str, Any]:
    settings: dict[str, Any] = {"mode": segmentation.mode}
    if segmentation.inversion is not None:
        result = segmentation.inversion
        settings |= {"steps": int(result.steps_done.max()), "objective": result.objective}
        settings |= {"slices_converged": int(result.converged.sum()), "stopped_early": result.cancelled}
    return settings


def identifiers_of(volume: Volume) -> dict[str, str]:
    """Return the name of the file and, from DICOM, what names patient and study; what is empty is left out."""
    found = {"file": volume.path.name if volume.path else ""}
    if volume.source is not None and volume.source.files:
        with volume.source.files[0].open() as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True)
        for key in ("PatientName", "PatientID", "StudyDate", "StudyDescription", "SeriesDescription"):
            found[key] = str(header.get(key, ""))
    return {key: value for key, value in found.items() if value}


def without_names(notes: Sequence[str], volume: Volume) -> tuple[str, ...]:
    """Return notes without what the names of files, series and the input itself may say of the patient."""
    name = volume.path.name if volume.path else ""
    word = re.compile(rf"(\bthe )?(?<!\w){re.escape(name)}(?!\w)")  # a folder may be called "scan"
    return tuple(word.sub("the input", note) if len(name) > 3 else note for note in public_notes(notes))
