"""Output that cannot be shown or read by anybody does not end the work."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.utils.progress_bar import BarProgress
from monai_semgan.utils.terminal import UnfailingStream, protected_streams

TEXTS = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=30)


@settings(deadline=None)
@given(text=TEXTS, encoding=st.sampled_from(["ascii", "cp1252", "cp437", "latin-1", "utf-8", "utf-16", "shift_jis"]))
def test_any_text_can_be_written_in_any_encoding(text: str, encoding: str) -> None:
    content = io.BytesIO()
    terminal = io.TextIOWrapper(content, encoding=encoding, newline="", write_through=True)
    UnfailingStream(terminal).write(text)
    shown = content.getvalue().decode(encoding)
    assert shown == text.encode(encoding, "backslashreplace").decode(encoding)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.EBADF])
def test_a_stream_that_nobody_reads_is_no_loss(number: int) -> None:
    stream = UnfailingStream(Failing(number))
    assert stream.write("text") == 4
    stream.flush()
    assert stream.lost is None


def test_a_stream_that_is_full_says_so_later() -> None:
    stream = UnfailingStream(Failing(errno.ENOSPC))
    stream.write("text")
    assert stream.lost is not None and stream.lost.errno == errno.ENOSPC


def test_streams_are_as_before_when_the_program_was_called_by_another() -> None:
    before = sys.stdout, sys.stderr
    with protected_streams():
        assert sys.stdout is not before[0]
        with protected_streams():
            pass
        assert isinstance(sys.stdout, UnfailingStream)
    assert (sys.stdout, sys.stderr) == before


def test_a_program_without_a_terminal_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with BarProgress() as bar:
        bar.update(1, 2, "working")


class Terminal(io.TextIOWrapper):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "shift_jis", "utf-8"])
def test_the_bar_is_drawn_in_characters_that_the_terminal_has(encoding: str) -> None:
    content = io.BytesIO()
    terminal = Terminal(content, encoding=encoding, errors="backslashreplace")
    with BarProgress(stream=UnfailingStream(terminal)) as bar:  # type: ignore[arg-type]
        bar.update(3, 4, "working")
    terminal.flush()
    shown = content.getvalue().decode(encoding)
    assert "working 3/4" in shown and "\\u" not in shown
    assert ("#" in shown) == (encoding != "utf-8")


PROGRAM = """\
import contextlib, os, sys
from monai_semgan.utils.terminal import protected_streams
with protected_streams():
    with open(sys.argv[1], "w") as result:
        print("said", file=sys.stdout, flush=True)
        print("said", file=sys.stderr, flush=True)
        for number in (1, 2):
            with contextlib.suppress(OSError):
                os.write(number, b"said by a library")
        result.write("result")
"""


@pytest.mark.skipif(os.name != "posix", reason="closes streams as a POSIX shell does")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "</dev/null 1</dev/null"])
def test_what_is_said_to_a_closed_stream_does_not_end_in_a_result(closed: str, tmp_path: Path) -> None:
    command = f'"{sys.executable}" -c "$1" "$2" {closed}'
    done = subprocess.run(["sh", "-c", command, "sh", PROGRAM, str(tmp_path / "result")], cwd=os.getcwd(), timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "result").read_text() == "result"


class Failing(io.StringIO):
    """A stream whose system calls fail."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))
