"""`semgan pack`: from a training run to a bundle that `semgan segment` can use."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from monai_semgan.cli.common import name_list, say


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "pack",
        parents=[common],
        help="make a model bundle of a training run",
        description="Make a model bundle of one or several training runs, for --bundle of the other commands.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run or weights file; later ones win")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the bundle, is made")
    parser.add_argument("--labels", type=name_list, metavar="NAMES", help="names of the ids 1, 2, ..., with commas")
    parser.add_argument("--modality", choices=("CT", "MR", "DX"), default="CT", help="learnt from (default CT)")
    parser.add_argument("--name", help="of the bundle (default: name of the folder)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    from monai_semgan.packing import pack_bundle

    folder = pack_bundle(
        arguments.runs, arguments.out, labels=arguments.labels, modality=arguments.modality, name=arguments.name
    )
    say(f"wrote {folder}")
    say(f"try: semgan selfcheck --bundle {folder}")
    return 0
