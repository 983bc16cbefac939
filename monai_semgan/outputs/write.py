"""All files of a segmentation: the label, and what was asked for beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume
    from monai_semgan.organs import Segments
    from monai_semgan.quality.anatomy import AnatomyReport


def chosen_labels(bundle: Bundle, names: list[str] | None) -> dict[int, str]:
    """Organ name by id: those asked for, or all.

    Raises:
        SemganError: a name is unknown.
    """
    from monai_semgan.inference.segmentation import parse_labels

    if not names:
        return dict(bundle.labels)
    return {index: bundle.labels[index] for index in parse_labels(names, bundle.labels)}


def segments(bundle: Bundle, names: list[str] | None) -> Segments:
    """What the label ids mean and what made them, for formats that say so."""
    from monai_semgan.organs import Segments

    model, version = (str(bundle.metadata.get(key, "")) for key in ("name", "version"))
    return Segments(chosen_labels(bundle, names), model or bundle.folder.name, version)


def check_side_outputs(maps: Path | None = None, overlay: Path | None = None, report: Path | None = None) -> None:
    """Find out before long computations that pictures, maps and report can be written.

    Raises:
        SemganError: with the reason.
    """
    from monai_semgan.utils.files import check_output

    if maps is not None:
        from monai_semgan.outputs.maps import check_map_folder

        check_map_folder(maps)
    if overlay is not None:
        check_output(overlay, (".png",))
    if report is not None:
        from monai_semgan.outputs.report import check_report_folder

        check_report_folder(report)


def write_results(
    segmentation: Segmentation,
    volume: Volume,
    bundle: Bundle,
    output: Path,
    *,
    names: list[str] | None = None,
    maps: Path | None = None,
    overlay: Path | None = None,
    report: Path | None = None,
    identifiers: bool = False,
    anatomy: AnatomyReport | None = None,
) -> list[Path]:
    """Write the label, and maps, picture and report if asked for.

    Args:
        segmentation: the result.
        volume: the scan.
        bundle: the model.
        output: file of the label, see `monai_semgan.io.writing.check_label_output`.
        names: only these organs.
        maps: folder.
        overlay: PNG file.
        report: folder.
        identifiers: the report names file, patient and study.
        anatomy: for the report, if it has been examined already.

    Returns:
        The files, the label first.

    Raises:
        SemganError: one cannot be written.
    """
    from monai_semgan.io.writing import write_label
    from monai_semgan.outputs.maps import write_maps
    from monai_semgan.outputs.overlay import save_overlay

    files = [write_label(segmentation.label, volume, output, segments(bundle, names))]
    if maps is not None:
        files += write_maps(segmentation, volume, chosen_labels(bundle, names), maps)
    if overlay is not None:
        files.append(save_overlay(segmentation, bundle.labels, overlay))
    if report is not None:
        from monai_semgan.outputs.report import write_report

        labels = chosen_labels(bundle, names)
        written = write_report(
            segmentation, volume, bundle, report, labels=labels, identifiers=identifiers, anatomy=anatomy
        )
        files += [written.html, written.json]
    return files
