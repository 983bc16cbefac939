"""Results are stored once, and whoever sends them knows whether they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_access import ArchiveAccess
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.errors import SemganError
from tests.dicomweb import odd_answers
from tests.dicomweb.archive_refusals import nothing_told, refused
from tests.dicomweb.odd_answers import JSON, Answer
from tests.dicomweb.odd_archive import OddArchive
from tests.dicomweb.phantom_series import write_ct


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An object to be stored."""
    return sorted(write_ct(tmp_path_factory.mktemp("ct"), spacing=(30.0, 30.0, 60.0)).iterdir())[0]


@pytest.fixture(scope="module")
def large_file(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An object that is sent in chunks."""
    data = dcmread(file)
    data.Rows, data.Columns, data.SOPInstanceUID = 1500, 1000, "1.2.3"
    data.PixelData = bytes(2 * data.Rows * data.Columns)
    path = tmp_path_factory.mktemp("large") / "large.dcm"
    data.save_as(path)
    return path


@pytest.fixture
def odd() -> Iterator[OddArchive]:
    """An archive without anything."""
    with OddArchive() as archive:
        yield archive


def connect(odd: OddArchive) -> Archive:
    return Archive(parse_address(odd.url), ArchiveAccess(), (2.0, 0.5))


def uid_of(file: Path) -> str:
    return str(dcmread(file).SOPInstanceUID)


def failed(code: int, status: int, kind: str = JSON) -> Callable[[Answer], Answer]:
    """As STOW-RS tells why it does not store an object."""
    item = {"00081155": {"vr": "UI", "Value": ["1.2.3"]}, "00081197": {"vr": "US", "Value": [code]}}
    content = json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()
    return lambda answer: Answer(status, kind, content)


def forgetting(odd: OddArchive, change: Callable[[Answer], Answer]) -> Callable[[Answer], Answer]:
    """The change of an answer, of an archive that stores nothing."""

    def forget(answer: Answer) -> Answer:
        odd.instances.clear()
        return change(answer)

    return forget


def test_an_object_is_stored_once(odd: OddArchive, file: Path, large_file: Path) -> None:
    with nothing_told(uid_of(file)):
        assert [connect(odd).store(path) for path in (file, large_file, file, large_file)] == [True, True, False, False]
    assert odd.asked("store") == 2
    for path in (file, large_file):
        assert odd.instances[uid_of(path)].content == path.read_bytes()


def test_a_large_object_comes_in_chunks(odd: OddArchive, large_file: Path) -> None:
    connect(odd).store(large_file)
    (question,) = (question for question in odd.questions if question.kind == "store")
    assert question.headers["Transfer-Encoding"] == "chunked"


REFUSALS: dict[str, tuple[Callable[[Answer], Answer], str]] = {
    "409, no room": (failed(0xA700, 409), "refused the object: it has no room"),
    "409, not this kind": (failed(0x0122, 409), "refused the object: it does not store this kind of object"),
    "409, a reason of its own": (failed(0xC999, 409), "refused the object: reason C999"),
    "409, without reasons": (lambda answer: Answer(409, JSON, b"{}"), r"failed \(409\)"),
    "409, a page": (lambda answer: Answer(409, "text/html", b"<p>Secret^Name</p>"), r"failed \(409\)"),
    "200, no room": (failed(0xA700, 200), "refused the object: it has no room"),
    "202, not allowed": (failed(0x0124, 202), "refused the object: it is not allowed"),
    "200, with a character set": (failed(0xA700, 200, f"{JSON}; charset=utf-8"), "refused the object: it has no room"),
    "200, and nothing": (lambda answer: Answer(), "took the object and does not list it"),
    "200, a page": (lambda answer: Answer(200, "text/html", b"hello"), "took the object and does not list it"),
    "200, no JSON": (lambda answer: Answer(200, JSON, b"hello"), "answers what is no DICOMweb"),
    "401": (lambda answer: Answer(401), r"wants to know who asks \(401\)"),
    "403": (lambda answer: Answer(403), r"does not allow that \(403\)"),
    "405": (lambda answer: Answer(405), r"does not offer that \(405\)"),
    "413": (lambda answer: Answer(413), r"takes nothing so large \(413\)"),
    "415": (lambda answer: Answer(415), r"does not take application/dicom \(415\)"),
    "500": (lambda answer: Answer(500), r"failed \(500\)"),
    "503": (lambda answer: Answer(503), r"is busy \(503\)"),
    "silent": (lambda answer: replace(answer, sending=odd_answers.silent), "does not answer in time"),
    "vanishing": (lambda answer: replace(answer, sending=odd_answers.vanishing), "broke off in the middle"),
    "half": (lambda answer: replace(answer, sending=odd_answers.half), "broke off in the middle"),
}


@pytest.mark.parametrize(("change", "words"), REFUSALS.values(), ids=REFUSALS)
def test_an_object_that_was_not_stored_is_told_and_can_be_sent_again(
    odd: OddArchive, file: Path, change: Callable[[Answer], Answer], words: str
) -> None:
    odd.spoil("store", forgetting(odd, change))
    with refused(odd, words) as caught:
        connect(odd).store(file)
    assert uid_of(file) not in str(caught.value)
    odd.heal()
    assert connect(odd).store(file)
    assert odd.instances[uid_of(file)].content == file.read_bytes()
    assert odd.asked("store") == 2


LOST = ["200, a page", "silent", "vanishing", "half", "500", "503"]


@pytest.mark.parametrize("name", LOST)
def test_an_object_whose_answer_was_lost_is_not_sent_twice(odd: OddArchive, file: Path, name: str) -> None:
    odd.spoil("store", REFUSALS[name][0])
    if name == "200, a page":  # which says nothing: the archive is asked whether it has the object
        assert connect(odd).store(file)
    else:
        with refused(odd, REFUSALS[name][1]):
            connect(odd).store(file)
    odd.heal()
    assert connect(odd).store(file) is False
    assert odd.asked("store") == 1
    assert odd.instances[uid_of(file)].content == file.read_bytes()


def test_an_archive_that_refuses_before_it_has_read_all_is_told(odd: OddArchive, large_file: Path) -> None:
    odd.deaf = True
    with refused(odd, r"takes nothing so large \(413\)", remedy="higher limit"):
        connect(odd).store(large_file)
    assert odd.asked("store") == 1


def test_an_archive_that_does_not_know_the_study_has_nothing_of_it(odd: OddArchive, file: Path) -> None:
    odd.spoil("instances", lambda answer: Answer(404), times=1)
    assert connect(odd).store(file)


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\0" * 128 + b"DICM"], ids=["empty", "text", "a mark alone"])
def test_what_is_no_dicom_is_not_sent(odd: OddArchive, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "result.dcm"
    path.write_bytes(content)
    with pytest.raises(SemganError, match=r"result.dcm: is no DICOM object; send what semgan has written"):
        connect(odd).store(path)
    with pytest.raises(SemganError, match=r"nothing.dcm: cannot be read"):
        connect(odd).store(tmp_path / "nothing.dcm")
    assert not odd.questions


def test_an_object_without_its_uids_is_not_sent(odd: OddArchive, file: Path, tmp_path: Path) -> None:
    data = dcmread(file)
    data.SeriesInstanceUID = ""
    data.save_as(tmp_path / "result.dcm")
    with pytest.raises(SemganError, match="result.dcm: has no UIDs"):
        connect(odd).store(tmp_path / "result.dcm")
    assert not odd.questions


def test_an_object_that_is_cut_off_is_not_sent(odd: OddArchive, file: Path, tmp_path: Path) -> None:
    (tmp_path / "result.dcm").write_bytes(file.read_bytes()[:-10])
    with pytest.raises(SemganError, match="result.dcm: is cut off; write it again"):
        connect(odd).store(tmp_path / "result.dcm")
    assert not odd.questions
