"""Servers with certificates of their own, reached from 3D Slicer, whose launcher names its own authorities."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from SemGANLib.Server import Errors
from SemGANLib.Server.Client import Client
from SemGANLib.Types.ServerTypes import Access

from tests.slicer_extension.server.servers import Secure, make_certificate


@pytest.fixture
def slicer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for certificates, in an application whose launcher has set $SSL_CERT_FILE to its own."""
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate(tmp_path, "slicer")))
    return tmp_path


def as_der(path: Path) -> Path:
    """Write a certificate in the other usual form."""
    other = path.with_suffix(".cer")
    other.write_bytes(ssl.PEM_cert_to_DER_cert(path.read_text()))
    return other


def with_text_around(path: Path) -> Path:
    """Write a certificate as tools do that tell about it first."""
    other = path.with_suffix(".txt")
    other.write_text(f"Issuer: the hospital\n\n{path.read_text()}\nend\n")
    return other


@pytest.mark.parametrize("written", [lambda path: path, as_der, with_text_around])
def test_a_server_is_trusted_by_the_file_of_its_certificate(slicer, written):
    own = make_certificate(slicer, "server")
    with Secure(own) as address:
        assert Client(address, Access(certificate=str(written(own)))).health().ready


@pytest.mark.parametrize("named", ["authority", "server"])
def test_a_server_is_trusted_by_its_authority_or_by_itself(slicer, named):
    make_certificate(slicer, "authority")
    with Secure(make_certificate(slicer, "server", issuer="authority")) as address:
        assert Client(address, Access(certificate=str(slicer / f"{named}.pem"))).health().ready


def test_the_authorities_of_the_application_are_trusted_as_before(slicer):
    other = make_certificate(slicer, "other")
    with Secure(Path(os.environ["SSL_CERT_FILE"])) as address:
        assert Client(address, Access(certificate=str(other))).health().ready
        assert Client(address).health().ready


def test_without_the_file_the_advice_is_one_that_works_in_slicer(slicer):
    with Secure(make_certificate(slicer, "server")) as address, pytest.raises(Errors.NotTrusted) as caught:
        Client(address).health()
    assert "choose it under Server, Log-in and certificate" in str(caught.value)
    assert "SSL_CERT_FILE is of no use" in str(caught.value)


def test_another_certificate_than_the_servers_is_named_as_the_reason(slicer):
    other = make_certificate(slicer, "other")
    with Secure(make_certificate(slicer, "server")) as address, pytest.raises(Errors.NotTrusted, match=str(other)):
        Client(address, Access(certificate=str(other))).health()


def test_a_certificate_for_another_name_is_not_asked_for_again(slicer):
    own = make_certificate(slicer, "server", host="radiology.example")
    with Secure(own) as address, pytest.raises(Errors.NotTrusted, match="for another name") as caught:
        Client(address, Access(certificate=str(own))).health()
    assert "choose it" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "no certificate"),
        (b"not a certificate", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", "no certificate"),
        (b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", "it holds a key"),
        (bytes(5 * 2**20), "no certificate"),
    ],
)
def test_a_file_that_is_no_certificate_is_refused_with_the_reason(slicer, content, reason):
    path = slicer / "wrong.pem"
    if content is not None:
        path.write_bytes(content)
    client = Client("https://localhost:9", Access(certificate=str(path)))
    with pytest.raises(Errors.WrongCertificate, match=reason):
        client.health()


def test_what_is_no_file_is_not_waited_for(slicer):
    os.mkfifo(slicer / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(Errors.WrongCertificate, match="not a file"):
            Client("https://localhost:9", Access(certificate=str(slicer / name))).health()
