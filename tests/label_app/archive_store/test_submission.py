"""What is kept of labels on their way to an archive."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.label_app.archive_store.background_work import SubmissionQueue
from monai_semgan.label_app.archive_store.submission import SENT, MadeObject, Submission, SubmissionFiles

OBJECT = MadeObject("segmentation.dcm", "1.2", "1.2.3", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3.4")
FIRST = Submission("ct_1", "final", 1, 3, "0123")


def test_what_is_saved_is_read_again_and_only_its_owner_can_look(tmp_path: Path) -> None:
    files = SubmissionFiles(tmp_path / "outgoing")
    saved = files.save(Submission("ct_1", "final", 2, 4, "4567", SENT, "", (OBJECT,)))
    files.save(FIRST)
    assert files.all("ct_1", "final") == [FIRST, saved] and files.latest("ct_1", "final") == saved
    assert stat.S_IMODE((tmp_path / "outgoing").stat().st_mode) == 0o700
    assert saved.told()["series"] == "1.2.3" and FIRST.told()["series"] is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"state": "sent"}', "[" * 5000])
def test_a_damaged_note_counts_for_nothing_and_is_not_overwritten(content: str, tmp_path: Path) -> None:
    files = SubmissionFiles(tmp_path)
    files.save(FIRST)
    damaged = tmp_path / "ct_1" / "final" / "000002.json"
    damaged.write_text(content)
    assert files.all("ct_1", "final") == [FIRST] and files.next_number("ct_1", "final") == 3


def test_objects_are_there_whole_or_not_at_all(tmp_path: Path) -> None:
    files, made = SubmissionFiles(tmp_path), Submission("ct_1", "final", 1, 3, "0123", objects=(OBJECT,))
    with pytest.raises(SemganError, match="no"), files.making(made) as folder:
        (folder / OBJECT.file).write_bytes(b"half")
        raise SemganError("no")
    assert not files.has_objects(made) and not list(files.place("ct_1", "final").iterdir())
    with files.making(made) as folder:
        (folder / OBJECT.file).write_bytes(b"whole")
    assert files.has_objects(made)
    files.save(made)
    files.remove_objects("ct_1", "final")
    assert not files.has_objects(made) and files.all("ct_1", "final") == [made]


def test_work_is_done_in_its_order_and_nobody_waits_for_ever() -> None:
    queue: SubmissionQueue[int] = SubmissionQueue()
    go, done = threading.Event(), list[int]()

    def slow() -> int:
        go.wait(30)
        done.append(1)
        return 1

    def quick() -> int:
        done.append(2)
        return 2

    assert queue.run(slow, seconds=0.01) is None
    go.set()
    assert queue.run(quick, seconds=30) == 2 and done == [1, 2]
    with pytest.raises(ZeroDivisionError):
        queue.run(lambda: 1 // 0, seconds=30)
    queue.close()
    assert queue.run(lambda: 3, seconds=30) is None
