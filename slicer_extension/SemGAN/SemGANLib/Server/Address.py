"""Addresses of servers: how they are typed, and whether they are on this computer."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..Translation import tr as _
from .Errors import WrongAddress

DEFAULT_ADDRESS = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        secure: https.
        path: begins with `/` or is empty; before that of every request.
    """

    host: str
    port: int
    secure: bool = False
    path: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path}"

    @property
    def local(self) -> bool:
        """Whether it names this computer: what is sent there does not leave it."""
        if self.host.lower() in ("localhost", "localhost."):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def read_address(text: str) -> Address:
    """Read what the user typed: `host`, `host:port` or a whole `https://host:port/path`.

    Raises:
        WrongAddress: if it is none.
    """
    typed = text.strip()
    try:
        parts = urlsplit(typed if "://" in typed else f"http://{typed}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong(typed) from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
        raise _wrong(typed)
    if any(character.isspace() or ord(character) < 33 for character in host + parts.path):
        raise _wrong(typed)
    secure = parts.scheme == "https"
    return Address(host, port or (443 if secure else 8000), secure, parts.path.rstrip("/"))


def _wrong(typed: str) -> WrongAddress:
    return WrongAddress(
        _("“{typed}” is no address of a server. It looks like this: {example}").format(
            typed=typed, example=DEFAULT_ADDRESS
        )
    )
