"""Who asks an archive, and which archive is believed: by options, by the environment, and with a real Orthanc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_access import AUTHORITY, PASSWORD, TOKEN, USER, ArchiveAccess, read_access
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.series_download import fetch_series
from monai_semgan.errors import SemganError
from tests.dicomweb.archive_refusals import nothing_told
from tests.dicomweb.certificates import Certificates, make_certificates
from tests.dicomweb.nginx import needs_nginx
from tests.dicomweb.orthanc import Orthanc, needs_orthanc
from tests.dicomweb.phantom_series import write_ct

SECRET = "pass:wörd of a test"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A password, a token and an authority, as files."""
    (tmp_path / "password").write_text(f"{SECRET}\n", encoding="utf-8")
    (tmp_path / "token").write_bytes(b"\xef\xbb\xbfeyJ0.token\r\n")
    return {"password": tmp_path / "password", "token": tmp_path / "token"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def guarded(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An Orthanc with a password and HTTPS, and a CT in it."""
    folder = tmp_path_factory.mktemp("guarded")
    with Orthanc(folder, user=("reader", SECRET), certificates=certificates) as server:
        server.store([write_ct(folder / "ct", spacing=(30.0, 30.0, 60.0))])
        yield server


def test_nothing_need_be_told() -> None:
    assert read_access(environment={}) == ArchiveAccess()
    assert read_access(environment={USER: "", PASSWORD: "", TOKEN: "", AUTHORITY: ""}) == ArchiveAccess()


def test_user_and_password_come_from_options_or_the_environment(files: dict[str, Path]) -> None:
    told = ArchiveAccess("reader", SECRET)
    assert read_access("reader", files["password"], environment={}) == told
    assert read_access(environment={USER: "reader", PASSWORD: SECRET}) == told
    assert read_access("reader", environment={USER: "other", PASSWORD: SECRET}) == told
    assert read_access(password_file=files["password"], environment={USER: "reader", PASSWORD: "other"}) == told
    assert read_access("reader", files["password"], environment={TOKEN: "other"}) == told


def test_a_token_comes_from_its_option_or_the_environment(files: dict[str, Path]) -> None:
    told = ArchiveAccess(token="eyJ0.token")
    assert read_access(token_file=files["token"], environment={}) == told
    assert read_access(environment={TOKEN: "eyJ0.token"}) == told
    assert read_access(token_file=files["token"], environment={USER: "other", PASSWORD: "other"}) == told


def test_no_secret_is_shown(files: dict[str, Path]) -> None:
    for access in (ArchiveAccess("reader", SECRET), ArchiveAccess(token="eyJ0.token")):
        assert SECRET not in repr(access) and "eyJ0" not in repr(access)


def test_processes_that_are_started_find_the_same(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(certificates.authority.parent)
    environment = {TOKEN: "of the shell", "PATH": "kept"}
    access = ArchiveAccess("reader", SECRET, authority=Path(certificates.authority.name))
    access.to_environment(environment)
    assert environment == {
        USER: "reader",
        PASSWORD: SECRET,
        AUTHORITY: str(certificates.authority.absolute()),  # wherever they work
        "PATH": "kept",
    }
    ArchiveAccess(token="eyJ0.token").to_environment(environment)
    assert environment == {TOKEN: "eyJ0.token", "PATH": "kept"}
    assert read_access(environment=environment) == ArchiveAccess(token="eyJ0.token")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"user": "reader"}, "one is missing; give --archive-user and --archive-password-file, or"),
        ({"password": "hidden"}, "one is missing"),
        ({"user": "reader", "password": "hidden", "token": "hidden"}, "both a user and a token.*; use one of the two"),
        ({"token": "hid\nden"}, "holds a line break; copy it again"),
        ({"user": "reader", "password": ""}, "is empty"),
        ({"token": "hidden\u20ac"}, "holds what no token can; copy it again"),
        ({"token": "hidden token"}, "holds what no token can"),
    ],
)
def test_what_makes_no_sense_is_told_without_the_secret(values: dict[str, str], words: str) -> None:
    with pytest.raises(SemganError, match=words) as caught:
        ArchiveAccess(**values)  # type: ignore[arg-type]
    assert "hid" not in str(caught.value)


def test_files_that_tell_nothing_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(SemganError, match="empty: is empty; write the password or token into it"):
        read_access("reader", tmp_path / "empty", environment={})
    for name in ("nowhere", "."):
        with pytest.raises(SemganError, match="cannot be read; give a text file with the password or token"):
            read_access("reader", tmp_path / name, environment={})
    with pytest.raises(SemganError, match="nowhere: no such certificate; give a PEM file with --archive-ca"):
        read_access(environment={AUTHORITY: str(tmp_path / "nowhere")})
    with pytest.raises(SemganError, match="empty: holds no certificate; give a PEM file with --archive-ca"):
        read_access(authority=tmp_path / "empty", environment={})


@needs_orthanc
@needs_nginx
def test_who_knows_password_and_authority_gets_the_series(
    guarded: Orthanc, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ArchiveAccess("reader", SECRET, authority=certificates.authority).to_environment(env := {})
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "no such file"))
    with nothing_told(SECRET):
        archive = Archive(parse_address(guarded.url))
        (series,) = archive.list_series()
        assert len(fetch_series(archive, series, tmp_path)) == series.images


@needs_orthanc
@needs_nginx
@pytest.mark.parametrize(
    ("access", "words"),
    [
        (ArchiveAccess(), r"wants to know who asks \(401\); give --archive-user"),
        (ArchiveAccess("reader", "of-another"), r"wants to know who asks \(401\)"),
        (ArchiveAccess("other", SECRET), r"wants to know who asks \(401\)"),
        (ArchiveAccess(token="of-another"), r"wants to know who asks \(401\)"),
    ],
)
def test_an_archive_refuses_whom_it_does_not_know(
    guarded: Orthanc, certificates: Certificates, access: ArchiveAccess, words: str
) -> None:
    access = ArchiveAccess(access.user, access.password, access.token, certificates.authority)
    with nothing_told(SECRET, "of-another"), pytest.raises(ArchiveError, match=words) as caught:
        Archive(parse_address(guarded.url), access).list_series()
    assert f"127.0.0.1:{guarded.port}" in str(caught.value)
    assert "of-another" not in str(caught.value) and SECRET not in str(caught.value)


@needs_orthanc
@needs_nginx
def test_an_archive_whose_authority_is_unknown_is_told_nothing(
    guarded: Orthanc, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = r"the certificate of the archive 127.0.0.1:\d+ is not trusted; give the certificate authority.*--archive-ca"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))  # not by what others have told
    for authority in (None, make_certificates(tmp_path).authority):
        access = ArchiveAccess("reader", SECRET, authority=authority)
        with nothing_told(SECRET), pytest.raises(ArchiveError, match=words):
            Archive(parse_address(guarded.url), access).list_series()


@needs_orthanc
@needs_nginx
def test_a_certificate_for_another_name_is_told(guarded: Orthanc, certificates: Certificates) -> None:
    access = ArchiveAccess("reader", SECRET, authority=certificates.authority)
    other = guarded.url.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(
        ArchiveError, match="is for another address; give the name in the certificate|cannot be reached"
    ):
        Archive(parse_address(other), access).list_series()
    assert Archive(parse_address(guarded.url.replace("127.0.0.1", "localhost")), access).list_series()


@needs_orthanc
@needs_nginx
def test_http_and_https_that_were_mixed_up_are_told(
    guarded: Orthanc, certificates: Certificates, orthanc: Orthanc
) -> None:
    access = ArchiveAccess("reader", SECRET, authority=certificates.authority)
    with pytest.raises(ArchiveError, match=r"does not speak HTTPS; check whether|broke off|cannot be reached"):
        Archive(parse_address(orthanc.url.replace("http:", "https:")), access).list_series()
    with pytest.raises(ArchiveError, match=r"does not understand the question \(400\)"):
        Archive(parse_address(guarded.url.replace("https:", "http:")), access).list_series()
