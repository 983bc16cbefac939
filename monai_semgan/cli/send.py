"""`semgan send`: DICOM results to an archive, each once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from monai_semgan.cli.archive_options import archive_options, scan_source, send_files, use_access
from monai_semgan.errors import SemganError

EPILOG = """\
An object that the archive has already is not sent again, so the same command can be repeated after a failure.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "send",
        parents=[common],
        help="store DICOM results in an archive (DICOMweb)",
        description="Store DICOM results in an archive that speaks DICOMweb.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help=".dcm files that semgan has written")
    parser.add_argument("archive", type=scan_source, metavar="dicomweb:URL", help="root of DICOMweb of the archive")
    archive_options(parser, sending=False)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Send the files, one after the other."""
    if isinstance(arguments.archive, Path):
        raise SemganError(
            f"{arguments.archive} is no address of DICOMweb",
            remedy="give it last, such as dicomweb:http://host/dicom-web",
        )
    missing = next((file for file in arguments.files if not file.is_file()), None)
    if missing is not None:
        raise SemganError("no such file", path=missing)
    use_access(arguments)
    send_files(arguments.archive, arguments.files)
    return 0
