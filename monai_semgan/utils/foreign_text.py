"""Text that other programs and people have written, taken as they write it.

Windows' editors put a mark of their encoding first, PowerShell's `>` writes UTF-16, macOS takes letters with accents
apart in file names, and tables turn numbers into `1.0` and gaps into NaN.
"""

from __future__ import annotations

import codecs
import json
import math
import os
import sys
import unicodedata
from pathlib import Path, PureWindowsPath
from typing import Any

from monai_semgan.errors import SemganError, read_error

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as the mark of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Bytes at the start of a text that tell its encoding."""


def read_foreign_text(path: Path) -> str:
    """Read text in UTF-8, or in the encoding that its mark tells.

    Raises:
        OSError: it cannot be read.
        SemganError: it is in another encoding.
    """
    content = path.read_bytes()
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), None)
    if encoding is None:
        encoding = json.detect_encoding(content[:4]) if len(content) > 3 else "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        what = f"line {line} is not {encoding.removesuffix('-sig').upper()} text"
        raise SemganError(what, remedy="save the file in UTF-8", path=path) from error


def read_foreign_json(path: Path, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: of the file.
        what: it should be, for the message when it is missing.

    Raises:
        SemganError: it cannot be read, is no JSON, or gives a name two values in one object.
    """
    try:
        return json.loads(read_foreign_text(path), object_pairs_hook=_each_once)
    except FileNotFoundError:
        raise SemganError(f"no such {what}", remedy="check the path", path=path) from None
    except OSError as error:
        raise read_error(error, path) from error
    except SemganError as error:
        raise SemganError(f"not a JSON file ({error.problem})", remedy=error.remedy, path=path) from error
    except _Twice as twice:
        problem = f'"{twice}" stands twice in one object, and only the last would count'
        raise SemganError(problem, remedy="make one of both", path=path) from None
    except (ValueError, RecursionError) as error:
        raise SemganError(f"not a JSON file ({error})", remedy="correct the file", path=path) from error


class _Twice(Exception):
    """A name that stands twice in an object."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(name)
        found[name] = value
    return found


def listed_path(name: str, folder: Path) -> Path:
    """Find the file that a text means: as it is written, or with letters and accents composed as on its disk.

    Args:
        name: absolute, or relative to the folder; `~` is the home.
        folder: where relative names start.

    Returns:
        The path; as it is written where there is no such file.
    """
    written = folder / Path(_as_on_disk(name)).expanduser()
    if name.isascii() or written.exists():
        return written
    others = (folder / Path(_as_on_disk(unicodedata.normalize(form, name))).expanduser() for form in ("NFC", "NFD"))
    return next((path for path in others if path.exists()), written)


def _as_on_disk(name: str) -> str:
    """Turn text into the file name of the same bytes, where names are not in UTF-8 by the system's settings."""
    if os.name != "posix" or sys.getfilesystemencoding().lower() in ("utf-8", "utf8"):
        return name
    try:
        return os.fsdecode(name.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # no name of any file
        return name


def is_windows_path(name: str) -> bool:
    """Tell whether a file name is one of Windows, which other systems cannot find."""
    return os.name != "nt" and ("\\" in name or bool(PureWindowsPath(name).drive))


def listed_text(value: Any) -> str | None:
    """Read a name that may be a number: `1`, `1.0` and `"1"` are one name, None and NaN are none.

    Returns:
        The name, empty if there is none; None if the value cannot be a name.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return unicodedata.normalize("NFC", str(value)).strip()
