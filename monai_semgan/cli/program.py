"""Entry point of `semgan`: parses, runs a subcommand and turns every trouble into one line and an exit code.

Exit codes: 0 done; 1 internal error; 2 wrong usage or input; 3 some scans of many failed; 130 stopped by Ctrl-C. What a
terminal cannot show, or nobody reads (`| head`), changes none of them: the work goes on and its files are written.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from monai_semgan._moved import OldNameWarning
from monai_semgan._version import __version__
from monai_semgan.cli import (
    bundle,
    calibrate,
    correct,
    evaluate,
    info,
    learn,
    plan,
    sample,
    segment,
    selfcheck,
    send,
    serve,
    train,
    watch,
)
from monai_semgan.cli.arguments import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE, common_options
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.io.lean_nibabel import import_nibabel
from monai_semgan.utils.terminal import protected_streams
from monai_semgan.utils.threads import prepare_threads

COMMANDS = (
    segment,
    correct,
    evaluate,
    selfcheck,
    sample,
    info,
    plan,
    train,
    learn,
    bundle,
    calibrate,
    serve,
    send,
    watch,
)

DESCRIPTION = """\
Segment CT and MRI volumes with a joint generative model of images and labels.

  semgan segment scan.nii.gz --output organs.nii.gz     segment a scan
  semgan correct scan.nii.gz --label organs.nii.gz --strokes drawn.nii.gz --out better.nii.gz
  semgan selfcheck                                      does it work here? needs no data
  semgan sample --out generated                         labelled synthetic images and a volume
  semgan evaluate --data list.json --out scores         Dice, distances, volumes against labels
  semgan info                                           versions, device, model, measured quality
  semgan plan datalist.json --out run                   look at your own data before training
  semgan train all --out run --budget 4h                train as planned
  semgan learn scans --structure aorta --versions kept  teach the model a structure in minutes
  semgan bundle make run                                a model bundle of a run; pack hands it on
  semgan serve studies                                  serve MONAI Label clients and 3D Slicer
  semgan send organs.dcm dicomweb:https://pacs/rs       results to an archive
  semgan watch incoming --output organs                 segment what arrives in a folder or archive
"""


PYTHONS_FORMAT = warnings.formatwarning


class OneLineParser(argparse.ArgumentParser):
    """Reports wrong usage like every other error: in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Leave with one line that names the problem and where to find help."""
        self.exit(EXIT_USAGE, f"semgan: error: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = OneLineParser(
        prog="semgan", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"semgan {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS:
        command.add_parser(commands, common_options())
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `semgan` with the arguments of the process or of `argv`.

    Returns:
        The exit code.
    """
    with protected_streams() as stdout:
        code = _run(argv)
        stdout.flush()
        if code == 0 and stdout.lost is not None:
            return _fail(f"standard output cannot be written: {stdout.lost.strerror}; files are complete", EXIT_USAGE)
    return code


def _run(argv: Sequence[str] | None) -> int:
    """Run a subcommand, and tell its trouble."""
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else EXIT_USAGE
    _quieten(arguments.debug)
    try:
        if "threads" in arguments:  # before anything loads PyTorch
            prepare_threads(arguments.threads, lasting=arguments.command == "train")
            import_nibabel()
        return int(arguments.run(arguments))
    except (KeyboardInterrupt, Cancelled) as stop:
        return _fail(f"interrupted; {str(stop) or 'nothing was written'}", EXIT_INTERRUPTED, prefix="semgan")
    except Exception as error:
        if arguments.debug:
            raise
        return _fail(*_explained(error))


def _explained(error: Exception) -> tuple[str, int]:
    """One line and the exit code for an exception."""
    if isinstance(error, SemganError):
        return str(error), EXIT_USAGE
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory; use a smaller --batch-size, or --device cpu if it was the GPU's", EXIT_INTERNAL
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}; check the path, the permissions and the free space", EXIT_USAGE
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"internal error: {what[:300]}; run again with --debug for the traceback and report it", EXIT_INTERNAL


def _fail(line: str, code: int, prefix: str = "semgan: error") -> int:
    sys.stderr.write(f"{prefix}: {line}\n")
    return code


def _formatted(message: Warning | str, category: type[Warning], *place: Any) -> str:
    """Give the text of a warning: old names in one line of the command's own, others as Python does."""
    if issubclass(category, OldNameWarning):
        return f"semgan: note: {message}\n"
    return PYTHONS_FORMAT(message, category, *place)


def _quieten(debug: bool) -> None:
    """Show warnings of libraries, which are for developers, with --debug only; what a bundle tells stays."""
    logging.basicConfig(
        level=logging.INFO if debug else logging.WARNING, format="semgan: %(message)s", stream=sys.stderr
    )
    if not debug:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("once", category=OldNameWarning)
        warnings.formatwarning = _formatted  # type: ignore[assignment]
        logging.getLogger("monai").setLevel(logging.ERROR)
        logging.getLogger("nibabel").setLevel(logging.CRITICAL)
