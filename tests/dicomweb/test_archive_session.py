"""The session talks to the archive and to nobody else, with what it was given and nothing of the environment."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_access import ArchiveAccess
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.archive_session import check_host
from monai_semgan.dicomweb.series_download import fetch_series
from tests.dicomweb.archive_refusals import PASSWORD, TOKEN, USER, nothing_told, refused
from tests.dicomweb.odd_answers import Answer
from tests.dicomweb.odd_archive import OddArchive
from tests.dicomweb.phantom_series import write_ct
from tests.free_ports import free_port

BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
BEARER = f"Bearer {TOKEN}"
WITH_PASSWORD, WITH_TOKEN = ArchiveAccess(USER, PASSWORD), ArchiveAccess(token=TOKEN)


@pytest.fixture(scope="module")
def files_of_a_ct(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Few and small slices: what comes over the line is all the same here."""
    return sorted(write_ct(tmp_path_factory.mktemp("ct"), spacing=(30.0, 30.0, 60.0)).iterdir())


def connect(odd: OddArchive, access: ArchiveAccess = WITH_TOKEN) -> Archive:
    return Archive(parse_address(odd.url), access, (2.0, 2.0))


def authorizations(odd: OddArchive) -> set[str | None]:
    return {question.headers.get("Authorization") for question in odd.questions}


def to(target: str, code: int = 302) -> Callable[[Answer], Answer]:
    return lambda answer: Answer(code, headers={"Location": target})


@pytest.mark.parametrize(("access", "header"), [(WITH_PASSWORD, BASIC), (WITH_TOKEN, BEARER), (ArchiveAccess(), None)])
def test_the_archive_is_told_who_asks(
    odd: OddArchive, tmp_path: Path, files_of_a_ct: list[Path], access: ArchiveAccess, header: str | None
) -> None:
    archive = connect(odd, access)
    with nothing_told():
        (series,) = archive.list_series()
        fetch_series(archive, series, tmp_path)
        archive.store(files_of_a_ct[0])
    odd.instances.clear()
    archive.store(files_of_a_ct[0])
    assert odd.asked("store") == 1
    assert authorizations(odd) == {header}


def test_neither_netrc_nor_the_environments_certificates_matter(
    odd: OddArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "no such file"))
    odd.spoil("series", to("/dicom-web/moved/../series"), times=1)
    assert len(connect(odd, ArchiveAccess()).list_series(())) == 1
    assert len(connect(odd).list_series(())) == 1
    assert authorizations(odd) == {None, BEARER}
    odd.questions.clear()
    odd.spoil("series", to("/dicom-web/series?Modality=CT"), times=1)
    assert len(connect(odd).list_series(())) == 1
    assert len(odd.questions) == 3
    assert authorizations(odd) == {BEARER}  # after being sent on as well


