"""What the subcommands share: common options, bars, output lines."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.errors import SemganError
from monai_semgan.utils.progress import CancelToken, NullProgress, Progress
from monai_semgan.utils.progress_bar import BarProgress
from monai_semgan.utils.threads import VARIABLE

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume

EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_SOME_FAILED = 3
EXIT_INTERRUPTED = 130


def common_options() -> argparse.ArgumentParser:
    """Make a parser of the options that every subcommand has."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("general")
    group.add_argument("--quiet", action="store_true", help="no progress bar")
    group.add_argument("--debug", action="store_true", help="show tracebacks and library warnings")
    return parser


def model_options(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add options of the subcommands that use a trained model, or `several`."""
    told = "model bundle (default: the one that comes along)"
    if several:
        told = f"{told}; several times: a request chooses by name, the first is the default"
        parser.add_argument("--bundle", type=Path, action="append", default=[], metavar="DIR", help=told)
    else:
        parser.add_argument("--bundle", type=Path, metavar="DIR", help=told)
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default auto)")


def threads_option(parser: Any) -> None:
    """Add the option of the subcommands that compute."""
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help=f"processor threads (default: ${VARIABLE}, $OMP_NUM_THREADS, or the cores that are free)",
    )


def modality_name(text: str) -> str:
    """Parse an option that names a modality, in any spelling: `XR` is `DX`."""
    from monai_semgan.modalities import canonical_modality

    try:
        return canonical_modality(text)
    except SemganError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def modality_or_auto(text: str) -> str:
    """Parse an option that names a modality, or leaves it to file and values."""
    return text if text == "auto" else modality_name(text)


def positive_int(text: str) -> int:
    """Parse an option that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return value


def non_negative_int(text: str) -> int:
    """Parse an option that may be 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def name_list(text: str) -> list[str]:
    """Parse an option that takes names separated by commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("names separated by commas are expected")
    return names


for _type, _name in ((positive_int, "positive whole number"), (non_negative_int, "whole number")):
    _type.__name__ = _name  # argparse names the type in its message


def name_column(names: Iterable[str]) -> int:
    """Width of a column of structure names: that of the longest."""
    return max((16, *(len(name) for name in names)))


@contextlib.contextmanager
def bar(arguments: argparse.Namespace, note: str) -> Iterator[Progress]:
    """Show a progress bar that Ctrl-C stops in an orderly way; with --quiet only the latter."""
    with CancelToken(note) as token, BarProgress(token=token) as progress:
        yield _Silent(token) if arguments.quiet else progress


class _Silent(NullProgress):
    """Shows nothing, yet stops when asked to."""

    def __init__(self, token: CancelToken) -> None:
        self.token = token

    def should_stop(self) -> bool:
        """Tell whether Ctrl-C was pressed."""
        return self.token.cancelled


def say(line: str = "") -> None:
    """Print a line of the result on stdout."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """Print a remark on stderr."""
    sys.stderr.write(f"semgan: note: {line}\n")


def describe(volume: Volume) -> str:
    """Describe the grid of a volume in words."""
    shape = "x".join(str(n) for n in volume.array.shape)
    spacing = "x".join(f"{s:.2f}" for s in volume.spacing)
    return f"{shape} voxels of {spacing} mm" if volume.spacing_known else f"{shape} pixels of unknown size"
