"""Write a report: `report.html` and `report.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from monai_semgan.organs import find_organ
from monai_semgan.outputs.directions import WORDS, axis_ends
from monai_semgan.outputs.overlay import label_on_slices
from monai_semgan.outputs.report.content import ReportContent, SliceCurve, report_content
from monai_semgan.outputs.report.pictures import curve_svg, organ_pictures
from monai_semgan.utils.files import check_output_folder, write_utf8
from monai_semgan.utils.html_pages import page_template
from monai_semgan.utils.json_text import json_text

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume
    from monai_semgan.quality.anatomy import AnatomyReport

TEMPLATE = "template.html"


@dataclass(frozen=True)
class ReportFiles:
    """Where a report was written."""

    html: Path
    json: Path


def write_report(
    segmentation: Segmentation,
    volume: Volume,
    bundle: Bundle,
    folder: str | Path,
    *,
    labels: Mapping[int, str] | None = None,
    title: str | None = None,
    identifiers: bool = False,
    anatomy: AnatomyReport | None = None,
) -> ReportFiles:
    """Write the report of a segmentation.

    Args:
        segmentation: the result.
        volume: the scan.
        bundle: the model.
        folder: is made when missing.
        labels: organs that were asked for; all when left out.
        title: of the page; neutral when left out.
        identifiers: name the file, and from DICOM patient and study.
        anatomy: if it has been examined already.

    Raises:
        SemganError: if a file cannot be written.
    """
    content = report_content(segmentation, volume, bundle, labels=labels, identifiers=identifiers, anatomy=anatomy)
    return write_files(folder, render(content, segmentation, title or "Segmentation report"), content.to_dict())


def write_files(folder: str | Path, page: str, content: Mapping[str, Any]) -> ReportFiles:
    """Write page and content of a report.

    Args:
        folder: is made when missing.
        page: HTML.
        content: of the JSON file.

    Raises:
        SemganError: if a file cannot be written.
    """
    folder = check_output_folder(folder, "--report", "report.json")
    files = ReportFiles(folder / "report.html", folder / "report.json")
    for path, text in ((files.html, page), (files.json, json_text(content, indent=2) + "\n")):
        write_utf8(path, text)
    return files


def render(content: ReportContent, segmentation: Segmentation, title: str) -> str:
    """Render the HTML page, which needs no network and no script."""
    names = {organ.label: organ.name for organ in content.organs}
    label, found = label_on_slices(segmentation), [organ for organ in content.organs if organ.found]
    pictures = {organ.name: organ_pictures(segmentation, label, organ.label, names) for organ in found}
    colours = {organ.name: css_colour(organ.name, organ.label) for organ in content.organs}
    last = int(content.scan["slices"]) - 1
    first_end, last_end = axis_ends(segmentation.prepared.geometry)[2]
    ends = (WORDS[first_end], WORDS[last_end])
    curves = {curve.name: _drawn(curve, last, ends) for curve in (content.curve, content.uncertainty) if curve}
    return page_template("monai_semgan.outputs.report", TEMPLATE).render(
        content=content,
        title=title,
        pictures=pictures,
        colours=colours,
        curves=curves,
        upwards=segmentation.prepared.geometry.upwards,
    )


def _drawn(curve: SliceCurve, last: int, ends: tuple[str, str]) -> Markup:
    return Markup(curve_svg(curve.values, curve.slices, last, curve.name, ends))


def css_colour(name: str, label: int) -> str:
    """Return the colour of a label in the pictures, as CSS writes it."""
    return "rgb({},{},{})".format(*find_organ(name, label).colour)
