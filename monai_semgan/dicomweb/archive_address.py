"""Addresses of archives, and of what is wanted from them: `dicomweb:URL?StudyInstanceUID=...`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from monai_semgan.errors import SemganError

MARK = "dicomweb:"
"""What an address begins with where a path could stand."""

EXAMPLE = "dicomweb:http://127.0.0.1:8042/dicom-web?StudyInstanceUID=1.2.3"
UID_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID")
QUERY_RETRIEVE = ("dimse:", "dicom:", "pacs:")
"""What addresses of DICOM Q/R begin with."""


@dataclass(frozen=True)
class ArchiveAddress:
    """The root of DICOMweb in an archive, and what series have to match.

    Args:
        url: root, without a slash at its end.
        wanted: pairs of a DICOM keyword and its value, such as `("StudyInstanceUID", "1.2.3")`.
    """

    url: str
    wanted: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        query = f"?{urlencode(self.wanted)}" if self.wanted else ""
        return f"{MARK}{self.url}{query}"

    @property
    def host(self) -> str:
        """Host and port, as messages name the archive."""
        return urlsplit(self.url).netloc

    def uid(self, keyword: str) -> str | None:
        """Return the UID asked for under a keyword."""
        return dict(self.wanted).get(keyword)

    def of(self, wanted: Mapping[str, str]) -> ArchiveAddress:
        """Return the address of what matches this and more, or other values of the same keywords."""
        return ArchiveAddress(self.url, tuple({**dict(self.wanted), **wanted}.items()))


def is_address(text: str) -> bool:
    """Tell whether an argument is an address of DICOMweb and no path."""
    return text.lower().startswith(MARK)


def parse_address(text: str) -> ArchiveAddress:
    """Read `dicomweb:URL?KEYWORD=VALUE&...`; the mark may be left out where nothing but an address can stand.

    Raises:
        SemganError: it is none, names a password, or asks for what is no attribute of DICOM.
    """
    if text.lower().startswith(QUERY_RETRIEVE):
        raise SemganError(
            "DICOM Q/R (C-FIND, C-MOVE) is not offered",
            remedy=f"give the address of DICOMweb, such as {EXAMPLE}; most archives have one",
        )
    plain = text[len(MARK) :] if is_address(text) else text
    try:
        text.encode()  # names of files may hold what no text can, and a shell puts them here
        parts = urlsplit(plain)
        known = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known, parts = False, urlsplit("")
    if parts.scheme.lower() not in ("http", "https") or not known or parts.fragment:
        raise SemganError(f"{_shown(plain)} is no address of DICOMweb", remedy=f"give one such as {EXAMPLE}")
    if parts.username is not None or parts.password is not None:
        raise SemganError(
            "the address holds a name or password, which lists of processes and logs show to others",
            remedy="use --archive-user and --archive-password-file",
        )
    url = urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/"), "", ""))
    return ArchiveAddress(url, _wanted(parts.query))


def _wanted(query: str) -> tuple[tuple[str, str], ...]:
    from pydicom.datadict import tag_for_keyword  # noqa: PLC0415 - its dictionary takes a while

    pairs = parse_qsl(query, keep_blank_values=True)
    for keyword, value in pairs:
        if not keyword or tag_for_keyword(keyword) is None:  # some numbers have no keyword
            raise SemganError(
                f"{keyword or 'nothing'} is no attribute of DICOM",
                remedy=f"ask by keywords, such as {', '.join(UID_KEYWORDS)}, Modality, PatientID, StudyDate",
            )
        if not value or (keyword in UID_KEYWORDS and not is_uid(value)):
            raise SemganError(f"{keyword} has no value that it could have", remedy="copy it from the viewer")
    if len({keyword for keyword, _ in pairs}) < len(pairs):
        raise SemganError("the address asks for one attribute twice", remedy="give one value")
    return tuple(pairs)


def is_uid(text: object) -> bool:
    """Tell whether this can be a UID, which becomes a part of addresses and names of files."""
    return isinstance(text, str) and len(text) <= 64 and re.fullmatch(r"[0-9][0-9.]*", text) is not None


def _shown(text: str) -> str:
    """Return an address without what may be a password, or the name of a patient."""
    return text.partition("?")[0] if "@" not in text and text.isprintable() else "this"
