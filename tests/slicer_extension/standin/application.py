"""Stand-in for `slicer.app` and the modules that only exist inside 3D Slicer; `install` puts all in place."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

MODULE_FOLDER = Path(__file__).resolve().parents[3] / "slicer_extension" / "SemGAN"


class Application:
    """The parts of `slicer.app` that the extension uses.

    Attributes:
        connected: functions by the signal of the application that they wait for.
    """

    applicationName = "Slicer"

    def __init__(self, qt_application: Any) -> None:
        self.qt_application = qt_application
        self.connected: dict[str, list[Any]] = {}
        self._layout_manager: LayoutManager | None = None

    def connect(self, signal: str, function: Any) -> bool:
        self.connected.setdefault(signal, []).append(function)
        return True

    def processEvents(self) -> None:
        self.qt_application.processEvents()

    def testingEnabled(self) -> bool:
        return False

    def translate(self, _context: str, text: str) -> str:
        return text

    def layoutManager(self) -> Any:
        return self._layout_manager

    def use_scene(self, scene: Any) -> None:
        """Show a scene, with Slicer's usual layout; None: show nothing any more."""
        if self._layout_manager is not None:
            self._layout_manager.close()
        self._layout_manager = LayoutManager(scene) if scene is not None else None


class LayoutManager:
    """Slicer's, without windows: the real layout logic makes the view nodes that a layout names."""

    def __init__(self, scene: Any) -> None:
        import slicer

        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(scene)
        self.node = self._logic.GetLayoutNode()
        self._slice_logics: dict[str, Any] = {}
        self._scene = scene
        self.setLayout(self.node.SlicerLayoutFourUpView)

    def close(self) -> None:
        """Let go of the scene, before it goes."""
        for logic in (*self._slice_logics.values(), self._logic):
            logic.SetMRMLScene(None)

    def layoutLogic(self) -> Any:
        return self._logic

    def setLayout(self, arrangement: int) -> None:
        self.node.SetViewArrangement(arrangement)
        for view in (self._scene.GetNthNodeByClass(i, "vtkMRMLSliceNode") for i in range(self._count())):
            name = view.GetLayoutName()
            if name not in self._slice_logics:
                self._slice_logics[name] = self._logic_of(view)

    def _count(self) -> int:
        return self._scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")

    def _logic_of(self, view: Any) -> Any:
        import slicer

        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(self._scene)
        logic.SetSliceNode(view)
        return logic

    @property
    def layout(self) -> int:
        return self.node.GetViewArrangement()

    def sliceWidget(self, name: str) -> Any:
        """None for a view that was never shown, as in Slicer."""
        logic = self._slice_logics.get(name)
        if logic is None:
            return None
        return SimpleNamespace(
            sliceLogic=lambda: logic,
            mrmlSliceNode=logic.GetSliceNode,
            mrmlSliceCompositeNode=logic.GetSliceCompositeNode,
        )

    def sliceViewNames(self) -> list[str]:
        return list(self._slice_logics)


class SampleDataLogic:
    """Remembers what is registered."""

    sources: list[dict[str, Any]] = []
    categories: dict[str, str] = {}

    @classmethod
    def registerCustomSampleDataCategory(cls, category: str, title: str) -> None:
        cls.categories[category] = title

    @classmethod
    def registerCustomSampleDataSource(cls, **settings: Any) -> None:
        cls.sources.append(settings)


def install() -> Application:
    """Make `qt`, `ctk` and Slicer's own modules importable; once for a process."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import slicer
    import slicer.util
    from PySide6 import QtUiTools, QtWidgets

    if hasattr(slicer, "app"):
        return slicer.app
    from tests.slicer_extension.standin import ctk_widgets, qmrml_widgets, scripted_module
    from tests.slicer_extension.standin.pythonqt import QtNamespace
    from tests.slicer_extension.standin.ui_loader import UiLoader

    application = Application(QtWidgets.QApplication.instance() or QtWidgets.QApplication(["SlicerStandIn"]))
    assert issubclass(UiLoader, QtUiTools.QUiLoader)
    sys.modules["qt"] = QtNamespace({"QUiLoader": UiLoader})  # type: ignore[assignment]
    sys.modules["ctk"] = _module("ctk", **ctk_widgets.CLASSES)
    qmrml_widgets.publish()
    UiLoader.custom = {**ctk_widgets.CLASSES, **qmrml_widgets.CLASSES}
    slicer.app = application
    slicer.i18n = _publish("slicer.i18n", tr=lambda text: text, translate=lambda _context, text: text)
    names = {name: getattr(scripted_module, name) for name in scripted_module.__all__}
    slicer.ScriptedLoadableModule = _publish("slicer.ScriptedLoadableModule", **names)
    slicer.util.modulePath = lambda name: str(MODULE_FOLDER / f"{name}.py")
    slicer.util.showStatusMessage = lambda text, *_: logging.info(text)
    _publish("SampleData", SampleDataLogic=SampleDataLogic)
    return application


def _publish(name: str, **members: Any) -> ModuleType:
    sys.modules[name] = _module(name, **members)
    return sys.modules[name]


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(members)
    return module
