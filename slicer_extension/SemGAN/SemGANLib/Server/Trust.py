"""Which certificates of https servers are trusted."""

from __future__ import annotations

import ssl
from pathlib import Path

from ..Translation import tr as _
from .Errors import WrongCertificate, unreadable_certificate

PARTIAL_CHAIN, STRICT = 0x80000, 0x20
"""Flags of OpenSSL: `ssl.VERIFY_X509_PARTIAL_CHAIN`, which Python names since 3.10, and `ssl.VERIFY_X509_STRICT`."""

LARGEST_FILE = 4 * 2**20


def trusting(certificate: str = "") -> ssl.SSLContext:
    """Make a context that trusts the application's authorities, and a file if one is named.

    A file that the user has named is trusted for what is in it: the certificate of an authority or of the server
    itself, also where it lacks fields that authorities of the internet must have.

    Args:
        certificate: file with one or more certificates, PEM or DER; empty for none.

    Raises:
        WrongCertificate: if it cannot be read or holds none.
    """
    context = ssl.create_default_context()
    if certificate:
        context.load_verify_locations(cadata=_content(certificate))
        context.verify_flags = (context.verify_flags | PARTIAL_CHAIN) & ~STRICT
    return context


def _content(certificate: str) -> str | bytes:
    try:
        path = Path(certificate).expanduser()
        if path.exists() and not path.is_file():
            raise unreadable_certificate(certificate, _("it is not a file"))
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except (OSError, ValueError, RuntimeError) as error:
        raise unreadable_certificate(certificate, getattr(error, "strerror", None) or str(error)) from None
    pem = b"-----BEGIN CERTIFICATE-----" in content or b"-----BEGIN TRUSTED CERTIFICATE-----" in content
    data = content.decode("ascii", "replace") if pem else content
    try:
        if len(content) > LARGEST_FILE:
            raise ValueError
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=data)
    except (ssl.SSLError, ValueError):
        raise _none_in(certificate, content) from None
    return data


def _none_in(certificate: str, content: bytes) -> WrongCertificate:
    key = b"PRIVATE KEY-----" in content
    return unreadable_certificate(certificate, _("it holds a key") if key else _("it holds no certificate"))
