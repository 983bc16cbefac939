"""The report of a label that was corrected by hand: `report.html` and `report.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.inference.segmentation import organ_areas
from monai_semgan.organs import RESEARCH_ONLY
from monai_semgan.outputs.description import model_facts
from monai_semgan.outputs.report.content import identifiers_of, scan_facts, without_names
from monai_semgan.outputs.report.rendering import ReportFiles, css_colour, write_files
from monai_semgan.outputs.report.stroke_pictures import DrawnStroke, place_of, stroke_pictures
from monai_semgan.quality.anatomy import AnatomyCheck, check_anatomy
from monai_semgan.utils.html_pages import page_template
from monai_semgan.utils.versions import versions

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.io.volume import Volume
    from monai_semgan.slicing.prepared import PreparedVolume

SCHEMA_VERSION = 1
TEMPLATE, TITLE = "correction.html", "Report of a correction"


@dataclass(frozen=True, eq=False)
class CorrectedLabel:
    """What was corrected, and by what.

    Attributes:
        before: ids `(I, J, K)`, before all strokes.
        after: ids `(I, J, K)`, as corrected.
        strokes: in the order of drawing.
        origin: what `before` is, in words for the middle of a sentence.
        labels: structure by id.
        settings: of the correction, to be told.
        remarks: what was said of it, one sentence each.
        edited: it was changed by hand otherwise, too.
        covered: see `check_anatomy`.
    """

    before: np.ndarray
    after: np.ndarray
    strokes: Sequence[DrawnStroke]
    origin: str
    labels: Mapping[int, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    edited: bool = False
    covered: tuple[int, int] | None = None


@dataclass(frozen=True)
class CorrectedOrgan:
    """One structure.

    Attributes:
        name: as in the bundle.
        label: id in the label.
        found: whether there is any voxel of it after the correction.
        before: volume or area before the correction, in the report's `unit`.
        after: the same of the corrected label.
        changed: whether one of its voxels has changed.
    """

    name: str
    label: int
    found: bool
    before: float
    after: float
    changed: bool


@dataclass(frozen=True)
class StrokeFacts:
    """One stroke.

    Attributes:
        structure: name.
        positive: it is here; else it is not.
        kind: `scribble`, `point`, `lasso` or `box`.
        voxels: how many.
        plane: of the slices that it was made in: `axial`, `coronal` or `sagittal`, whichever is closest.
        slices: first and last of them, by their numbers in the scan as it is stored.
    """

    structure: str
    positive: bool
    kind: str
    voxels: int
    plane: str
    slices: tuple[int, int]


@dataclass(frozen=True)
class CorrectionContent:
    """Everything that stands in `report.json` of a correction.

    Attributes:
        schema_version: rises when keys change their meaning.
        kind: `correction`, which tells it from the report of a segmentation.
        notice: research use only.
        summary: that the label was corrected by hand, and by what.
        identifiers: see `ReportContent`.
        scan: modality, shape, spacing and orientation.
        organs: before and after.
        unit: of their sizes: `ml`; of single images `cm²` or `pixels`.
        strokes: in the order of drawing.
        anatomy: checks of the corrected label; none of single images.
        notes: what a user should know.
        settings: of the correction.
        model: name, version and hash of the weights.
        versions: of the packages.
    """

    schema_version: int
    kind: str
    notice: str
    summary: str
    identifiers: Mapping[str, str]
    scan: Mapping[str, Any]
    organs: tuple[CorrectedOrgan, ...]
    unit: str
    strokes: tuple[StrokeFacts, ...]
    anatomy: tuple[AnatomyCheck, ...]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    model: Mapping[str, str]
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the same in JSON's types."""
        return asdict(self)


def write_correction_report(
    corrected: CorrectedLabel,
    volume: Volume,
    prepared: PreparedVolume,
    bundle: Bundle,
    folder: str | Path,
    *,
    identifiers: bool = False,
) -> ReportFiles:
    """Write the report of a corrected label.

    Args:
        corrected: the label.
        volume: the scan.
        prepared: its slices, which tell modality and window.
        bundle: the model.
        folder: is made when missing.
        identifiers: name the file, and from DICOM patient and study.

    Raises:
        SemganError: if a file cannot be written.
    """
    content = correction_content(corrected, volume, prepared.modality, bundle, identifiers=identifiers)
    pictures, more = stroke_pictures(
        volume, corrected.before, corrected.after, corrected.strokes, prepared.value_range, corrected.labels
    )
    colours = {organ.name: css_colour(organ.name, organ.label) for organ in content.organs}
    page = page_template("monai_semgan.outputs.report", TEMPLATE).render(
        content=content, title=TITLE, pictures=pictures, more=more, colours=colours
    )
    return write_files(folder, page, content.to_dict())


def correction_content(
    corrected: CorrectedLabel, volume: Volume, modality: str, bundle: Bundle, *, identifiers: bool = False
) -> CorrectionContent:
    """Collect what the report of a corrected label says; arguments as for `write_correction_report`."""
    single = bundle.preprocessing.field_of_view == "image"
    checks = () if single else check_anatomy(corrected.after, volume.affine, corrected.labels, corrected.covered).checks
    organs, unit = _organs(corrected, volume, single)
    return CorrectionContent(
        schema_version=SCHEMA_VERSION,
        kind="correction",
        notice=RESEARCH_ONLY,
        summary=summary_of(corrected),
        identifiers=identifiers_of(volume) if identifiers else {},
        scan=scan_facts(volume, modality),
        organs=organs,
        unit=unit,
        strokes=tuple(_facts(stroke, volume, corrected.labels) for stroke in corrected.strokes),
        anatomy=checks,
        notes=tuple(corrected.remarks) if identifiers else without_names(corrected.remarks, volume),
        settings=dict(corrected.settings),
        model={**model_facts(bundle), "weights_sha256": bundle.weights_sha256},
        versions=versions(),
    )


def summary_of(corrected: CorrectedLabel) -> str:
    """Say in a sentence or two that a label was corrected by hand, and by what."""
    count = len(corrected.strokes)
    strokes = "1 stroke" if count == 1 else f"{count} strokes"
    said = f"This label is {corrected.origin}, corrected by hand with {strokes}; the label around followed."
    return said + (" It was also changed by hand between strokes." if corrected.edited else "")


def _organs(corrected: CorrectedLabel, volume: Volume, single: bool) -> tuple[tuple[CorrectedOrgan, ...], str]:
    counts = [np.bincount(one.ravel(order="K"), minlength=256) for one in (corrected.before, corrected.after)]
    differs = corrected.before != corrected.after
    moved = {*np.unique(corrected.before[differs]).tolist(), *np.unique(corrected.after[differs]).tolist()}
    sizes, unit = [], "ml"
    for one in counts:
        named = {name: float(one[index]) for index, name in corrected.labels.items()}
        if single:
            found, unit = organ_areas(named, volume)
            sizes.append(found)
        else:
            sizes.append({name: count * volume.voxel_ml for name, count in named.items()})
    before, after = sizes
    organs = (
        CorrectedOrgan(
            name, index, bool(counts[1][index]), round(before[name], 2), round(after[name], 2), index in moved
        )
        for index, name in corrected.labels.items()
    )
    return tuple(organs), unit


def _facts(stroke: DrawnStroke, volume: Volume, labels: Mapping[int, str]) -> StrokeFacts:
    place, name = place_of(stroke, volume), labels[stroke.structure]
    return StrokeFacts(name, stroke.positive, stroke.kind, len(stroke.voxels), place.plane, place.slices)
