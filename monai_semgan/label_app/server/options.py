"""What a person chooses when starting the server; nothing heavy is imported here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.errors import SemganError
from monai_semgan.utils.foreign_text import read_foreign_text
from monai_semgan.utils.hosts import is_loopback

OPEN_SENTENCE = "anyone who reaches this computer may read and write these studies"
"""What `--open-without-key` wants to read."""

MIN_KEY_LENGTH = 16
MEGABYTE = 1 << 20
GIGABYTE = 1 << 30

ARCHIVE_ALSO = ("rtstruct", "report")
"""What an archive can get besides the segmentation."""


@dataclass(frozen=True)
class ServerOptions:
    """Settings of a server.

    Args:
        studies: folder with the scans, or address of the archive that has them.
        labels: folder for labels, jobs and sessions, where nothing is to be written into the studies; theirs when
            left out, and for an archive `archive_home`.
        host: address to listen on.
        port: 0 for any free one; when left out 8000, or the next free one.
        bundles: model bundles, the default one first; the one that comes with the package when left out.
        device: as `semgan segment --device`.
        api_key: what clients must send; None for an open server.
        upload_limit_mb: largest body of a request, in 2^20 bytes.
        keep_hours: after this time an ended job and its files are removed.
        disk_limit_gb: jobs and uploads take at most this, in 2^30 bytes.
        allow_origins: web pages that may ask, such as `https://viewer.example`.
        open_without_key: whether an address other than loopback may be served without a key.
        as_json: whether the address is announced as JSON.
        archive_cache_gb: series that were fetched from an archive take at most this, in 2^30 bytes.
        archive_cache_hours: after this time without use they are forgotten.
        archive_also: what is sent to the archive besides the segmentation, of `ARCHIVE_ALSO`.
    """

    studies: Path | ArchiveAddress
    labels: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    bundles: tuple[Path, ...] = ()
    device: str = "auto"
    api_key: str | None = field(default=None, repr=False)
    upload_limit_mb: int = 2048
    keep_hours: float = 24.0
    disk_limit_gb: float = 20.0
    allow_origins: tuple[str, ...] = ()
    open_without_key: bool = False
    as_json: bool = False
    archive_cache_gb: float = 20.0
    archive_cache_hours: float = 24.0
    archive_also: tuple[str, ...] = ()

    @property
    def home(self) -> Path:
        """Folder that is written to: labels, and what the server keeps."""
        if self.labels is not None:
            return self.labels
        return self.studies if isinstance(self.studies, Path) else archive_home(self.studies)

    @property
    def name(self) -> str:
        """What people call the studies."""
        return self.studies.name if isinstance(self.studies, Path) else self.studies.host

    @property
    def private(self) -> Path:
        """Folder that the server keeps its own files in."""
        return self.home / ".semgan"

    @property
    def port_file(self) -> Path:
        """Holds the port of the last start."""
        return self.private / "port"

    @property
    def log_file(self) -> Path:
        """The server's log."""
        return self.private / "server.log"


def archive_home(address: ArchiveAddress) -> Path:
    """Return the folder for labels of an archive's scans, one for each archive, among the user's own data."""
    place = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_DATA_HOME")
    root = Path(place) if place else Path.home() / ".local" / "share"
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", address.url.partition("://")[2])
    return root / "monai_semgan" / "archives" / plain


def check_access(options: ServerOptions, tokens: bool) -> None:
    """Make sure that nobody opens the studies to a network by mistake.

    Args:
        options: of the server.
        tokens: whether MONAI Label's own check of tokens is on.

    Raises:
        SemganError: the address is no loopback one and nothing guards it; or two ways of access were mixed.
    """
    if tokens and options.api_key is not None:
        raise SemganError(
            "both an API key and MONAI_LABEL_AUTH_ENABLE are set", remedy="choose one of the two ways of access"
        )
    guarded = tokens or options.api_key is not None
    if not is_loopback(options.host) and not guarded and not options.open_without_key:
        raise SemganError(
            f"{options.host} can be reached from other computers and no key is set",
            remedy=f'give --api-key-file FILE, or --open-without-key "{OPEN_SENTENCE}"',
        )


def read_key(path: Path | None, environment: str | None) -> str | None:
    """Return the API key, from a file or else from the environment.

    Raises:
        SemganError: the file cannot be read, or the key is too short or cannot stand in a header.
    """
    if path is None and not environment:
        return None
    try:
        key = (environment or "") if path is None else read_foreign_text(path)
    except (OSError, SemganError) as error:
        raise SemganError("the key cannot be read", remedy="give a text file with the key in it", path=path) from error
    key = key.strip()
    if len(key) < MIN_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
        raise SemganError(
            f"a key has at least {MIN_KEY_LENGTH} characters, all of ASCII, without spaces",
            remedy="make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'",
            path=path,
        )
    return key
