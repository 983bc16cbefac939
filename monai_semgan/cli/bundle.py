"""`semgan bundle`: make a model bundle for a task, take trained weights into it, pack it for others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from monai_semgan.cli.arguments import modality_name, name_list, note, positive_int, say

DESCRIPTION = """\
Make and hand on model bundles, the folders that --bundle of the other commands, MONAI and MONAI Label take.

  semgan bundle make RUN                 a bundle of a run of `semgan train`, complete
  semgan bundle new lungs --labels "right lung,left lung" --modality CT
  python -m monai.bundle run --config_file lungs/configs/train_gan.json --bundle_root lungs --dataset_dir DATA
  semgan bundle fill lungs               take the weights that its training left in lungs/runs
  semgan bundle fill lungs RUN           or those of a run of `semgan train`
  semgan bundle pack lungs               lungs_v0.1.0.zip, for monai.bundle download
  semgan bundle update lungs             the names of today for a bundle of an earlier version
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "bundle",
        help="make a model bundle, fill it with trained weights, pack it, update it",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    _add_make(actions, common)
    _add_new(actions, common)
    _add_fill(actions, common)
    _add_pack(actions, common)
    _add_update(actions, common)


def _add_make(actions: Any, common: argparse.ArgumentParser) -> None:
    text = "make a bundle of a trained run; its settings, labels and figures are those of the run"
    parser = actions.add_parser("make", parents=[common], help=text, description=text, allow_abbrev=False)
    parser.add_argument("source", type=Path, metavar="RUN", help="folder of a run of `semgan train`")
    parser.add_argument("--out", type=Path, metavar="BUNDLE", help="folder of the bundle (default RUN_bundle, or NAME)")
    parser.add_argument("--name", metavar="NAME", help="of the bundle (default: that of its folder)")
    parser.add_argument("--authors", metavar="NAMES", help="for the metadata")
    parser.set_defaults(run=make)


def _add_new(actions: Any, common: argparse.ArgumentParser) -> None:
    text = "write a bundle for a new task, ready to be trained"
    parser = actions.add_parser("new", parents=[common], help=text, description=text, allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="NAME", help="folder of the bundle, is made")
    parser.add_argument(
        "--labels", type=name_list, required=True, metavar="NAMES", help="names of the ids 1, 2, ..., with commas"
    )
    told = "CT, MR, DX or XR (radiographs), or XC (photographs in colours); default CT"
    parser.add_argument("--modality", type=modality_name, default="CT", metavar="NAME", help=told)
    parser.add_argument("--size", type=positive_int, default=128, metavar="N", help="slice in pixels (default 128)")
    parser.add_argument("--pixel-mm", type=float, default=2.75, metavar="MM", help="pixel spacing (default 2.75)")
    parser.add_argument("--window", type=float, nargs=2, metavar=("LOW", "HIGH"), help="HU of CT (default -125 275)")
    parser.add_argument("--authors", metavar="NAMES", help="for the metadata")
    parser.set_defaults(run=new)


def _add_fill(actions: Any, common: argparse.ArgumentParser) -> None:
    text = "take trained weights into a bundle"
    parser = actions.add_parser("fill", parents=[common], help=text, description=text, allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="BUNDLE", help="bundle, is changed")
    parser.add_argument(
        "runs", type=Path, nargs="*", metavar="RUN", help="run or weights file, later ones win (default BUNDLE/runs)"
    )
    parser.set_defaults(run=fill)


def _add_pack(actions: Any, common: argparse.ArgumentParser) -> None:
    text = "check a bundle and write the zip that monai.bundle download and load take"
    parser = actions.add_parser("pack", parents=[common], help=text, description=text, allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="BUNDLE", help="bundle")
    parser.add_argument("--out", type=Path, metavar="ZIP", help="(default BUNDLE_vVERSION.zip here)")
    parser.set_defaults(run=pack)


def _add_update(actions: Any, common: argparse.ArgumentParser) -> None:
    text = "rewrite configurations of an earlier version to the names of today"
    parser = actions.add_parser("update", parents=[common], help=text, description=text, allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="BUNDLE", help="bundle, is changed")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, print what would change")
    parser.set_defaults(run=update)


def make(arguments: argparse.Namespace) -> int:
    """Run `semgan bundle make`."""
    from monai_semgan.authoring.make import make_bundle
    from monai_semgan.slicing.model_settings import find_settings

    folder = make_bundle(arguments.source, arguments.out, name=arguments.name, authors=arguments.authors)
    say(f"wrote {folder}")
    kept = find_settings(folder / "models")
    label = "LABEL.png" if kept is not None and kept.preprocessing.field_of_view == "image" else "LABEL.nii.gz"
    say(f"try: semgan segment SCAN --output {label} --bundle {folder}")
    return 0


def new(arguments: argparse.Namespace) -> int:
    """Run `semgan bundle new`."""
    from monai_semgan.authoring.create import create_bundle

    folder = create_bundle(
        arguments.folder,
        arguments.labels,
        arguments.modality,
        size=arguments.size,
        pixel_mm=arguments.pixel_mm,
        window=tuple(arguments.window) if arguments.window else None,
        authors=arguments.authors,
    )
    say(f"wrote {folder}")
    say(f"train it: {folder / 'docs' / 'README.md'}, section Train")
    return 0


def fill(arguments: argparse.Namespace) -> int:
    """Run `semgan bundle fill`."""
    from monai_semgan.authoring.fill import fill_bundle
    from monai_semgan.bundle.labels import CONFIG, WEIGHTS, read_json
    from monai_semgan.bundle.modes import MODES, modes_of

    folder = fill_bundle(arguments.folder, arguments.runs)
    say(f"wrote {folder / WEIGHTS}")
    whole = modes_of(read_json(folder / CONFIG)) == MODES
    say(f"try: semgan selfcheck {'' if whole else 'SCAN '}--bundle {folder}")
    return 0


def pack(arguments: argparse.Namespace) -> int:
    """Run `semgan bundle pack`."""
    from monai_semgan.authoring.checks import files_are_small
    from monai_semgan.authoring.pack import pack_bundle

    target = pack_bundle(arguments.folder, arguments.out)
    if large := files_are_small(arguments.folder):
        note(f"{large}: more than the model zoo takes into git")
    say(f"wrote {target}")
    name = arguments.folder.resolve().name  # without it MONAI 1.6 looks for the metadata in a folder called None
    say(f"try: python -m monai.bundle download --name {name} --url {target.resolve().as_uri()} --bundle_dir DIR")
    return 0


def update(arguments: argparse.Namespace) -> int:
    """Run `semgan bundle update`."""
    from monai_semgan.authoring.update import update_bundle

    changes = update_bundle(arguments.folder, dry_run=arguments.dry_run)
    for change in changes:
        say(str(change))
    files = sorted({change.file for change in changes})
    if not changes:
        say(f"{arguments.folder} is up to date")
    elif arguments.dry_run:
        say(f"would change {len(files)} files: {', '.join(files)}")
    else:
        say(f"changed {len(files)} files: {', '.join(files)}")
    return 0
