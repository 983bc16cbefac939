"""Options of the subcommands that talk to an archive, and arguments that name one."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.arguments import bar, note, say
from monai_semgan.dicomweb.archive_address import MARK, QUERY_RETRIEVE, ArchiveAddress, parse_address
from monai_semgan.errors import Cancelled, SemganError

if TYPE_CHECKING:
    from monai_semgan.dicomweb.archive_series import ArchiveSeries

OTHERS_TOLD = 6


def scan_source(text: str) -> Path | ArchiveAddress:
    """Parse an argument that names a file, a folder, or an address of DICOMweb."""
    if not text.lower().startswith((MARK, *QUERY_RETRIEVE)):
        return Path(text)
    try:
        return parse_address(text)
    except SemganError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def archive_options(parser: argparse.ArgumentParser, sending: bool = True) -> None:
    """Add options that say who asks the archive."""
    group = parser.add_argument_group("archives (DICOMweb); also by $SEMGAN_ARCHIVE_USER, _PASSWORD, _TOKEN and _CA")
    group.add_argument("--archive-user", metavar="NAME", help="user of the archive")
    group.add_argument("--archive-password-file", type=Path, metavar="FILE", help="holds the user's password")
    group.add_argument("--archive-token-file", type=Path, metavar="FILE", help="holds a token (Bearer) instead")
    group.add_argument("--archive-ca", type=Path, metavar="PEM", help="certificate authority of an https archive")
    if sending:
        group.add_argument("--send", action="store_true", help="store results in DICOM in the archive of the scan")


def use_access(arguments: argparse.Namespace) -> None:
    """Put what the options say where this process and its children find it.

    Raises:
        SemganError: they make no sense.
    """
    from monai_semgan.dicomweb.archive_access import read_access

    access = read_access(
        arguments.archive_user,
        arguments.archive_password_file,
        arguments.archive_token_file,
        arguments.archive_ca,
    )
    access.to_environment()


@contextmanager
def scan_folder(arguments: argparse.Namespace) -> Iterator[Path]:
    """Give the scan of the command; of an archive its largest series, or that of `--series`, in a temporary folder.

    Raises:
        SemganError: the archive does not give it.
        Cancelled: Ctrl-C was pressed.
    """
    source = arguments.input
    if isinstance(source, Path):
        yield source
        return
    from monai_semgan.dicomweb.archive import Archive
    from monai_semgan.dicomweb.series_download import fetch_series

    archive = Archive(source)
    series = _chosen(archive.list_series(), source, arguments.series)
    folder = Path(tempfile.mkdtemp(prefix="semgan-"))
    try:
        with bar(arguments, "stopping") as progress:

            def tell(done: int, total: int) -> None:
                progress.update(done, total, "fetching image")
                if progress.should_stop():
                    raise Cancelled("nothing was written")

            fetch_series(archive, series, folder, tell)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _chosen(listed: list[ArchiveSeries], source: ArchiveAddress, wanted: str | None) -> ArchiveSeries:
    """Take the series of a number or UID, or else the one with most images, as in a folder."""
    found = [one for one in listed if wanted is None or one.is_called(wanted.partition("/")[0])]
    if not found:
        there = "; ".join(one.line for one in listed[:OTHERS_TOLD])
        what = f"has no series {wanted} there" if listed else "has no CT or MR series there"
        raise SemganError(
            f"the archive {source.host} {what}", remedy=f"there are {there}" if there else "check the UIDs"
        )
    found.sort(key=lambda one: -(one.images or 0))
    if len({one.study for one in found}) > 1:
        raise SemganError(
            f"the address fits series of {len({one.study for one in found})} studies",
            remedy="add StudyInstanceUID=..., or give a folder as OUT for all of them",
        )
    others = "; ".join(one.line for one in found[1:][:OTHERS_TOLD])
    if others:
        note(f"series {found[0].line} is taken, the largest; there are also {others}: --series chooses")
    return found[0]


def send_files(source: ArchiveAddress, files: list[Path]) -> None:
    """Store DICOM results in an archive, and say so.

    Raises:
        SemganError: it does not take one; the message says how to send it again.
    """
    from monai_semgan.dicomweb.archive import Archive
    from monai_semgan.dicomweb.archive_errors import ArchiveError

    archive = Archive(source)
    for file in files:
        try:
            sent = archive.store(file)
        except ArchiveError as error:
            again = f"semgan send {file} {MARK}{source.url}"
            remedy = f"{error.remedy}; {file} is kept, send it again: {again}" if error.remedy else f"again: {again}"
            raise SemganError(error.problem, remedy=remedy) from error
        say(f"sent {file} to {source.host}" if sent else f"{source.host} has {file} already")


def refuse_sending(arguments: argparse.Namespace, files: list[Any]) -> None:
    """Refuse `--send` where nothing can be sent.

    Raises:
        SemganError: the scan is of no archive, or no result is DICOM.
    """
    if not arguments.send:
        return
    refuse_files_to_send(arguments)
    if not any(str(file).lower().endswith((".dcm", "rtstruct")) for file in files if file is not None):
        raise SemganError("an archive takes DICOM", remedy="give an OUT that ends in .dcm or rtstruct")


def refuse_files_to_send(arguments: argparse.Namespace) -> None:
    """Refuse `--send` where scans are files.

    Raises:
        SemganError: they are.
    """
    if arguments.send and isinstance(arguments.input, Path):
        raise SemganError("--send is for scans of an archive", remedy="send files with semgan send")
