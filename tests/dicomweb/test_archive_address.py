"""Addresses of archives: what they ask for, what is none, and that none shows a password or a patient."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary

from monai_semgan.dicomweb.archive_address import ArchiveAddress, is_address, is_uid, parse_address
from monai_semgan.errors import SemganError

KEYWORDS = [entry[4] for entry in DicomDictionary.values() if entry[4] and not entry[4].endswith("InstanceUID")]


def test_an_address_says_where_and_what() -> None:
    address = parse_address("dicomweb:http://127.0.0.1:8042/dicom-web/?StudyInstanceUID=1.2.3&Modality=CT")
    assert address == ArchiveAddress(
        "http://127.0.0.1:8042/dicom-web", (("StudyInstanceUID", "1.2.3"), ("Modality", "CT"))
    )
    assert address.host == "127.0.0.1:8042"
    assert (address.uid("StudyInstanceUID"), address.uid("SeriesInstanceUID")) == ("1.2.3", None)


def test_the_mark_may_be_left_out_and_case_does_not_matter() -> None:
    assert parse_address("DICOMweb:HTTPS://Archive.Example:8042/Dicom-Web") == parse_address(
        "https://archive.example:8042/Dicom-Web"
    )


def test_what_is_asked_for_may_be_encoded() -> None:
    address = parse_address(
        "https://a/b?PatientName=M%C3%BCller%5EJ%26J&StudyDescription=Abdomen+late&StudyDate=2020%2A"
    )
    assert address.wanted == (
        ("PatientName", "Müller^J&J"),
        ("StudyDescription", "Abdomen late"),
        ("StudyDate", "2020*"),
    )
    assert parse_address("https://a/b?Patient%4Eame=x").wanted == (("PatientName", "x"),)


def test_an_address_of_ipv6_keeps_its_brackets() -> None:
    address = parse_address("dicomweb:http://[::1]:8042/dicom-web")
    assert (address.url, address.host) == ("http://[::1]:8042/dicom-web", "[::1]:8042")
    assert parse_address("http://[2001:DB8::1]/x").url == "http://[2001:db8::1]/x"


def test_more_can_be_asked_of_an_address() -> None:
    address = parse_address("https://a/b?StudyInstanceUID=1.2&Modality=CT")
    assert str(address.of({"Modality": "MR", "SeriesInstanceUID": "3.4"})) == (
        "dicomweb:https://a/b?StudyInstanceUID=1.2&Modality=MR&SeriesInstanceUID=3.4"
    )


@pytest.mark.parametrize("text", ["dicomweb:http://a", "DICOMWEB:", "DicomWeb:x"])
def test_an_address_is_told_from_a_path(text: str) -> None:
    assert is_address(text)
    assert not is_address(f"./{text}")
    assert not is_address("http://a/b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dicomweb:",
        "dicomweb:archive/dicom-web",
        "dicomweb:file:///etc/passwd",
        "dicomweb:ftp://archive/dicom-web",
        "dicomweb:http:///dicom-web",
        "dicomweb:http:archive",
        "dicomweb://archive/dicom-web",
        "dicomweb:http://archive:0/dicom-web",
        "dicomweb:http://archive:99999/dicom-web",
        "dicomweb:http://archive:port/dicom-web",
        "dicomweb:http://[::1/dicom-web",
        "dicomweb:http://[nothing]/dicom-web",
        "dicomweb:http://archive/dicom-web#studies",
        "dicomweb:http://archive/dicom-web?StudyInstanceUID=1.2#x",
        "dicomweb:http://archive/\udcff",
        "scan.nii.gz",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SemganError, match=r"is no address of DICOMweb; give one such as dicomweb:http") as caught:
        parse_address(text)
    str(caught.value).encode()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["dimse:AE@archive:104", "dicom:archive:104", "PACS:archive"])
def test_query_and_retrieve_are_not_offered(text: str) -> None:
    with pytest.raises(SemganError, match="C-FIND, C-MOVE.* is not offered; give the address of DICOMweb"):
        parse_address(text)


@pytest.mark.parametrize(
    "text", ["http://me:hidden@archive/x", "http://hidden@archive/x", "http://:hidden@archive", "ftp://me:hidden@a/x"]
)
def test_names_and_passwords_do_not_belong_into_an_address(text: str) -> None:
    with pytest.raises(SemganError) as caught:
        parse_address(text)
    assert "hidden" not in str(caught.value)


def test_what_was_asked_for_is_not_repeated_where_the_address_is_none() -> None:
    with pytest.raises(SemganError) as caught:
        parse_address("dicomweb:ftp://archive/x?PatientName=Secret^Name")
    assert "ftp://archive/x" in str(caught.value)
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=10", "limit is no attribute of DICOM; ask by keywords, such as StudyInstanceUID"),
        ("studyinstanceuid=1.2", "studyinstanceuid is no attribute"),
        ("=1.2", "is no attribute"),
        ("StudyInstanceUID=", "StudyInstanceUID has no value"),
        ("StudyInstanceUID", "StudyInstanceUID has no value"),
        ("StudyInstanceUID=..%2F..%2Fx", "StudyInstanceUID has no value that it could have"),
        ("SeriesInstanceUID=*", "SeriesInstanceUID has no value that it could have"),
        ("SeriesInstanceUID=..", "SeriesInstanceUID has no value that it could have"),
        ("StudyInstanceUID=" + "1" * 65, "StudyInstanceUID has no value that it could have"),
        ("Modality=", "Modality has no value"),
        ("Modality=CT&Modality=MR", "asks for one attribute twice; give one value"),
        ("Modality=CT&Modalit%79=CT", "asks for one attribute twice; give one value"),
    ],
)
def test_what_no_archive_can_be_asked_is_refused(query: str, words: str) -> None:
    with pytest.raises(SemganError, match=words):
        parse_address(f"dicomweb:http://archive/dicom-web?{query}")


@pytest.mark.parametrize("text", ["1.2.840.10008.1.2", "0", "1.02.003", "2.25.329800735698586629295641978511506172918"])
def test_what_archives_have_as_uids_is_one(text: str) -> None:
    assert is_uid(text)


@pytest.mark.parametrize("text", ["", ".", "..", ".1", "../1", "1/2", "1.2\n", "1.a", "\u0661.2", None, 12])
def test_what_would_lead_elsewhere_is_no_uid(text: object) -> None:
    assert not is_uid(text)


hosts = st.one_of(
    st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,10}[a-zA-Z0-9])?(\.[a-zA-Z0-9]{1,5})?", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
ports = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
paths = st.lists(st.text(min_size=1, max_size=6).map(lambda text: quote(text, safe="")), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
values = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
queries = st.dictionaries(st.sampled_from(KEYWORDS), values, max_size=4)


@given(scheme=st.sampled_from(["http", "https", "HTTP", "hTTps"]), host=hosts, port=ports, path=paths, query=queries)
def test_an_address_that_is_written_is_the_same_when_it_is_read(
    scheme: str, host: str, port: str, path: str, query: dict[str, str]
) -> None:
    question = "&".join(f"{keyword}={quote(value)}" for keyword, value in query.items())
    address = parse_address(f"{scheme}://{host}{port}{path}" + (f"?{question}" if question else ""))
    assert dict(address.wanted) == query
    assert parse_address(str(address)) == address
    assert is_address(str(address))


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_an_error_in_one_line(text: str) -> None:
    for one in (text, f"dicomweb:http://{text}", f"dicomweb:http://a?{text}"):
        try:
            address = parse_address(one)
        except SemganError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert parse_address(str(address)) == address
