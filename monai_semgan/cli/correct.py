"""`semgan correct`: a scan, its label as it stands and strokes in; the label that follows them out."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.arguments import (
    EXIT_INTERRUPTED,
    bar,
    modality_or_auto,
    model_options,
    name_column,
    name_list,
    note,
    say,
    threads_option,
)
from monai_semgan.errors import Cancelled, SemganError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from monai_semgan.bundle.load import Bundle
    from monai_semgan.correction.correction_result import Correction
    from monai_semgan.correction.correction_settings import CorrectionSettings
    from monai_semgan.correction.corrector import Corrector
    from monai_semgan.correction.slice_latents import SliceLatents
    from monai_semgan.correction.strokes import Stroke
    from monai_semgan.io.volume import Volume
    from monai_semgan.utils.progress import OnStep, Progress, StepEvent

EPILOG = """\
strokes: label files on the scan's grid, 0 wherever nothing is drawn, with the ids of the label: --strokes says "this
structure is here", --negative "it is not". A stroke always wins on its own voxels, but in locked structures; where two
contradict each other, the negative one counts. The label around follows: first in the slices that were drawn on, then
in their neighbours up to --reach. Structures that are neither drawn nor lie under a stroke stay as they are.

Ctrl-C writes what has been corrected until then and exits with 130; press twice to write nothing.
"""

LATENT_ENDINGS = (".pt",)


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "correct",
        parents=[common],
        help="correct a label by strokes",
        description="Correct a label by strokes. The result lies on exactly the scan's grid.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("scan", type=Path, metavar="SCAN", help="the scan, as for semgan segment")
    parser.add_argument("--label", type=Path, required=True, metavar="FILE", help="its label as it stands")
    parser.add_argument("--strokes", type=Path, metavar="FILE", help="where structures are")
    parser.add_argument("--negative", type=Path, metavar="FILE", help="where they are not")
    parser.add_argument(
        "--output", "--out", "-o", type=Path, required=True, metavar="OUT", help="formats as of semgan segment"
    )
    parser.add_argument(
        "--reach",
        type=millimetres,
        metavar="MM",
        help="how far from the drawn slices others follow, such as 25mm (default); 0: only these slices",
    )
    parser.add_argument("--lock", type=name_list, default=[], metavar="NAMES", help="structures that must not change")
    parser.add_argument(
        "--latents",
        type=Path,
        metavar="FILE.pt",
        help="go on from what the correction before has found in this scan, if the file is there, and write it for the "
        "next",
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="also write report.html and report.json: strokes, before and after"
    )
    parser.add_argument("--identifiers", action="store_true", help="the report names file, patient and study")
    parser.add_argument("--series", metavar="ID", help="of the scan, as for semgan segment")
    parser.add_argument("--resample", action="store_true", help="of the scan, as for semgan segment")
    parser.add_argument("--modality", type=modality_or_auto, default="auto", metavar="NAME", help="as there")
    parser.add_argument("--plane", choices=("auto", "stored", "axial"), default="auto", help="as there")
    model_options(parser)
    threads_option(parser)
    parser.set_defaults(run=run)


def millimetres(text: str) -> float:
    """Parse an option that is a distance: `25`, `25mm` or `25 mm`."""
    value = float(text.strip().lower().removesuffix("mm"))
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is no distance")
    return value


millimetres.__name__ = "distance in mm"  # argparse names the type in its message


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    if arguments.strokes is None and arguments.negative is None:
        raise SemganError("no strokes", remedy="give --strokes, --negative or both")
    volume = _checked_scan(arguments)
    maps = _read_maps(arguments, volume)
    from monai_semgan.bundle.load import load_bundle  # costs seconds: only after what can go wrong at once

    bundle = load_bundle(arguments.bundle, arguments.device)
    label, strokes = _as_ids(maps, arguments, bundle)
    corrector, settings = _corrector(arguments, bundle, volume, label)
    corrected = _correct(arguments, corrector, settings, strokes)
    files = _write(arguments, bundle, volume, corrected)
    if arguments.report is not None:
        files += _write_report(arguments, corrector, settings, label, strokes, corrected)
    _report(corrected, label, volume, bundle.labels, {stroke.structure for stroke in strokes})
    for path in files:
        say(f"wrote {path}")
    return EXIT_INTERRUPTED if corrected.cancelled else 0


def _checked_scan(arguments: argparse.Namespace) -> Volume:
    """Read the scan, and find out that the results can be written."""
    from monai_semgan.io.reading import read_volume
    from monai_semgan.io.writing import check_label_output
    from monai_semgan.utils.files import check_output, check_output_folder

    volume = read_volume(arguments.scan, series=arguments.series, resample=arguments.resample)
    given = (arguments.scan, arguments.label, arguments.strokes, arguments.negative)
    inputs = tuple(path for path in given if path is not None)
    arguments.output = check_label_output(arguments.output, volume, inputs)
    if arguments.latents is not None:
        check_output(arguments.latents, LATENT_ENDINGS, inputs)
    if arguments.report is not None:
        check_output_folder(arguments.report, "--report", "report.json")
    return volume


def _read_maps(arguments: argparse.Namespace, volume: Volume) -> dict[str, np.ndarray]:
    """Read label and strokes, (I, J, K) each on the scan's grid, by the name of their option."""
    from monai_semgan.bundle.labels import METADATA, bundle_folder, organ_labels, read_metadata
    from monai_semgan.io.reading import read_label

    folder = bundle_folder(arguments.bundle)
    names = organ_labels(read_metadata(folder), folder / METADATA)
    paths = {"label": arguments.label, "strokes": arguments.strokes, "negative": arguments.negative}
    return {option: read_label(path, volume, names=names).array for option, path in paths.items() if path is not None}


