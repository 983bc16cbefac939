"""`semgan sample`: labelled synthetic slices and patients."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.arguments import bar, model_options, non_negative_int, say, threads_option
from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.utils.progress import Progress


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "sample",
        parents=[common],
        help="generate labelled synthetic slices and patients",
        description="Generate labelled synthetic slices (sheet.png, slices/) and patients (NIfTI image and label).",
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--count", type=non_negative_int, default=16, metavar="N", help="slices (default 16)")
    parser.add_argument(
        "--patients", type=non_negative_int, metavar="N", help="volumes (default 1; 0 for models of single images)"
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, help="the same seed gives the same result")
    parser.add_argument(
        "--truncation", type=float, default=0.7, metavar="T", help="0 to 1: from typical to varied (default 0.7)"
    )
    parser.add_argument("--format", choices=("png", "nifti"), default="png", help="of the single slices (default png)")
    model_options(parser)
    threads_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    from monai_semgan.utils.files import check_output

    if not 0 < arguments.truncation <= 1:
        raise SemganError(f"truncation of {arguments.truncation}", remedy="give a number above 0, up to 1")
    if arguments.count == 0 and arguments.patients == 0:
        raise SemganError("nothing to generate", remedy="raise --count or --patients")
    folder = check_output(arguments.out / "sheet.png", (".png",)).parent
    from monai_semgan.bundle.load import load_bundle

    bundle = load_bundle(arguments.bundle, arguments.device)
    bundle.network.check_renders("a synthetic image")
    patients = _patients(bundle, arguments)
    with bar(arguments, "stopping") as progress:
        if arguments.count:
            _write_slices(bundle, arguments, folder, progress)
        for number in range(patients):
            _write_patient(bundle, arguments, folder, number, progress)
    return 0


def _patients(bundle: Bundle, arguments: argparse.Namespace) -> int:
    """How many volumes are wanted.

    Raises:
        SemganError: nothing can be generated, or not in this format.
    """
    single = bundle.preprocessing.field_of_view == "image"
    if bundle.preprocessing.image_channels == 3 and arguments.format == "nifti":
        raise SemganError("the model makes pictures in colours", remedy="leave out --format nifti", path=bundle.folder)
    if single and (arguments.patients or arguments.count == 0):
        problem = f"the model makes single {bundle.preprocessing.images}, no patients"
        raise SemganError(problem, remedy="use --count, and leave out --patients", path=bundle.folder)
    if arguments.patients is None:
        return 0 if single else 1
    return int(arguments.patients)


def _write_slices(bundle: Bundle, arguments: argparse.Namespace, folder: Path, progress: Progress) -> None:
    from monai_semgan.inference.synthesis import sample_slices
    from monai_semgan.outputs.overlay import as_radiologists_see, blend, grid, save_picture, with_legend

    slices = sample_slices(bundle, arguments.count, arguments.seed, arguments.truncation, progress)
    panels = [
        as_radiologists_see(blend(i, label, bundle.labels)) for i, label in zip(slices.image, slices.label, strict=True)
    ]
    image_grid = save_picture(with_legend(grid(panels, min(8, len(panels))), bundle.labels), folder / "sheet.png")
    write = _write_png if arguments.format == "png" else _write_nifti
    for number, (image, label) in enumerate(zip(slices.image, slices.label, strict=True)):
        write(bundle, folder / "slices" / f"slice_{number:04d}", image, label)
    _clear(progress)
    say(f"wrote {image_grid}")
    say(f"wrote {arguments.count} images with labels to {folder / 'slices'}")


def _write_png(bundle: Bundle, stem: Path, image: Any, label: Any) -> None:
    """Write an image, and its label as a palette image whose pixel values are the ids."""
    from PIL import Image

    from monai_semgan.outputs.overlay import as_radiologists_see, palette_of, save_picture

    values = ((as_radiologists_see(image) + 1) * 127.5).round().astype("uint8")
    save_picture(Image.fromarray(values), stem.with_name(f"{stem.name}_image.png"))
    picture = Image.fromarray(as_radiologists_see(label))
    picture.putpalette(palette_of(bundle.labels).astype("uint8").reshape(-1).tolist())
    save_picture(picture, stem.with_name(f"{stem.name}_label.png"))


def _write_nifti(bundle: Bundle, stem: Path, image: Any, label: Any) -> None:
    """Write image and label as volumes of one slice."""
    from monai_semgan.inference.synthesis import SyntheticSlices, as_volumes
    from monai_semgan.io.writing import write_volume

    volumes = as_volumes(SyntheticSlices(image[None], label[None]), bundle, 5.0)
    for volume, kind, dtype in zip(volumes, ("image", "label"), ("int16", "uint8"), strict=True):
        write_volume(volume.array, volume, stem.with_name(f"{stem.name}_{kind}.nii.gz"), dtype)


def _write_patient(
    bundle: Bundle, arguments: argparse.Namespace, folder: Path, number: int, progress: Progress
) -> None:
    from monai_semgan.inference.synthesis import sample_patient
    from monai_semgan.io.writing import write_volume

    volumes = sample_patient(bundle, arguments.seed + number, arguments.truncation, progress)
    paths = [
        write_volume(volume.array, volume, folder / f"patient_{arguments.seed + number:03d}_{kind}.nii.gz", dtype)
        for volume, kind, dtype in zip(volumes, ("image", "label"), ("int16", "uint8"), strict=True)
    ]
    _clear(progress)
    for path in paths:
        say(f"wrote {path}")


def _clear(progress: Progress) -> None:
    """End the bar's line before something is printed."""
    with contextlib.suppress(AttributeError):
        progress.close()  # type: ignore[attr-defined]
