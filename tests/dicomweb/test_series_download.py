"""A series comes whole or not at all; what has come is not asked for again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

from monai_semgan.dicomweb.series_download import fetch_series
from monai_semgan.io.dicom.headers import quiet
from tests.dicomweb import odd_answers
from tests.dicomweb.archive_refusals import nothing_told, refused
from tests.dicomweb.fetching import (
    assert_completed,
    assert_whole_files,
    changed,
    connect,
    fetch,
    sent_by,
    status,
    the_series,
)
from tests.dicomweb.odd_answers import BOUNDARY, DICOM, Answer, in_parts
from tests.dicomweb.odd_archive import OddArchive

COUNT = 17
"""Instances of the series."""

STATM = Path("/proc/self/statm")
CLOSING = f"\r\n--{BOUNDARY}--\r\n".encode()


def last_part_cut(answer: Answer) -> Answer:
    """Half of the last part is missing, the last boundary too; HTTP ends in order."""
    start = answer.body.rfind(f"--{BOUNDARY}\r\n".encode())
    return replace(answer, body=answer.body[: (start + len(answer.body)) // 2], sending=odd_answers.in_chunks)


def last_part_cut_and_closed(answer: Answer) -> Answer:
    """As an archive sends a file that it has not whole itself."""
    cut = last_part_cut(answer)
    return replace(cut, body=cut.body + CLOSING)


def header_of_last_part_cut(answer: Answer) -> Answer:
    """The last part ends before its rows and columns."""
    rows = answer.body.rfind(b"\x28\x00\x10\x00US")
    return replace(answer, body=answer.body[:rows] + CLOSING)


def without_last_boundary(answer: Answer) -> Answer:
    return replace(answer, body=answer.body[: -len(CLOSING)])


def test_a_series_comes_as_it_is_stored(odd: OddArchive, folder: Path) -> None:
    told: list[tuple[int, int]] = []
    with nothing_told():
        found = fetch(odd, folder, lambda done, total: told.append((done, total)))
    assert_whole_files(odd, folder)
    assert [path.stem for path in found] == sorted(odd.instances)
    total = len(odd.instances)
    assert told == [(done, total) for done in range(1, total + 1)]
    assert (odd.asked("together"), odd.asked("single")) == (1, 0)


def test_a_series_that_is_there_is_not_fetched_again(odd: OddArchive, folder: Path) -> None:
    first = fetch(odd, folder)
    odd.questions.clear()
    assert fetch(odd, folder) == first
    assert {question.kind for question in odd.questions} == {"series", "instances"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (status(401), "wants to know who asks"),
        (status(403), "does not allow that"),
        (status(404), "knows nothing of that kind"),
        (status(406), "cannot send what was asked for"),
    ],
)
def test_a_refusal_is_told_at_once(
    odd: OddArchive, folder: Path, change: Callable[[Answer], Answer], words: str
) -> None:
    odd.spoil("together", change)
    with refused(odd, words):
        fetch(odd, folder)
    assert odd.asked("single") == 0
    assert_completed(odd, folder)


SPOILT: dict[str, tuple[Callable[[Answer], Answer], str]] = {
    "fails": (status(500), r"it failed \(500\)"),
    "is busy": (status(503), r"it is busy \(503\)"),
    "is silent": (sent_by(odd_answers.silent), "it does not answer in time"),
    "stalls": (sent_by(odd_answers.stalling), "it does not answer in time"),
    "hangs up": (sent_by(odd_answers.vanishing), "it broke off in the middle"),
    "sends half": (sent_by(odd_answers.half), "it broke off in the middle"),
    "sends half in chunks": (sent_by(odd_answers.half_in_chunks), "it broke off in the middle"),
    "cuts the last part": (last_part_cut, "it broke off in the middle"),
    "cuts the last part, which it ends": (last_part_cut_and_closed, "cut off or have no pixels"),
    "cuts the header of the last part": (header_of_last_part_cut, "cut off or have no pixels"),
    "leaves the last boundary out": (without_last_boundary, "it broke off in the middle"),
    "sends a page": (
        lambda answer: Answer(kind="text/html", body=b"<p>Secret^Name</p>"),
        "it answers what is no DICOM",
    ),
    "sends nothing": (lambda answer: Answer(204, body=b""), "it answers what is no DICOM"),
    "sends what is no DICOM": (lambda answer: in_parts([b"Secret^Name"] * 3), "it answers what is no DICOM"),
    "sends no part": (lambda answer: in_parts([]), "it answers what is no DICOM|it sends others"),
}


@pytest.mark.parametrize(("change", "words"), SPOILT.values(), ids=SPOILT)
def test_what_does_not_come_whole_is_told_and_comes_the_next_time(
    odd: OddArchive, folder: Path, change: Callable[[Answer], Answer], words: str
) -> None:
    odd.spoil("together", change)
    odd.spoil("single", change)
    with refused(odd, rf"\d+ of {COUNT} images of the series do not come from the archive .*: .*{words}") as caught:
        fetch(odd, folder)
    assert caught.value.passing
    assert_whole_files(odd, folder)
    assert len(list(folder.iterdir())) == COUNT - int(str(caught.value).split()[0])
    assert_completed(odd, folder)


@pytest.mark.parametrize("name", [name for name in SPOILT if name not in ("sends a page", "sends nothing")])
def test_what_does_not_come_with_its_series_comes_singly(odd: OddArchive, folder: Path, name: str) -> None:
    odd.spoil("together", SPOILT[name][0])
    fetch(odd, folder)
    assert_whole_files(odd, folder)
    assert len(list(folder.iterdir())) == COUNT
    assert odd.asked("together") == 1


def test_a_slow_line_is_no_failure(odd: OddArchive, folder: Path) -> None:
    odd.spoil("together", sent_by(odd_answers.dripping))
    fetch(odd, folder)
    assert_whole_files(odd, folder)
    assert odd.asked("single") == 0


def test_a_cut_compressed_image_is_none(odd: OddArchive, folder: Path) -> None:
    for one in list(odd.instances.values()):
        data = dcmread(BytesIO(one.content))
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(packed := BytesIO())
        odd.take(packed.getvalue())
    odd.spoil("together", last_part_cut_and_closed)
    odd.spoil("single", last_part_cut_and_closed)
    with refused(odd, f"1 of {COUNT} images"):
        fetch(odd, folder)
    assert_whole_files(odd, folder)
    assert_completed(odd, folder)


def test_instances_that_the_series_leaves_out_come_singly(odd: OddArchive, folder: Path) -> None:
    odd.apart = set(sorted(odd.instances)[:3])
    fetch(odd, folder)
    assert_whole_files(odd, folder)
    assert (odd.asked("together"), odd.asked("single")) == (1, 3)


def test_lost_instances_keep_no_other_one_from_coming(odd: OddArchive, folder: Path) -> None:
    odd.lost = set(sorted(odd.instances)[:5])
    odd.apart = set(sorted(odd.instances)[5:8])
    with refused(
        odd, rf"5 of {COUNT} images .*: it knows nothing of that kind \(404\)", remedy="what has come is kept"
    ):
        fetch(odd, folder)
    assert {path.stem for path in folder.iterdir()} == set(odd.instances) - odd.lost
    odd.lost = set()
    assert_completed(odd, folder)


def test_a_series_that_grows_meanwhile_comes_with_what_was_added(odd: OddArchive, folder: Path) -> None:
    late = [odd.instances.pop(uid) for uid in sorted(odd.instances)[:4]]
    series = the_series(odd)
    listings = 0

    def one_more() -> None:
        nonlocal listings
        listings += 1
        if listings > 2 and late:  # a listing is two questions: the second one finds that nothing follows
            odd.instances |= {one.uid: one for one in late}
            late.clear()

    odd.before_listing = one_more
    found = fetch_series(connect(odd), series, folder)
    assert len(found) == len(list(folder.iterdir())) == COUNT
    assert_whole_files(odd, folder)


def test_a_series_that_goes_on_growing_is_left_for_later(odd: OddArchive, folder: Path) -> None:
    late = [odd.instances.pop(uid) for uid in sorted(odd.instances)[:8]]
    series = the_series(odd)

    def one_more() -> None:
        if late and "offset=0" in odd.questions[-1].target:  # once for each listing
            one = late.pop()
            odd.instances[one.uid] = one

    odd.before_listing = one_more
    with refused(odd, r"images of the series still arrive", remedy="when all have come") as caught:
        fetch_series(connect(odd), series, folder)
    assert caught.value.passing
    assert_whole_files(odd, folder)
    late.clear()
    odd.before_listing = lambda: None
    assert_completed(odd, folder)


def test_files_of_instances_that_are_gone_go(odd: OddArchive, folder: Path) -> None:
    fetch(odd, folder)
    gone = sorted(odd.instances)[0]
    del odd.instances[gone]
    (folder / ".1234.part.1.2.3.dcm").write_bytes(b"left by a process that was killed")
    assert len(fetch(odd, folder)) == COUNT - 1
    assert_whole_files(odd, folder)
    assert gone not in {path.stem for path in folder.iterdir()}


def test_a_series_that_is_gone_is_told(odd: OddArchive, folder: Path) -> None:
    series = the_series(odd)
    odd.instances.clear()
    with refused(odd, "has no image of the series any more"):
        fetch_series(connect(odd), series, folder)


def test_instances_of_another_series_are_not_taken(odd: OddArchive, folder: Path) -> None:
    def renamed(answer: Answer) -> Answer:
        series = next(iter(odd.instances.values())).series.encode()
        return replace(answer, body=answer.body.replace(series, series[:-1] + (b"1" if series[-1:] == b"2" else b"2")))

    odd.spoil("together", renamed)
    odd.spoil("single", renamed)
    with refused(odd, f"{COUNT} of {COUNT} images .*: it sends those of another series"):
        fetch(odd, folder)
    assert not list(folder.iterdir())


def test_instances_that_were_not_asked_for_are_not_written(odd: OddArchive, tmp_path: Path) -> None:
    def with_others(answer: Answer) -> Answer:
        one = next(iter(odd.instances.values()))
        escaping = changed(one.content, SOPInstanceUID="../../x")
        return in_parts([escaping, *(each.content for each in odd.instances.values())])

    odd.spoil("together", with_others)
    with nothing_told():
        fetch(odd, tmp_path / "series")
    assert_whole_files(odd, tmp_path / "series")
    assert [path.name for path in tmp_path.iterdir()] == ["series"]


def test_an_instance_without_the_frame_of_parts_is_taken(odd: OddArchive, folder: Path) -> None:
    def bare(answer: Answer) -> Answer:
        content = answer.body.split(b"\r\n\r\n", 1)[1].removesuffix(CLOSING)
        return Answer(kind=DICOM, body=content)

    odd.spoil("together", status(503))
    odd.spoil("single", bare)
    with nothing_told():
        fetch(odd, folder)
    assert_whole_files(odd, folder)


def test_a_series_of_one_instance_may_come_without_the_frame_of_parts(odd: OddArchive, folder: Path) -> None:
    for uid in sorted(odd.instances)[1:]:
        del odd.instances[uid]
    odd.spoil("together", lambda answer: Answer(kind=DICOM, body=next(iter(odd.instances.values())).content))
    fetch(odd, folder)
    assert_whole_files(odd, folder)
    assert odd.asked("single") == 0


def test_odd_but_common_contents_come_byte_for_byte(odd: OddArchive, folder: Path) -> None:
    kept = [odd_content(number, one.content) for number, one in enumerate(odd.instances.values())]
    odd.instances.clear()
    for content in kept:
        odd.take(content)
    with nothing_told():
        fetch(odd, folder)
    assert sorted(path.read_bytes() for path in folder.iterdir()) == sorted(kept)


def odd_content(number: int, content: bytes) -> bytes:
    """An image with private tags, values that are too long, a character set that is none, and UIDs with zeros."""
    with quiet():
        data = dcmread(BytesIO(content))
        data.StudyInstanceUID, data.SeriesInstanceUID = "1.02.3", "1.02.3.04"
        data.SOPInstanceUID = f"1.02.3.04.0{number + 1}"
        data.SpecificCharacterSet = "ISO-IR 9999"
        block = data.private_block(0x0009, "ODD VENDOR", create=True)
        block.add_new(0x01, "UN", b"\x00\x01\x02\xff")
        block.add_new(0x02, "LO", "Schl\u00fcssel")
        block.add_new(0x03, "DS", "1.2345678901234567890123")
        data.add_new(0x00090099, "LO", "of nobody")
        item = Dataset()
        item.CodeValue, item.CodeMeaning = "A" * 40, "longer than allowed"
        data.ProcedureCodeSequence = [item]
        data.save_as(made := BytesIO(), enforce_file_format=False)
    return made.getvalue().replace(b"of nobody", b"\xfcml\xe4ut ??")