def _as_ids(
    maps: Mapping[str, np.ndarray], arguments: argparse.Namespace, bundle: Bundle
) -> tuple[np.ndarray, list[Stroke]]:
    """Turn what the files hold into label ids of the model, and into strokes.

    Raises:
        SemganError: a file holds an id that the model lacks, or one with strokes holds nothing.
    """
    from monai_semgan.correction.strokes import strokes_of_map

    ids = {option: _model_ids(array, getattr(arguments, option), bundle) for option, array in maps.items()}
    strokes: list[Stroke] = []
    for option in ("strokes", "negative"):
        if option in ids:
            drawn = strokes_of_map(ids[option], positive=option == "strokes")
            if not drawn:
                path = getattr(arguments, option)
                raise SemganError("holds no strokes", remedy="draw with the ids of the label", path=path)
            strokes += drawn
    return ids["label"], strokes


def _model_ids(array: np.ndarray, path: Path, bundle: Bundle) -> np.ndarray:
    """Turn ids of a file into those of the model, where it writes others, and refuse unknown ones."""
    import numpy as np

    from monai_semgan.io.formats import find_segment_reader
    from monai_semgan.io.label_ids import mapped_ids

    written = bundle.preprocessing.file_ids
    if find_segment_reader(path) is not None or written is None:
        written = {index: index for index in bundle.labels}
    unknown = np.setdiff1d(np.unique(array), [0, *written.values()])
    if len(unknown):
        known = ", ".join(f"{number} {bundle.labels[index]}" for index, number in written.items())
        raise SemganError(f"holds the label id {unknown[0]}", remedy=f"this model knows {known}", path=path)
    return mapped_ids(array, {number: index for index, number in written.items()})


def _corrector(
    arguments: argparse.Namespace, bundle: Bundle, volume: Volume, label: np.ndarray
) -> tuple[Corrector, CorrectionSettings]:
    """Make ready to correct, with the options of the command line."""
    from monai_semgan.correction.correction_settings import CorrectionSettings
    from monai_semgan.correction.corrector import Corrector
    from monai_semgan.inference.segmentation import parse_labels

    locked = tuple(parse_labels(arguments.lock, bundle.labels)) if arguments.lock else ()
    reach = {} if arguments.reach is None else {"reach_mm": arguments.reach}
    modality = None if arguments.modality == "auto" else arguments.modality
    latents = _known_latents(arguments.latents, bundle)
    corrector = Corrector(bundle, volume, label, latents, modality, arguments.plane)
    return corrector, CorrectionSettings(**reach, locked=locked)


