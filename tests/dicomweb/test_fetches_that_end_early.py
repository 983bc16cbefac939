"""Fetches that are cancelled, meet each other, or cannot go on: what has come stays, and nothing half does."""

from __future__ import annotations

import re
import resource
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_access import ArchiveAccess
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.series_download import fetch_series
from monai_semgan.errors import Cancelled, SemganError, WriteFailure
from monai_semgan.utils import files
from tests.dicomweb import odd_answers
from tests.dicomweb.fetching import (
    IMPATIENT,
    assert_completed,
    assert_whole_files,
    changed,
    connect,
    fetch,
    sent_by,
    status,
    the_series,
)
from tests.dicomweb.odd_answers import BOUNDARY, Answer, in_parts
from tests.dicomweb.odd_archive import Handler, OddArchive

COUNT = 17
"""Instances of the series."""

STATM = Path("/proc/self/statm")
CLOSING = f"\r\n--{BOUNDARY}--\r\n".encode()


def test_a_fetch_that_is_cancelled_hangs_up_and_keeps_what_has_come(odd: OddArchive, folder: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise Cancelled("by the user")

    def four_and_no_more(handler: Handler, answer: Answer) -> None:
        handler.begin(answer, Content_Length=str(10**9))
        handler.wfile.write(answer.body[: len(answer.body) // 4] + b" " * 1_000_000)
        handler.wait_for_the_end()

    odd.spoil("together", sent_by(four_and_no_more))
    with pytest.raises(Cancelled):
        fetch_series(Archive(parse_address(odd.url), ArchiveAccess(), (2.0, 30.0)), the_series(odd), folder, stop)
    assert odd.left.wait(10)
    assert len(list(folder.iterdir())) == 3
    assert_whole_files(odd, folder)
    assert_completed(odd, folder)


def test_two_fetches_of_one_folder_share_the_work(odd: OddArchive, folder: Path) -> None:
    odd.spoil("together", sent_by(odd_answers.dripping))
    failures: list[BaseException] = []
    results: list[list[Path]] = []

    def one() -> None:
        try:
            results.append(fetch(odd, folder))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert results[0] == results[1]
    assert_whole_files(odd, folder)
    assert (odd.asked("together"), odd.asked("single")) == (1, 0)


def test_who_waits_for_another_fetch_can_be_cancelled(odd: OddArchive, folder: Path) -> None:
    from monai_semgan.dicomweb.folder_lock import locked_folder

    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        raise Cancelled("by the user")

    with locked_folder(folder, lambda: None), pytest.raises(Cancelled):
        fetch(odd, folder, stop)
    assert told == [(0, COUNT)]
    assert odd.asked("together") == 0


def test_a_folder_that_cannot_be_written_is_told(odd: OddArchive, folder: Path) -> None:
    (folder / "file").write_text("no folder")
    with pytest.raises(WriteFailure, match="file"):
        fetch(odd, folder / "file")


def test_a_full_disk_is_told_and_leaves_no_half_file(
    odd: OddArchive, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = 0

    def full(source: Path, target: Path) -> None:
        nonlocal replaced
        replaced += 1
        if replaced > 2:
            raise OSError(28, "No space left on device")
        Path(source).rename(target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(WriteFailure, match="the disk is full"):
        fetch(odd, folder)
    assert_whole_files(odd, folder)
    assert len(list(folder.iterdir())) == 2
    monkeypatch.undo()
    assert_completed(odd, folder)


@pytest.mark.skipif(not STATM.exists(), reason="needs /proc of Linux")
def test_a_long_series_takes_no_more_memory_than_a_short_one(odd: OddArchive, folder: Path) -> None:
    one = next(iter(odd.instances.values()))
    content = changed(one.content, SOPInstanceUID="1.2.3.0000", PixelData=bytes(100_000))
    uids = [f"1.2.3.{number:04}" for number in range(1000, 2000)]
    odd.instances = {uid: replace(one, uid=uid, content=b"") for uid in uids}

    def one_after_the_other(handler: Handler, answer: Answer) -> None:
        handler.begin(answer)
        for uid in uids:
            part = in_parts([content.replace(b"1.2.3.0000", uid.encode())]).body
            handler.wfile.write(part.removesuffix(CLOSING))
        handler.wfile.write(CLOSING)
        handler.close_connection = True

    odd.spoil("together", sent_by(one_after_the_other))
    taken: list[int] = []

    def look(done: int, total: int) -> None:
        if done % 100 == 0:
            taken.append(int(STATM.read_text().split()[1]) * resource.getpagesize())

    archive = Archive(parse_address(odd.url), ArchiveAccess())
    assert len(fetch_series(archive, the_series(odd), folder, look)) == 1000
    assert odd.asked("single") == 0
    assert max(taken) - taken[0] < 20_000_000  # while 90 MB came


def test_an_archive_that_ends_meanwhile_is_told(odd: OddArchive, folder: Path) -> None:
    archive, series = connect(odd), the_series(odd)
    with socket.socket() as none:
        none.bind(("127.0.0.1", 0))
        other = Archive(parse_address(f"http://127.0.0.1:{none.getsockname()[1]}"), ArchiveAccess(), IMPATIENT)
        with pytest.raises(ArchiveError, match="cannot be reached; start it"):
            fetch_series(other, series, folder)
    assert archive.list_instances(series) == sorted(odd.instances)


def test_every_failure_is_an_error_that_the_command_line_tells(odd: OddArchive) -> None:
    odd.spoil("together", status(500))
    with pytest.raises(SemganError) as caught:
        list(connect(odd).iter_series(the_series(odd)))
    assert re.fullmatch(r"the archive \S+ failed \(500\); .+", str(caught.value))
