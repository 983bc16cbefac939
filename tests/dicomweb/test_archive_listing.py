"""What an archive lists is listed whole, or the user is told why it is not."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from monai_semgan.dicomweb import archive as archive_module
from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_access import ArchiveAccess
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from tests.dicomweb import odd_answers
from tests.dicomweb.archive_refusals import refused
from tests.dicomweb.odd_answers import Answer
from tests.dicomweb.odd_archive import Instance, OddArchive

SERIES = 25
IMAGES = 23


@pytest.fixture
def odd() -> Iterator[OddArchive]:
    """An archive of 25 CT series of one image in one study, an MR and a dose report, and a CT of 23 images."""
    with OddArchive() as archive:
        for number in range(SERIES):
            add(archive, "1.2.1", f"1.2.1.{number}", f"1.2.1.{number}.1", "CT")
        add(archive, "1.2.1", "1.2.1.100", "1.2.1.100.1", "MR")
        add(archive, "1.2.1", "1.2.1.101", "1.2.1.101.1", "SR")
        for number in range(IMAGES):
            add(archive, "1.2.2", "1.2.2.1", f"1.2.2.1.{number}", "CT")
        yield archive


def add(odd: OddArchive, study: str, series: str, uid: str, modality: str) -> None:
    odd.instances[uid] = Instance(study, series, uid, modality, b"")


def connect(odd: OddArchive, query: str = "") -> Archive:
    return Archive(parse_address(f"{odd.url}{query}"), ArchiveAccess(), (2.0, 0.5))


def body(content: object, kind: str = odd_answers.JSON) -> Callable[[Answer], Answer]:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda answer: replace(answer, body=text, kind=kind)


LONG = ArchiveSeries("1.2.2", "1.2.2.1", "CT", images=IMAGES)


def test_volumes_are_listed_unless_something_else_is_asked_for(odd: OddArchive) -> None:
    listed = connect(odd).list_series()
    assert len(listed) == SERIES + 2
    assert {one.modality for one in listed} == {"CT", "MR"}
    assert [one.images for one in listed if one.series == "1.2.2.1"] == [IMAGES]
    assert len(connect(odd).list_series(())) == SERIES + 3
    assert [one.series for one in connect(odd, "?Modality=SR").list_series()] == ["1.2.1.101"]
    assert [one.series for one in connect(odd, "?StudyInstanceUID=1.2.2").list_series()] == ["1.2.2.1"]
    assert [one.modality for one in connect(odd, "?SeriesInstanceUID=1.2.1.101").list_series()] == ["SR"]
    assert connect(odd, "?StudyInstanceUID=1.2.9").list_series() == []


@pytest.mark.parametrize("page", [1, 5, 10])
def test_an_archive_that_lists_few_at_once_is_asked_for_all(odd: OddArchive, page: int) -> None:
    odd.page = page
    assert len(connect(odd).list_series()) == SERIES + 2
    assert len(connect(odd).list_instances(LONG)) == IMAGES


def test_an_archive_that_grows_by_a_page_is_listed_to_its_end(odd: OddArchive) -> None:
    odd.page = 10
    told = ArchiveSeries("1.2.2", "1.2.2.1", "CT", images=20)  # by now there are 23
    assert len(connect(odd).list_instances(told)) == IMAGES


def test_an_archive_that_ignores_where_to_go_on_is_asked_once_more_only(odd: OddArchive) -> None:
    odd.heeds_offset = False
    assert len(connect(odd, "?Modality=CT").list_series()) == SERIES + 1
    assert odd.asked("series") == 2
    assert len(connect(odd).list_instances(LONG)) == IMAGES
    assert odd.asked("instances") == 2


def test_a_list_that_can_be_had_in_part_only_is_told(odd: OddArchive) -> None:
    odd.page, odd.heeds_offset = 10, False
    with refused(odd, f"lists 10 of {IMAGES} images of the series", remedy="to list more at once, or to heed offset"):
        connect(odd).list_instances(LONG)


def test_images_that_were_removed_are_not_waited_for(odd: OddArchive) -> None:
    del odd.instances["1.2.2.1.7"]
    assert len(connect(odd).list_instances(LONG)) == IMAGES - 1


def test_a_list_without_end_ends(odd: OddArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_ENTRIES", 40)
    asked = 0

    def new_ones(answer: Answer) -> Answer:
        nonlocal asked
        asked += 1
        return replace(answer, body=answer.body.replace(b'"1.2.', f'"1.{asked}.'.encode()))

    odd.page = 10
    odd.heeds_offset = False
    odd.spoil("series", new_ones)
    with refused(odd, "lists more than 40 entries", remedy="ask for less"):
        connect(odd).list_series()
    assert asked == 4


SENSELESS: dict[str, Callable[[Answer], Answer]] = {
    "a page": body(b"<html>Please log in, Secret^Name</html>", "text/html"),
    "nothing that is JSON": body(b"\xff\xfe[Secret^Name"),
    "JSON too deep": body(b"[" * 100_000),
    "a number": body(1),
    "a text": body("Secret^Name"),
    "nothing": body(None),
    "another object": body({"error": "Secret^Name"}),
    "a list of others": body(["1.2.3"]),
    "a list of lists": body([[{}]]),
    "entries without UIDs": body([{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Secret^Name"}]}}]),
    "packed rubbish": lambda answer: replace(answer, body=b"rubbish", headers={"Content-Encoding": "gzip"}),
}


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Python may begin to collect garbage at the depth where JSON is too deep; what is collected there may fail."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("change", SENSELESS.values(), ids=SENSELESS)
def test_an_answer_that_makes_no_sense_is_told(odd: OddArchive, change: Callable[[Answer], Answer]) -> None:
    for kind in ("series", "instances"):
        odd.spoil(kind, change)
    archive = connect(odd)
    words = "answers what is no DICOMweb"
    with refused(odd, words, remedy="ends at the root of DICOMweb"):
        archive.list_series()
    with refused(odd, words):
        archive.list_instances(LONG)
    with refused(odd, words):
        archive.has_instance("1.2.2", "1.2.2.1", "1.2.2.1.1")


@pytest.mark.parametrize(
    "uid",
    [{"Value": ["../x"]}, {"Value": ["1.2/../../x"]}, {"Value": [{}]}, {"Value": []}, {}, None, "1.2", {"Value": 3}],
)
def test_what_is_no_uid_is_taken_for_none(odd: OddArchive, uid: object) -> None:
    entry = {"0020000D": {"Value": ["1.2"]}, "0020000E": uid, "00080018": uid}
    odd.spoil("series", body([entry]))
    odd.spoil("instances", body([entry]))
    assert connect(odd).list_series() == []
    with refused(odd, "lists instances without UIDs"):
        connect(odd).list_instances(LONG)


def test_an_entry_by_itself_and_an_empty_answer_are_lists(odd: OddArchive) -> None:
    odd.spoil("series", lambda answer: replace(answer, body=json.dumps(json.loads(answer.body)[0]).encode()), times=1)
    assert len(connect(odd, "?Modality=MR").list_series()) == 1
    odd.spoil("series", lambda answer: Answer(204))
    assert connect(odd).list_series() == []


def test_an_entry_tells_what_it_can(odd: OddArchive) -> None:
    entry = {
        "0020000D": {"Value": ["1.2 "]},
        "0020000E": {"Value": ["1.02.3"]},
        "00080060": {"Value": ["mr"]},
        "00200011": {"Value": [7]},
        "0008103E": {"Value": ["T2\n tra "]},
        "00201209": {"Value": ["many"]},
    }
    odd.spoil("series", body([entry]))
    assert connect(odd).list_series(()) == [ArchiveSeries("1.2", "1.02.3", "MR", "7", "T2 tra", "", None)]


FAILING: dict[str, tuple[Callable[[Answer], Answer], str, bool]] = {
    "400": (lambda answer: Answer(400), r"does not understand the question \(400\)", False),
    "401": (lambda answer: Answer(401), r"wants to know who asks \(401\)", False),
    "403": (lambda answer: Answer(403), r"does not allow that \(403\)", False),
    "404": (lambda answer: Answer(404), r"knows nothing of that kind \(404\)", False),
    "418": (lambda answer: Answer(418), r"failed \(418\)", False),
    "429": (lambda answer: Answer(429), r"is asked too often \(429\)", True),
    "500": (lambda answer: Answer(500, "text/plain", b"Secret^Name"), r"failed \(500\)", False),
    "503": (lambda answer: Answer(503), r"is busy \(503\)", True),
    "silent": (lambda answer: replace(answer, sending=odd_answers.silent), "does not answer in time", True),
    "stalling": (lambda answer: replace(answer, sending=odd_answers.stalling), "does not answer in time", True),
    "half": (lambda answer: replace(answer, sending=odd_answers.half), "broke off in the middle", True),
    "half in chunks": (
        lambda answer: replace(answer, sending=odd_answers.half_in_chunks),
        "broke off in the middle",
        True,
    ),
    "vanishing": (lambda answer: replace(answer, sending=odd_answers.vanishing), "broke off in the middle", True),
}


@pytest.mark.parametrize(("change", "words", "passing"), FAILING.values(), ids=FAILING)
def test_a_failure_is_told_in_one_line_after_one_question(
    odd: OddArchive, change: Callable[[Answer], Answer], words: str, passing: bool
) -> None:
    odd.spoil("series", change)
    with refused(odd, words) as caught:
        connect(odd, "?PatientName=Secret^Name").list_series()
    assert caught.value.passing is passing
    assert len(odd.questions) == 1


def test_what_the_archive_sends_with_a_failure_is_not_read(odd: OddArchive) -> None:
    odd.spoil("together", lambda answer: Answer(500, body=b"x" * 1000, sending=odd_answers.stalling))
    with refused(odd, r"failed \(500\)"):
        list(connect(odd).iter_series(LONG))
    assert odd.left.wait(10)
