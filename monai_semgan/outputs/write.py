"""From a file with a scan to all files of its segmentation: the label, and what was asked for beside it.

What can go wrong at once is checked before PyTorch is imported and the model loaded, which takes seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.io.writing import STRUCTURE_SET, check_label_output, output_notes, write_label
from monai_semgan.organs import Segments
from monai_semgan.utils.files import check_output, check_output_folder

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.dicom.provenance import Provenance
    from monai_semgan.io.volume import Volume
    from monai_semgan.quality.anatomy import AnatomyReport

DICOM = ".dcm"


@dataclass(frozen=True)
class OutputFiles:
    """Files that a segmentation leaves, and what stands in them.

    Args:
        label: file, see `monai_semgan.io.writing.check_label_output`.
        maps: folder; none when left out.
        overlay: PNG file; none when left out.
        report: folder; none when left out.
        names: only these organs; all of the model when empty.
        identifiers: the report names file, patient and study.
        probabilities: among the maps is one of every organ.
        split: folder of one file per organ; none when left out.
        statistics: JSON file of volumes and mean intensities; none when left out.
        structure_set: folder for a DICOM structure set beside the label; none when left out.
        volume_report: `.dcm` file of a structured report of the volumes, of a label in DICOM; none when left out.
    """

    label: Path
    maps: Path | None = None
    overlay: Path | None = None
    report: Path | None = None
    names: tuple[str, ...] = ()
    identifiers: bool = False
    probabilities: bool = True
    split: Path | None = None
    statistics: Path | None = None
    structure_set: Path | None = None
    volume_report: Path | None = None

    def checked(self, volume: Volume, inputs: tuple[Path, ...] = ()) -> OutputFiles:
        """Find out before long computations that everything can be written, and make the folders.

        Args:
            volume: the scan.
            inputs: files that must not be overwritten.

        Returns:
            The same with the file of the label that will be written.

        Raises:
            SemganError: with the reason.
        """
        label = check_label_output(self.label, volume, inputs)
        if self.maps is not None:
            check_output_folder(self.maps, "--maps", "uncertainty.nii.gz")
        if self.overlay is not None:
            check_output(self.overlay, (".png",))
        if self.report is not None:
            check_output_folder(self.report, "--report", "report.json")
        if self.split is not None:
            check_output_folder(self.split, "--split", "organ.nii.gz")
        if self.statistics is not None:
            check_output(self.statistics, (".json",), inputs)
        if self.structure_set is not None:
            check_label_output(self.structure_set / STRUCTURE_SET, volume, inputs)
        if self.volume_report is not None:
            self._check_report(label, inputs)
        return replace(self, label=label)

    def _check_report(self, label: Path, inputs: tuple[Path, ...]) -> None:
        assert self.volume_report is not None
        check_output(self.volume_report, (DICOM,), inputs)
        if label.suffix.lower() != DICOM or label.name == STRUCTURE_SET:
            raise SemganError(
                "a structured report tells of a DICOM segmentation",
                remedy="give an output that ends in .dcm",
                path=self.volume_report,
            )
        if self.volume_report.resolve() == label.resolve():
            raise SemganError("report and segmentation would be one file", remedy="choose another name", path=label)


@dataclass(frozen=True, eq=False)
class SegmentedFile:
    """What segmenting a file gives.

    Attributes:
        volume: the scan.
        bundle: the model.
        segmentation: the result.
        anatomy: checks of sides, pieces and sizes, if asked for or made for the report.
        files: that were written, the label first.
        latencies: seconds to read (`pre`), segment (`infer`) and write (`post`), and `total`.
    """

    volume: Volume
    bundle: Bundle
    segmentation: Segmentation
    anatomy: AnatomyReport | None
    files: tuple[Path, ...]
    latencies: Mapping[str, float]


def segment_file(
    path: Path,
    load: Callable[[], Bundle],
    segment: Callable[[Volume, Bundle], Segmentation],
    outputs: OutputFiles,
    *,
    series: str | None = None,
    resample: bool = False,
    check_anatomy: bool = False,
) -> SegmentedFile:
    """Read a scan, segment it and write the results.

    Args:
        path: the scan.
        load: gives the model; called when the scan has been read and the outputs checked.
        segment: how the scan is segmented.
        outputs: what to write.
        series: UID or number of a DICOM series; the largest when left out.
        resample: take DICOM slices too that are tilted or unevenly spaced.
        check_anatomy: check the anatomy also without a report.

    Raises:
        SemganError: the scan cannot be read, the model not used, or a file not written.
    """
    times = [time.perf_counter()]
    volume = read_volume(path, series=series, resample=resample)
    outputs = outputs.checked(volume, (path,))
    volume = replace(volume, notes=(*volume.notes, *output_notes(outputs.label, volume)))
    times.append(time.perf_counter())
    bundle = load()
    segmentation = segment(volume, bundle)
    times.append(time.perf_counter())
    anatomy = None
    if check_anatomy or outputs.report is not None:
        from monai_semgan.inference.examination import examine

        anatomy = examine(segmentation, volume, bundle, chosen_labels(bundle, outputs.names))
    files = tuple(write_results(segmentation, volume, bundle, outputs, anatomy))
    times.append(time.perf_counter())
    return SegmentedFile(volume, bundle, segmentation, anatomy, files, latencies(times))


def latencies(times: Sequence[float]) -> dict[str, float]:
    """Turn the times before reading, before segmenting, before writing and of the end into seconds by name."""
    seconds = [later - earlier for earlier, later in zip(times[:-1], times[1:], strict=True)]
    named = dict(zip(("pre", "infer", "post"), seconds, strict=True))
    return {name: round(value, 3) for name, value in {**named, "total": sum(seconds)}.items()}


def _provenance(bundle: Bundle, outputs: OutputFiles) -> Provenance | None:
    """How the label is made, for results in DICOM."""
    if outputs.label.suffix.lower() != DICOM and outputs.structure_set is None:
        return None
    from monai_semgan.io.dicom.provenance import Provenance

    return Provenance(model_digest=bundle.weights_sha256)


def chosen_labels(bundle: Bundle, names: Sequence[str] | None) -> dict[int, str]:
    """Return the organ name by id of those asked for, or of all.

    Raises:
        SemganError: a name is unknown.
    """
    from monai_semgan.inference.segmentation import parse_labels

    if not names:
        return dict(bundle.labels)
    return {index: bundle.labels[index] for index in parse_labels(names, bundle.labels)}


def write_results(
    segmentation: Segmentation,
    volume: Volume,
    bundle: Bundle,
    outputs: OutputFiles,
    anatomy: AnatomyReport | None = None,
) -> list[Path]:
    """Write the label, and what else is asked for.

    Args:
        segmentation: the result.
        volume: the scan.
        bundle: the model.
        outputs: what to write.
        anatomy: for the report, if it has been examined already.

    Returns:
        The files, the label first.

    Raises:
        SemganError: one cannot be written.
    """
    from monai_semgan.outputs.description import model_facts

    labels, model = chosen_labels(bundle, outputs.names), model_facts(bundle)
    segments = Segments(labels, model["name"], model["version"])
    ids, provenance = bundle.preprocessing.file_ids, _provenance(bundle, outputs)
    files = [write_label(segmentation.label, volume, outputs.label, segments, ids, provenance=provenance)]
    if outputs.structure_set is not None:
        place = outputs.structure_set / STRUCTURE_SET
        files.append(write_label(segmentation.label, volume, place, segments, ids, provenance=provenance))
    if outputs.volume_report is not None:
        from monai_semgan.io.dicom.structured_report import write_volume_report

        found = {name: segmentation.volumes_ml[name] for name in labels.values() if name in segmentation.volumes_ml}
        files.append(write_volume_report(files[0], volume, outputs.volume_report, found, provenance))
    if outputs.split is not None:
        from monai_semgan.outputs.organ_files import write_organ_files

        files += write_organ_files(segmentation.label, volume, labels, outputs.split)
    if outputs.statistics is not None:
        from monai_semgan.outputs.organ_files import write_statistics

        files.append(write_statistics(segmentation.label, volume, labels, outputs.statistics))
    if outputs.maps is not None:
        from monai_semgan.outputs.maps import write_maps

        files += write_maps(segmentation, volume, labels if outputs.probabilities else {}, outputs.maps)
    if outputs.overlay is not None:
        from monai_semgan.outputs.overlay import save_overlay

        files.append(save_overlay(segmentation, bundle.labels, outputs.overlay))
    if outputs.report is not None:
        from monai_semgan.outputs.report import write_report

        written = write_report(
            segmentation,
            volume,
            bundle,
            outputs.report,
            labels=labels,
            identifiers=outputs.identifiers,
            anatomy=anatomy,
        )
        files += [written.html, written.json]
    return files
