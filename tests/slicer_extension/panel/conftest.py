"""Fixtures of the panel's tests: the application's stand-in, a scene, a volume with maps, the panel on a fake logic."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from SemGANLib.Types.ResultTypes import Domain
from SemGANLib.Views import Outcome

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.panel import fake_logic
from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.session import MemorySettings
from tests.slicer_extension.standin.application import install

if TYPE_CHECKING:
    from tests.slicer_extension.panel.bench import Bench

collect_ignore_glob = [] if importlib.util.find_spec("PySide6") else ["test_*.py"]
"""Nothing of this folder can be read without Qt."""


@pytest.fixture
def application() -> Any:
    """`slicer.app` as far as the extension uses it."""
    return install()


@pytest.fixture
def scene(scene: Any, application: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The empty scene, in the application's usual slice views."""
    import slicer

    logics = {"segmentations": slicer.vtkSlicerSegmentationsModuleLogic(), "volumes": slicer.vtkSlicerVolumesLogic()}
    for logic in logics.values():
        logic.SetMRMLScene(scene)
    found = {name: SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
    modules = SimpleNamespace(**found)
    monkeypatch.setattr(slicer, "modules", modules, raising=False)
    application.use_scene(scene)
    yield scene
    application.use_scene(None)
    for logic in logics.values():
        logic.SetMRMLScene(None)


def add_volume(name: str, values: np.ndarray | None = None) -> Any:
    """Add a volume to the scene, with a display."""
    import slicer

    values = np.arange(20 * 16 * 12, dtype=np.int16).reshape(12, 16, 20) if values is None else values
    node = slicer.util.addVolumeFromArray(values, nodeClassName="vtkMRMLScalarVolumeNode", name=name)
    node.CreateDefaultDisplayNodes()
    return node


@pytest.fixture
def volume(scene: Any) -> Any:
    """A scan."""
    return add_volume("CT abdomen")


@pytest.fixture
def logic(scene: Any) -> FakeLogic:
    """Not connected, nothing chosen."""
    return FakeLogic(scene)


@pytest.fixture
def panel(logic: FakeLogic) -> Iterator[SimpleNamespace]:
    """The panel on the fake logic, visible: `.ui` widgets, `.saved_to` where a file dialog would say to save."""
    from SemGANLib.Panel.Widget import Panel

    settings = MemorySettings()
    made = Panel(logic, settings, lambda *_: "/somewhere/report.html", lambda: "/somewhere/server.pem")
    made.widget.resize(400, 1400)
    made.widget.show()
    yield SimpleNamespace(panel=made, ui=made.ui, settings=settings, widget=made.widget)
    made.close()
    dispose(made.widget)


def dispose(widget: Any) -> None:
    """Take a panel off the screen and away from the scene."""
    widget.setMRMLScene(None)
    widget.close()


@pytest.fixture
def with_result(logic: FakeLogic, volume: Any) -> Callable[..., Outcome]:
    """Make a result of the volume arrive, with three maps."""

    def arrive(warning: str = "", domain: Domain | None = None) -> Outcome:
        names = ("reconstruction", "residual", "uncertainty")
        maps = {name: add_volume(f"CT abdomen {name}", np.ones((12, 16, 20), np.float32)).GetID() for name in names}
        outcome = Outcome(volume.GetID(), "", maps, warning, "a" * 32, fake_logic.result(domain))
        logic.arrives(outcome)
        return outcome

    return arrive


@pytest.fixture
def segmentation(scene: Any, volume: Any) -> Any:
    """The result of the volume: three segments, the first of them with voxels."""
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "CT abdomen: preview")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for segment in ("s1", "s2", "s3"):
        node.GetSegmentation().AddEmptySegment(segment, segment)
    array = np.zeros((12, 16, 20), np.uint8)
    array[4:8, 4:8, 4:8] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, "s1", volume)
    return node


@pytest.fixture
def correcting(panel: SimpleNamespace, logic: FakeLogic, volume: Any, segmentation: Any) -> SimpleNamespace:
    """The panel with its section Correct open on a result."""
    from tests.slicer_extension.panel.qt_actions import unfold
    from tests.slicer_extension.standin.qmrml_widgets import qMRMLSegmentEditorWidget

    qMRMLSegmentEditorWidget.made.clear()
    logic.connected()
    logic.choices.volume = volume
    logic.arrives(Outcome(volume.GetID(), segmentation.GetID(), {}, "", "a" * 32, fake_logic.result(None)))
    unfold(panel.ui.correctSection)
    return panel


@pytest.fixture
def bench(scene: Any, server: FakeServer) -> Iterator[Bench]:
    """Not connected yet; one volume."""
    from tests.slicer_extension.panel.bench import Bench

    bench = Bench(scene, server)
    yield bench
    bench.close()


@pytest.fixture
def module(application: Any, scene: Any) -> Any:
    """SemGAN.py, imported as Slicer does; the settings of this computer stay untouched."""
    import qt

    qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
    sys.modules.pop("SemGAN", None)
    return importlib.import_module("SemGAN")


@pytest.fixture
def load_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    """`slicer.util.loadVolume` without Slicer's file dialogs, by the same reader of its core."""
    import slicer

    def load(path: str, properties: Any = None) -> Any:
        storage = slicer.vtkMRMLNRRDStorageNode()
        storage.SetFileName(path)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic CT")
        assert storage.ReadData(node)
        node.CreateDefaultDisplayNodes()
        return node

    monkeypatch.setattr(slicer.util, "loadVolume", load)
