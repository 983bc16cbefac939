"""Tests of the extension of 3D Slicer. Most run on Slicer's real core of the scene (`slicer-core`); all are marked."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = REPOSITORY / "slicer_extension" / "SemGAN"

sys.path.insert(0, str(MODULE))  # as Slicer does for the folder of a module

from tests.slicer_extension.fake_server import FakeServer  # noqa: E402
from tests.slicer_extension.session import Session  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of this folder; skip where Slicer's core is not installed."""
    missing = importlib.util.find_spec("slicer") is None
    skip = pytest.mark.skip(reason="needs the environment of the extension: scripts/run_tests.py makes it")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("slicer")
            if missing:
                item.add_marker(skip)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty scene with Slicer's colours, where `slicer.mrmlScene` is; jobs are looked at often."""
    import slicer

    monkeypatch.setattr("SemGANLib.Runs.Patience.QUICK_SECONDS", 0.02)
    monkeypatch.setattr("SemGANLib.Runs.Patience.SLOW_SECONDS", 0.1)

    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.GetColorLogic().SetMRMLScene(scene)
    application.GetColorLogic().AddDefaultColorNodes()
    logics = [slicer.vtkSlicerSegmentationsModuleLogic(), slicer.vtkSlicerSequencesLogic()]
    for logic in logics:  # they make their nodes known to the scene
        logic.SetMRMLScene(scene)
    slicer.mrmlScene = scene
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    yield scene
    for session in list(Session.sessions):
        session.close()
    scene.Clear(True)
    for logic in logics:
        logic.SetMRMLScene(None)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server on loopback; all that it was asked and answered fits the published document."""
    with FakeServer() as server:
        yield server
    assert not server.errors


@pytest.fixture
def session(scene: Any, server: FakeServer) -> Session:
    """Connected."""
    session = Session(scene)
    session.connect(server.address)
    return session
