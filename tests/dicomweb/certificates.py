"""Certificates of an authority that exists for one test, made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


@dataclass(frozen=True)
class Certificates:
    """Of a server on 127.0.0.1, signed by an authority that no system trusts.

    Attributes:
        authority: what clients are told to trust, PEM.
        server: certificate and key in one file, PEM.
    """

    authority: Path
    server: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority, and a certificate of it for 127.0.0.1 and localhost."""
    authority, signing_key = folder / "authority.pem", folder / "authority.key"
    certificate, key = folder / "certificate.pem", folder / "certificate.key"
    _request(authority, signing_key, "/CN=Authority of a test")
    _request(
        certificate,
        key,
        "/CN=127.0.0.1",
        *("-CA", str(authority), "-CAkey", str(signing_key)),
        *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"),
    )
    server = folder / "server.pem"
    server.write_text(certificate.read_text() + key.read_text())
    return Certificates(authority, server)


def _request(certificate: Path, key: Path, subject: str, *more: str) -> None:
    command = ["openssl", "req", "-x509", *KEY, "-subj", subject, "-keyout", str(key), "-out", str(certificate), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
