"""`semgan selfcheck`: does everything work here? Segments a synthetic patient that the model itself generates."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.arguments import bar, model_options, name_column, non_negative_int, note, say, threads_option
from monai_semgan.cli.segment import report, segment_scan
from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    import numpy as np

    from monai_semgan.bundle.load import Bundle
    from monai_semgan.io.volume import Volume

DESCRIPTION = """\
Generate a synthetic patient (of a model for radiographs or photographs, an image), write it, segment it in preview
mode, and compare with the label that was generated beside it. A self-consistency check: it shows that this installation
works, not how good the model is on real scans. With a scan: segment that scan instead.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "selfcheck",
        parents=[common],
        help="segment a synthetic patient, to see that the installation works",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("scan", nargs="?", type=Path, metavar="SCAN", help="segment this scan instead")
    parser.add_argument(
        "--out", type=Path, default=Path("semgan_results"), metavar="DIR", help="default semgan_results"
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, help="another seed, another patient")
    model_options(parser)
    threads_option(parser)
    parser.set_defaults(run=run, mode="preview", modality="auto", labels=None, no_cleanup=False, batch_size=None)
    parser.set_defaults(steps=None, objective=None, plane=None)


@dataclass(frozen=True)
class _Files:
    """Names of what is written: pictures stay pictures."""

    folder: Path
    stem: str
    ending: str = ".nii.gz"

    def path(self, kind: str) -> Path:
        return self.folder / f"{self.stem}_{kind}{self.ending}"


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    from monai_semgan.io.reading import read_volume
    from monai_semgan.utils.files import check_output

    volume = read_volume(arguments.scan) if arguments.scan else None
    files = _Files(arguments.out, f"patient_{arguments.seed:03d}")
    if volume is not None:
        ending = ".nii.gz" if volume.spacing_known else ".png"
        files = _Files(arguments.out, arguments.scan.resolve().name.split(".")[0], ending)
    inputs = (arguments.scan,) if arguments.scan else ()
    check_output(files.path("label"), (files.ending,), inputs)
    from monai_semgan.bundle.load import load_bundle

    bundle = load_bundle(arguments.bundle, arguments.device)
    reference = None
    if volume is None:
        if not bundle.network.renders:
            problem = "the model is a student alone, which cannot generate a patient"
            raise SemganError(problem, remedy="give a scan: semgan selfcheck SCAN --bundle DIR", path=bundle.folder)
        if bundle.preprocessing.field_of_view == "image":
            files = _Files(arguments.out, f"image_{arguments.seed:03d}", ".png")
        volume, reference = _synthetic(bundle, arguments, files)
    _segment_and_save(volume, reference, bundle, arguments, files)
    return 0


def _synthetic(bundle: Bundle, arguments: argparse.Namespace, files: _Files) -> tuple[Volume, Volume]:
    """Return a patient, or a single image, that went through a file as a scan does; the file stays."""
    from monai_semgan.inference.synthesis import sample_image2d, sample_patient
    from monai_semgan.io.image2d_writing import write_image2d
    from monai_semgan.io.reading import read_volume
    from monai_semgan.io.writing import write_volume

    single = bundle.preprocessing.field_of_view == "image"
    with bar(arguments, "stopping") as progress:
        image, label = (sample_image2d if single else sample_patient)(bundle, arguments.seed, progress=progress)
    path = files.path("image")
    if single:
        write_image2d(image.channels, path)
    else:
        write_volume(image.array, image, path, "int16")
    return read_volume(path), label


def _segment_and_save(
    volume: Volume, reference: Volume | None, bundle: Bundle, arguments: argparse.Namespace, names: _Files
) -> None:
    from monai_semgan.outputs.write import OutputFiles, write_results

    segmentation = segment_scan(volume, bundle, arguments)
    overlay = names.folder / f"{names.stem}_overlay.png"
    files = write_results(segmentation, volume, bundle, OutputFiles(names.path("label"), overlay=overlay))
    if reference is not None:
        files.insert(0, names.path("image"))
    report(arguments.scan or "synthetic patient", volume, segmentation)
    if reference is not None:
        say("self-consistency check: Dice against the label that was generated beside the image")
        width = name_column(bundle.labels.values())
        for index, name in bundle.labels.items():
            say(f"  {name:<{width}}{_agreement(segmentation.label == index, reference.array == index)}")
        note("this tests the installation; Dice on real scans is shown by `semgan info`")
    for path in files:
        say(f"wrote {path}")


def _agreement(found: np.ndarray, generated: np.ndarray) -> str:
    """Tell the Dice of two masks, or why there is none."""
    from monai_semgan.quality.overlap import dice

    if not generated.any():
        return "  not generated" if found.any() else "  in neither"
    return f"{dice(found, generated):9.3f}"