def _correct(
    arguments: argparse.Namespace, corrector: Corrector, settings: CorrectionSettings, strokes: Sequence[Stroke]
) -> Correction:
    """Correct with a bar."""
    remark = "stopping; what is corrected so far is written, Ctrl-C again leaves without it"
    with bar(arguments, remark) as progress:
        return corrector.correct(strokes, settings, _slices_on(progress))


def _known_latents(path: Path | None, bundle: Bundle) -> SliceLatents | None:
    """Read what the correction before has found; None if there was none.

    Raises:
        SemganError: the file is broken, or the latents are those of another model.
    """
    from monai_semgan.correction.slice_latents import SliceLatents

    if path is None or not path.exists():
        return None
    found, network = SliceLatents.load(path), bundle.network
    if len(found.slices) and network.renders:
        own = network.encoder.start(network.generator, 1)
        if [part.shape[1:] for part in found.latent.parts] != [part.shape[1:] for part in own.parts]:
            remedy = "name another --latents, which will be written"
            raise SemganError("holds latents of another model", remedy=remedy, path=path)
    return found


def _slices_on(progress: Progress) -> OnStep:
    """Show the slices that are done, and end when that wants to stop."""

    def on_step(event: StepEvent[Any]) -> None:
        progress.update(event.step, max(event.steps, 1), "correcting slice")
        if progress.should_stop():
            raise Cancelled

    return on_step


def _write(arguments: argparse.Namespace, bundle: Bundle, volume: Volume, corrected: Correction) -> list[Path]:
    """Write the label as `semgan segment` does, and the latents if they are asked for."""
    from monai_semgan.io.writing import write_label
    from monai_semgan.organs import Segments
    from monai_semgan.outputs.description import model_facts

    model = model_facts(bundle)
    segments = Segments(dict(bundle.labels), model["name"], model["version"])
    files = [write_label(corrected.label, volume, arguments.output, segments, bundle.preprocessing.file_ids)]
    if arguments.latents is not None:
        corrected.latents.save(arguments.latents)
        files.append(arguments.latents)
    return files


def _write_report(
    arguments: argparse.Namespace,
    corrector: Corrector,
    settings: CorrectionSettings,
    before: np.ndarray,
    strokes: Sequence[Stroke],
    corrected: Correction,
) -> list[Path]:
    """Write the page that shows strokes, label before and label after."""
    from monai_semgan.outputs.report import CorrectedLabel, write_correction_report

    labels = dict(corrector.bundle.labels)
    told = {"reach_mm": settings.reach_mm, "locked": [labels[index] for index in settings.locked]}
    label = CorrectedLabel(
        before,
        corrected.label,
        strokes,
        "the one that was given",
        labels,
        settings=told,
        remarks=(*corrector.scan.prepared.notes, *(remark.text for remark in corrected.remarks)),
    )
    written = write_correction_report(
        label,
        corrector.volume,
        corrector.scan.prepared,
        corrector.bundle,
        arguments.report,
        identifiers=arguments.identifiers,
    )
    return [written.html, written.json]


def _report(
    corrected: Correction, before: np.ndarray, volume: Volume, labels: Mapping[int, str], drawn: set[int]
) -> None:
    """Print what has changed, of the structures that were drawn also where nothing has."""
    import numpy as np

    changed = corrected.label != before
    moved = set(np.unique(corrected.label[changed]).tolist()) | set(np.unique(before[changed]).tolist())
    names = {index: name for index, name in labels.items() if index in moved | drawn}
    width = name_column(names.values())
    for index, name in names.items():
        was, now = (np.count_nonzero(label == index) for label in (before, corrected.label))
        if volume.spacing_known and not volume.projection:
            size, difference = now * volume.voxel_ml, (now - was) * volume.voxel_ml
            say(f"  {name:<{width}}{size:9.1f} ml {difference:+9.1f}")
        else:
            say(f"  {name:<{width}}{now:9d} pixels {now - was:+9d}")
    for remark in corrected.remarks:
        note(remark.text)
    count = len(corrected.slices)
    say(f"corrected {count} {'slice' if count == 1 else 'slices'} in {corrected.seconds:.1f} s")
