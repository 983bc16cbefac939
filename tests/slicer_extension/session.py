"""A logic with everything real but the user, the timer and the settings; the server is injected."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from SemGANLib.Logic import Logic
from SemGANLib.Runs.Runner import Runner
from SemGANLib.Views import Message, Run


class MemorySettings:
    """Settings that live as long as the test."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}

    def value(self, key: str, default: Any = None) -> Any:
        """Do as `QSettings` does."""
        return self.stored.get(key, default)

    def setValue(self, key: str, value: Any) -> None:
        """Do as `QSettings` does."""
        self.stored[key] = value

    def remove(self, key: str) -> None:
        """Do as `QSettings` does."""
        self.stored.pop(key, None)


class Session:
    """A user in front of the module.

    Attributes:
        answer: to every question.
        asked: texts of the questions so far.
        messages: so far.
        seen: every `Run` so far.
        longest: seconds of the longest stretch of the main thread, by what was emitted last before its end.
    """

    sessions: ClassVar[list[Session]] = []
    """All that must be closed before their scene goes."""

    def __init__(self, scene: Any, settings: MemorySettings | None = None) -> None:
        self.sessions.append(self)
        self.answer = True
        self.asked: list[str] = []
        self.messages: list[Message] = []
        self.seen: list[Run] = []
        self.outcomes: list[Any] = []
        self.opened: list[Any] = []
        self.longest = 0.0
        self.runner = Runner()
        self.settings = settings or MemorySettings()
        self.logic = Logic(scene, self.runner, self.settings, self._confirm)
        self.logic.message.connect(self.messages.append)
        self.logic.run_changed.connect(self.seen.append)
        self.logic.outcome_changed.connect(self.outcomes.append)
        self.logic.image_opened.connect(self.opened.append)

    def wait(self, until: Callable[[], Any], seconds: float = 100.0) -> None:
        """Pump until something is so."""
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, f"waited in vain; last: {self.seen[-1:]} {self.messages[-1:]}"
            self.pump()
            time.sleep(0.005)

    def pump(self) -> None:
        """Take one turn of the main thread."""
        started = time.perf_counter()
        self.runner.pump()
        self.longest = max(self.longest, time.perf_counter() - started)

    def settle(self) -> None:
        """Pump until no work is open."""
        self.wait(lambda: self.runner.open == 0)

    def connect(self, address: str, key: str = "") -> None:
        """Connect and wait for it, and for what is asked of a new server."""
        self.logic.connect(address, key)
        self.wait(lambda: self.logic.connection.state != "connecting")
        self.settle()

    def preview(self, volume: Any) -> Run:
        """Click on Preview and wait for the end."""
        self.logic.preview(volume)
        return self.finish(volume)

    def refine(self, volume: Any) -> Run:
        """Click on Refine and wait for the end."""
        self.logic.refine(volume)
        return self.finish(volume)

    def finish(self, volume: Any, seconds: float = 100.0) -> Run:
        """Wait for the end of a volume's run."""
        self.wait(lambda: not self.logic.run(volume).active, seconds)  # type: ignore[union-attr]
        run = self.logic.run(volume)
        assert run is not None
        return run

    def close(self) -> None:
        """Leave; what comes after does no harm."""
        if self in self.sessions:
            self.sessions.remove(self)
            self.logic.close()

    def _confirm(self, title: str, text: str) -> bool:
        self.asked.append(text)
        return self.answer
