"""The files of a folder or zip, found without leaving it, and opened one at a time."""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from monai_semgan.errors import SemganError, read_error
from monai_semgan.io.limits import FREE_BYTES, USUAL_INFLATION

MAX_FILES = 100_000
MAX_ZIP_BYTES = 64 << 30
MAX_ENTRY_BYTES = 8 << 30
MAGIC = slice(128, 132)
UNMARKED = (".dcm", ".ima", ".dicom")
"""Files with these endings are tried as DICOM even without its mark `DICM`."""

DAMAGED_ENTRY = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What zipfile raises for an entry that it cannot unpack."""

_follow: ContextVar[bool] = ContextVar("follow", default=False)


@contextmanager
def following_links(wanted: bool = True) -> Iterator[None]:
    """In a folder, read files through links wherever they lead, until the block ends; without it they are refused.

    Who sends a folder to a server could else have any file of the server read: only its own user may ask for it.
    """
    token = _follow.set(wanted)
    try:
        yield
    finally:
        _follow.reset(token)


@dataclass(frozen=True, eq=False)
class DicomFile:
    """A file in a folder, or in a zip that stays open.

    Args:
        path: what messages name; inside a zip the path of the zip and that of the entry.
        archive: the zip, if it is in one.
        entry: its name there.
    """

    path: Path
    archive: zipfile.ZipFile | None = None
    entry: str = ""

    def open(self) -> BinaryIO:
        """The content, seekable.

        Raises:
            SemganError: it cannot be read.
        """
        try:
            return open(self.path, "rb") if self.archive is None else io.BytesIO(self.archive.read(self.entry))
        except OSError as error:
            raise read_error(error, self.path) from error
        except DAMAGED_ENTRY as error:
            raise self._damaged() from error

    def start(self) -> bytes:
        """Read as many bytes as tell whether it is DICOM; fewer where there are no more.

        Raises:
            SemganError: it cannot be read.
        """
        try:
            with open(self.path, "rb") if self.archive is None else self.archive.open(self.entry) as stream:
                return stream.read(MAGIC.stop)
        except OSError as error:
            raise read_error(error, self.path) from error
        except DAMAGED_ENTRY as error:
            raise self._damaged() from error

    def _damaged(self) -> SemganError:
        return SemganError("this entry of the zip is damaged", remedy="copy it again", path=self.path)


def find_files(path: Path) -> list[DicomFile]:
    """All files in a folder with its subfolders, or in a zip, or the file itself; in order of name.

    Raises:
        SemganError: it cannot be read, leads out of the folder, or is a zip bomb.
    """
    if path.is_dir():
        return [DicomFile(file) for file in _walk(path, path.resolve())]
    if zipfile.is_zipfile(path):
        return _entries(path)
    if path.suffix.lower() == ".zip":
        raise SemganError("not a readable zip file, or it is cut off", remedy="copy it again", path=path)
    return [DicomFile(path)]


def _walk(folder: Path, root: Path) -> Iterator[Path]:
    """Files; links inside are skipped, since what they point to is found anyway."""
    found = 0
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError as error:
            raise read_error(error, current) from error
        for entry in entries:
            if entry.is_symlink() and Path(os.path.realpath(entry.path)).is_relative_to(root):
                continue
            if entry.is_symlink() and not (_follow.get() and entry.is_file()):
                raise SemganError("is a link that leaves the folder", remedy="copy what it points to", path=entry.path)
            if entry.is_dir():
                pending.append(Path(entry.path))
            elif entry.is_file():
                found += 1
                if found > MAX_FILES:
                    raise SemganError(
                        f"holds more than {MAX_FILES} files", remedy="give the folder of one examination", path=folder
                    )
                yield Path(entry.path)


def _entries(path: Path) -> list[DicomFile]:
    try:
        archive = zipfile.ZipFile(path)
        infos = [info for info in archive.infolist() if not info.filename.endswith(("/", "\\"))]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise SemganError("not a readable zip file, or it is cut off", remedy="copy it again", path=path) from error
    _check_bomb(path, infos)
    files = []
    for info in sorted(infos, key=lambda info: info.filename):
        _check_entry(path, info)
        files.append(DicomFile(path / _slashed(info), archive, info.filename))
    return files


def _check_bomb(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """zipfile gives out no more than the sizes that the entries declare, so these can be relied upon."""
    total = sum(info.file_size for info in infos)
    inflation = total / max(1, path.stat().st_size)
    if (
        len(infos) > MAX_FILES
        or total > MAX_ZIP_BYTES
        or any(info.file_size > MAX_ENTRY_BYTES for info in infos)
        or (total > FREE_BYTES and inflation > USUAL_INFLATION)
    ):
        raise SemganError(
            f"the zip would unpack to {total / 2**30:.1f} GB in {len(infos)} files: it may be a zip bomb",
            remedy="unpack it yourself if you trust it, and give the folder",
            path=path,
        )


def _check_entry(path: Path, info: zipfile.ZipInfo) -> None:
    name = PurePosixPath(_slashed(info))
    if name.is_absolute() or ".." in name.parts or PureWindowsPath(info.filename).drive:
        raise SemganError(f"the zip entry {info.filename!r} leaves the folder", remedy="make the zip anew", path=path)
    if stat.S_ISLNK(info.external_attr >> 16):
        raise SemganError(f"the zip entry {info.filename!r} is a link", remedy="make the zip anew", path=path)
    if info.flag_bits & 1:
        raise SemganError("the zip is protected by a password", remedy="unpack it, and give the folder", path=path)


def _slashed(info: zipfile.ZipInfo) -> str:
    """Name of an entry with the separators that the format wants; programs of Windows may write backslashes."""
    return info.filename.replace("\\", "/")
