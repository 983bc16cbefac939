"""`semgan segment`: a scan in, labels on exactly its grid out."""

from __future__ import annotations

import argparse
import atexit
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.archive_options import (
    archive_options,
    refuse_sending,
    scan_folder,
    scan_source,
    send_files,
    use_access,
)
from monai_semgan.cli.arguments import (
    EXIT_INTERRUPTED,
    bar,
    describe,
    modality_or_auto,
    model_options,
    name_column,
    name_list,
    non_negative_int,
    note,
    positive_int,
    say,
    threads_option,
)
from monai_semgan.cli.cohort import cohort_options, is_cohort, refuse_cohort_options, run_cohort

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume
    from monai_semgan.quality.anatomy import AnatomyReport

EPILOG = """\
many scans: INPUT is a folder with scans and DICOM series at any depth, or a MONAI data list (.json), and OUT a folder;
every scan gets OUT/NAME.nii.gz (--format), one line and a line of OUT/cohort.csv. --maps, --overlay, --report, --split
and --statistics are then names inside OUT/NAME/. Finished scans are not computed again. Exit code 3 says that some
scans failed.

output: the ending says the format: .nii, .nii.gz, .nrrd, .mha; .seg.nrrd with named, coloured segments for 3D Slicer;
.png for a single image;
.dcm a DICOM segmentation, and a folder whose name ends with rtstruct a DICOM structure set, both for DICOM input.

archives: dicomweb:URL?StudyInstanceUID=... is the largest series of a study in an archive that speaks DICOMweb; with a
folder as OUT all its CT and MR series, or those of the whole archive; any attribute may be asked for, such as
&Modality=CT&StudyDate=20260101-. --send stores results in DICOM there. DICOM Q/R (C-FIND, C-MOVE) is not offered.

modes: preview is feed-forward and takes seconds. invert looks for the latent codes that render the slices, starting at
the encoder's, and reads the labels there; encoder stops at that start. refine lets preview and inversion work together.

Ctrl-C during invert or refine writes the best result found until then and exits with 130; press twice to write nothing.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "segment",
        parents=[common],
        help="segment a CT or MRI volume",
        description="Segment a CT or MRI volume. The result lies on exactly the input's grid.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "input",
        type=scan_source,
        metavar="INPUT",
        help="NIfTI, NRRD, MHA, DICOM file, folder or zip; PNG; dicomweb:URL?StudyInstanceUID=...; or many scans",
    )
    parser.add_argument("--output", "-o", type=Path, required=True, metavar="OUT", help="labels, see below")
    parser.add_argument("--follow-links", action="store_true", help="in folders, take links wherever they lead")
    parser.add_argument(
        "--series",
        metavar="ID",
        help="number or UID of a DICOM series, and which of its volumes, such as 7 or 7/echo=2 (default: the largest "
        "that is a volume); semgan info INPUT lists them; of many scans the same in each",
    )
    parser.add_argument(
        "--resample",
        action="store_true",
        help="take DICOM slices too that are tilted, unevenly spaced or in part missing; .dcm has the labels on them",
    )
    model_options(parser)
    threads_option(parser)
    parser.add_argument("--mode", choices=("preview", "encoder", "invert", "refine"), default="preview")
    parser.add_argument(
        "--modality",
        type=modality_or_auto,
        default="auto",
        metavar="NAME",
        help="CT, MR, DX or XR (radiographs), or XC (photographs in colours); default: told by file or values",
    )
    parser.add_argument(
        "--plane",
        choices=("auto", "stored", "axial"),
        default="auto",
        help="cut volumes of thick slices as they are stored, or all axially (default: as the model was trained)",
    )
    parser.add_argument("--labels", type=name_list, metavar="NAMES", help="only these organs, for example liver,spleen")
    parser.add_argument(
        "--maps", type=Path, metavar="DIR", help="also write probabilities, uncertainty, reconstruction"
    )
    parser.add_argument("--overlay", type=Path, metavar="PNG", help="also write a picture")
    parser.add_argument("--report", type=Path, metavar="DIR", help="also write report.html and report.json")
    parser.add_argument("--split", type=Path, metavar="DIR", help="also write one file per organ, DIR/liver.nii.gz")
    parser.add_argument("--statistics", type=Path, metavar="JSON", help="also write volumes (mm3) and mean intensities")
    parser.add_argument("--rtstruct", type=Path, metavar="DIR", help="also write a DICOM structure set, of DICOM input")
    parser.add_argument(
        "--structured-report",
        type=Path,
        metavar="DCM",
        help="also write the volumes as a DICOM structured report (TID 1500), where OUT ends in .dcm",
    )
    parser.add_argument("--identifiers", action="store_true", help="the report names file, patient and study")
    parser.add_argument("--anatomy-check", action="store_true", help="check sides, pieces and sizes of the organs")
    parser.add_argument("--no-cleanup", action="store_true", help="keep specks and holes")
    parser.add_argument("--batch-size", type=positive_int, metavar="N", help="slices computed together")
    group = parser.add_argument_group("invert and refine")
    group.add_argument("--steps", type=non_negative_int, metavar="N", help="optimisation steps")
    group.add_argument("--objective", metavar="NAME", help="what compares slice and rendering (default auto)")
    cohort_options(parser)
    archive_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    use_access(arguments)
    if is_cohort(arguments):
        return run_cohort(arguments)
    return run_single(arguments)


def run_single(arguments: argparse.Namespace) -> int:
    """Segment one scan."""
    from monai_semgan.io.dicom.dicom_files import following_links
    from monai_semgan.outputs.write import OutputFiles, segment_file

    refuse_cohort_options(arguments)
    refuse_sending(arguments, [arguments.output, arguments.rtstruct and "rtstruct"])
    atexit.register(gc.freeze)  # else the process searches all that it has imported for cycles before it ends

    def load() -> Bundle:
        from monai_semgan.bundle.load import load_bundle  # costs seconds: only after what can go wrong at once

        return load_bundle(arguments.bundle, arguments.device)

    outputs = OutputFiles(
        arguments.output,
        arguments.maps,
        arguments.overlay,
        arguments.report,
        names=tuple(arguments.labels or ()),
        identifiers=arguments.identifiers,
        split=arguments.split,
        statistics=arguments.statistics,
        structure_set=arguments.rtstruct,
        volume_report=arguments.structured_report,
    )
    with following_links(arguments.follow_links), scan_folder(arguments) as path:
        done = segment_file(
            path,
            load,
            lambda volume, bundle: segment_scan(volume, bundle, arguments),
            outputs,
            series=arguments.series,
            resample=arguments.resample,
            check_anatomy=arguments.anatomy_check,
        )
    report(arguments.input, done.volume, done.segmentation)
    if arguments.anatomy_check and done.anatomy is not None:
        print_anatomy(done.anatomy)
    for path in done.files:
        say(f"wrote {path}")
    if arguments.send:
        send_files(arguments.input, [file for file in done.files if file.suffix == ".dcm"])
    return EXIT_INTERRUPTED if done.segmentation.cancelled else 0


def segment_scan(volume: Volume, bundle: Bundle, arguments: argparse.Namespace) -> Segmentation:
    """Segment with the options of the command line and a bar."""
    from monai_semgan.inference.segmentation import segment
    from monai_semgan.utils.progress import on_step_of

    remark = "stopping"
    if arguments.mode in ("invert", "refine"):
        remark = "stopping; the best result so far is written, Ctrl-C again leaves without it"
    with bar(arguments, remark) as progress:
        return segment(
            volume,
            bundle,
            arguments.mode,
            modality=None if arguments.modality == "auto" else arguments.modality,
            labels=arguments.labels,
            cleanup=not arguments.no_cleanup,
            batch_size=arguments.batch_size,
            on_step=on_step_of(progress),
            steps=arguments.steps,
            objective=arguments.objective,
            plane=arguments.plane,
        )


def report(path: Path | str, volume: Volume, segmentation: Segmentation) -> None:
    """Print what was found."""
    say(f"{path}: {segmentation.prepared.modality}, {describe(volume)}")
    width = name_column([*segmentation.volumes_ml, *segmentation.areas])
    for name, millilitres in segmentation.volumes_ml.items():
        say(f"  {name:<{width}}{millilitres:9.1f} ml")
    for name, area in segmentation.areas.items():
        say(f"  {name:<{width}}{area:9.1f} {segmentation.area_unit}")
    for sentence in segmentation.notes:
        note(sentence)
    say(f"{segmentation.mode} in {segmentation.seconds:.1f} s")


def print_anatomy(anatomy: AnatomyReport) -> None:
    """Print a line for every check of the anatomy."""
    for check in anatomy.checks:
        say(f"  {check.verdict:<13}{check.finding}")
    if not anatomy.checks:
        say("  no check applies to what was found")
