"""A reader of the preview of a phantom; servers are asked often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.nodes import previewed
from tests.slicer_extension.runs.corrections.correction_reader import Reader


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("SemGANLib.Runs.CorrectionFollowing.QUICK_SECONDS", 0.01)
    monkeypatch.setattr("SemGANLib.Runs.CorrectionFollowing.SLOW_SECONDS", 0.05)
    monkeypatch.setattr("SemGANLib.Runs.CorrectionRoot.POLL_SECONDS", 0.01)
    monkeypatch.setattr("SemGANLib.Runs.CorrectionJob.AGAIN_SECONDS", (0.01, 0.01, 0.01))


@pytest.fixture
def reader(scene: Any, server: FakeServer) -> Iterator[Reader]:
    """Ready to correct."""
    session, volume = previewed(scene, server)
    yield Reader(session, volume).begin()
