"""Who asks an archive: user and password or a token, and the certificate authority that is trusted.

Everything stands in the environment, so that the processes of a cohort find it as well, and no list of processes shows
it; the command line puts there what its options say.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from monai_semgan.errors import SemganError
from monai_semgan.utils.foreign_text import read_foreign_text

USER, PASSWORD, TOKEN, AUTHORITY = (f"SEMGAN_ARCHIVE_{name}" for name in ("USER", "PASSWORD", "TOKEN", "CA"))
"""Variables of the environment."""


@dataclass(frozen=True)
class ArchiveAccess:
    """What an archive is told, and what is believed.

    Args:
        user: name, with a password.
        password: of the user.
        token: instead of both, sent as `Authorization: Bearer`.
        authority: PEM file of the certificate authority; those that browsers trust when left out.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    authority: Path | None = None

    def __post_init__(self) -> None:
        if self.user is not None and self.token is not None:
            raise SemganError("both a user and a token are given for the archive", remedy="use one of the two")
        if (self.user is None) != (self.password is None):
            raise SemganError(
                "of user and password for the archive one is missing",
                remedy=f"give --archive-user and --archive-password-file, or ${USER} and ${PASSWORD}",
            )
        for secret in (self.user, self.password, self.token):
            if secret is not None and not (secret.isprintable() and secret):
                raise SemganError(
                    "user, password or token for the archive is empty or holds a line break",
                    remedy="copy it again, on one line",
                )
        if self.token is not None and not (self.token.isascii() and " " not in self.token):
            raise SemganError("the token for the archive holds what no token can", remedy="copy it again")
        if self.authority is not None:
            _check_authority(self.authority)

    def to_environment(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Put it where this process and those that it starts find it, in place of what stands there."""
        authority = None if self.authority is None else self.authority.absolute()
        values = (self.user, self.password, self.token, authority)
        for name, value in zip((USER, PASSWORD, TOKEN, AUTHORITY), values, strict=True):
            environment.pop(name, None)
            if value is not None:
                environment[name] = str(value)


def read_access(
    user: str | None = None,
    password_file: Path | None = None,
    token_file: Path | None = None,
    authority: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> ArchiveAccess:
    """Return what options say, and where they say nothing, the environment.

    Raises:
        SemganError: a file cannot be read, or what is given makes no sense.
    """
    kept = {name: environment.get(name) or None for name in (USER, PASSWORD, TOKEN, AUTHORITY)}
    if user is not None or token_file is not None:  # of two ways the one of the command line
        kept = {AUTHORITY: kept[AUTHORITY], PASSWORD: kept[PASSWORD] if user is not None else None}
    return ArchiveAccess(
        user or kept.get(USER),
        _secret(password_file) or kept.get(PASSWORD),
        _secret(token_file) or kept.get(TOKEN),
        authority or (Path(told) if (told := kept.get(AUTHORITY)) else None),
    )


def _check_authority(path: Path) -> None:
    if not path.is_file():
        raise SemganError("no such certificate", remedy="give a PEM file with --archive-ca", path=path)
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # of what is in it as well
        raise SemganError("holds no certificate", remedy="give a PEM file with --archive-ca", path=path) from error


def _secret(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        secret = read_foreign_text(path).strip()
    except (OSError, SemganError) as error:
        raise SemganError("cannot be read", remedy="give a text file with the password or token", path=path) from error
    if not secret:
        raise SemganError("is empty", remedy="write the password or token into it", path=path)
    return secret
