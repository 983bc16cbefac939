"""Signals reach whoever is connected."""

from __future__ import annotations

from SemGANLib.Signal import Signal


def test_a_signal_reaches_everybody_once_in_order():
    signal, heard = Signal("text"), []
    signal.connect(heard.append)
    signal.connect(heard.append)
    signal.connect(lambda text: heard.append(text.upper()))
    signal.emit("a")
    assert heard == ["a", "A"]
    signal.disconnect(heard.append)
    signal.disconnect(heard.append)
    signal.emit("b")
    assert heard == ["a", "A", "B"]


def test_one_that_is_disconnected_while_a_signal_is_emitted_is_not_called():
    signal, heard = Signal(), []

    def second() -> None:
        heard.append("second")

    signal.connect(lambda: signal.disconnect(second))
    signal.connect(second)
    signal.emit()
    assert not heard
