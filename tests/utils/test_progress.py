"""Bars and Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import threading

import pytest

from monai_semgan.utils.progress import BarProgress, CancelToken, NullProgress


def test_the_bar_shows_message_count_and_eta() -> None:
    stream = io.StringIO()
    with BarProgress(stream=stream) as bar:
        for done in range(4):
            bar.update(done, 3, "segmenting slice", loss=0.5)
    assert "segmenting slice 3/3" in stream.getvalue()
    assert "ETA" in stream.getvalue() and "loss=0.5" in stream.getvalue()


def test_a_count_that_falls_back_begins_a_new_bar() -> None:
    stream = io.StringIO()
    with BarProgress(stream=stream) as bar:
        bar.update(5, 5, "first")
        bar.update(0, 5, "second")
    assert "first 5/5" in stream.getvalue() and "second 0/5" in stream.getvalue()


def test_the_first_ctrl_c_asks_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    said = io.StringIO()
    with CancelToken("stopping", said) as token:
        bar = BarProgress(token=token, stream=io.StringIO())
        assert not bar.should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert bar.should_stop() and "stopping" in said.getvalue()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 1) if hasattr(signal, "sigtimedwait") else None
    assert signal.getsignal(signal.SIGINT) is before


def test_a_token_works_outside_the_main_thread_without_signals() -> None:
    states = []

    def work() -> None:
        with CancelToken() as token:
            token.cancel()
            states.append(token.cancelled)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert states == [True]


def test_no_progress_never_stops() -> None:
    progress = NullProgress()
    progress.update(1, 2, "anything", loss=1.0)
    assert not progress.should_stop()