def test_this_computer_is_asked_without_a_proxy(odd: OddArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert len(connect(odd).list_series()) == 1


def test_another_computer_is_asked_through_the_proxy_of_the_environment(
    odd: OddArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://{odd.netloc}")  # which serves what a proxy would get from there
    archive = Archive(parse_address("http://archive.invalid/dicom-web"), WITH_TOKEN, (2.0, 2.0))
    archive.list_series()
    assert odd.questions[0].target.startswith("http://archive.invalid/dicom-web/series")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    archive = Archive(parse_address("http://archive.invalid/dicom-web"), WITH_TOKEN, (2.0, 2.0))
    with pytest.raises(ArchiveError, match=r"archive.invalid is out of the proxy's reach; check \$HTTPS_PROXY"):
        archive.list_series()


def test_the_host_is_told_with_its_port(odd: OddArchive, tmp_path: Path, files_of_a_ct: list[Path]) -> None:
    archive = connect(odd)
    fetch_series(archive, archive.list_series()[0], tmp_path)
    odd.instances.clear()
    archive.store(files_of_a_ct[0])
    assert {question.headers["Host"] for question in odd.questions} == {odd.netloc}


def test_an_archive_on_ipv6_is_asked_as_any_other(tmp_path: Path, files_of_a_ct: list[Path]) -> None:
    try:
        odd = OddArchive(files_of_a_ct, "::1")
    except OSError:
        pytest.skip("this computer has no IPv6")
    with odd:
        archive = Archive(parse_address(f"dicomweb:{odd.url}"), WITH_TOKEN)
        (series,) = archive.list_series()
        assert len(fetch_series(archive, series, tmp_path)) == len(odd.instances)
        content = odd.instances.pop(archive.list_instances(series)[0]).content
        (tmp_path / "one").write_bytes(content)
        assert archive.store(tmp_path / "one")
        assert {question.headers["Host"] for question in odd.questions} == {odd.netloc}
        odd.spoil("series", lambda answer: Answer(500))
        with refused(odd, r"the archive \[::1\]:\d+ failed"):
            archive.list_series()


def test_whoever_is_sent_on_within_the_archive_arrives(odd: OddArchive) -> None:
    odd.spoil("series", to("/dicom-web/series?Modality=CT"), times=1)
    assert len(connect(odd).list_series()) == 1
    odd.spoil("series", to(odd.url.upper().replace("DICOM-WEB", "dicom-web") + "/series?Modality=MR"), times=1)
    assert not connect(odd).list_series(("CT",))


@pytest.mark.parametrize("where", ["another port", "another host", "another scheme", "a metadata service"])
def test_nobody_is_sent_on_to_another_server(odd: OddArchive, where: str) -> None:
    with OddArchive() as other:
        targets = {
            "another port": f"{other.url}/series",
            "another host": odd.url.replace("127.0.0.1", "me:hidden@localhost") + "/series",
            "another scheme": odd.url.replace("http:", "https:") + "/series",
            "a metadata service": "http://169.254.169.254/latest/meta-data",
        }
        odd.spoil("series", to(targets[where]))
        with refused(odd, "sends to another server", remedy="give that address if it is the archive") as caught:
            connect(odd).list_series()
        assert "hidden" not in str(caught.value)
        assert not other.questions


def test_no_object_is_sent_on(odd: OddArchive, files_of_a_ct: list[Path]) -> None:
    for code in (301, 302, 303, 307, 308):
        odd.instances.clear()
        odd.spoil("store", to("/dicom-web/studies/1.2.3", code))
        with refused(odd, "wants objects at another address", remedy="without being sent on"):
            connect(odd).store(files_of_a_ct[0])
    assert odd.asked("store") == 5


def test_a_circle_ends(odd: OddArchive) -> None:
    odd.spoil("series", to("/dicom-web/series"))
    with refused(odd, "sends in circles", remedy="check the address"):
        connect(odd).list_series()
    assert len(odd.questions) < 10


@pytest.mark.parametrize("target", ["http://[::1", "http://archive:port/", "//", "http://"])
def test_an_odd_place_to_go_on_is_told(odd: OddArchive, target: str) -> None:
    odd.spoil("series", to(target))
    with refused(odd, "answers what is no DICOMweb|sends to another server|could not be asked|sends in circles"):
        connect(odd).list_series()


def test_an_archive_that_sends_nowhere_is_told(odd: OddArchive) -> None:
    for code in (300, 302, 304, 307):
        odd.spoil("series", lambda answer, code=code: Answer(code))
        with refused(odd, rf"failed \({code}\)"):
            connect(odd).list_series()


METADATA = [
    "169.254.169.254",
    "[fd00:ec2::254]",
    "[fe80::a9fe:a9fe]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "100.100.100.200",
    "168.63.129.16",
    "metadata",
    "metadata.google.internal",
    "Metadata.Google.Internal.",
    "instance-data",
    "0.0.0.0",
    "[::]",
    "224.0.0.1",
    "169\u3002254\u3002169\u3002254",
]


@pytest.mark.parametrize("host", METADATA)
def test_where_clouds_keep_secrets_nothing_is_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", never)
    monkeypatch.setattr(socket.socket, "connect", never)
    with pytest.raises(ArchiveError, match="this machine's own network or cloud.*; give the address of the archive"):
        Archive(parse_address(f"dicomweb:http://{host}/latest"), ArchiveAccess()).list_series()


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "fe80::1%eth0", "::ffff:169.254.169.254"])
def test_a_name_that_leads_to_secrets_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", ("192.0.2.7", 0)), (0, 0, 0, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ArchiveError, match="archive.example is an address of this machine's own network"):
        Archive(parse_address("http://archive.example/dicom-web"), ArchiveAccess())


def test_a_name_that_leads_to_secrets_later_is_refused_then(odd: OddArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = connect(odd)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("169.254.169.254", 0))])
    with pytest.raises(ArchiveError, match="this machine's own network"):
        archive.list_series()
    assert not odd.questions


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "10.1.2.3", "192.168.0.9", "no.such.host.invalid"])
def test_archives_in_the_house_are_none_of_those(host: str) -> None:
    check_host(host)


def test_a_name_that_nobody_knows_is_told() -> None:
    with pytest.raises(ArchiveError, match=r"archive.invalid cannot be reached; start it, or check") as caught:
        Archive(parse_address("http://archive.invalid/dicom-web"), ArchiveAccess(), (2.0, 2.0)).list_series()
    assert caught.value.passing


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("a connection was made")
