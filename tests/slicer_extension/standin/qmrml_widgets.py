"""Stand-ins for the qMRML widgets of the panel, on a real MRML scene."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from tests.slicer_extension.standin.ctk_widgets import WithProperties
from tests.slicer_extension.standin.pythonqt import python_qt_class

Widget = python_qt_class(QtWidgets.QWidget)
ComboBox = python_qt_class(QtWidgets.QComboBox)


class qMRMLWidget(WithProperties, Widget):
    """Tells its children of the scene."""

    mrmlSceneChanged = QtCore.Signal(object)
    slicer_signals = {"mrmlSceneChanged(vtkMRMLScene*)"}

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene


class qMRMLNodeComboBox(WithProperties, Widget):
    """Chooses a node of the scene; selects the first one that comes unless there is an entry for none."""

    currentNodeChanged = QtCore.Signal(object)
    slicer_signals = {"currentNodeChanged(vtkMRMLNode*)"}
    designer_properties = (
        "nodeTypes", "showChildNodeTypes", "showHidden", "noneEnabled", "noneDisplay", "addEnabled", "removeEnabled",
        "editEnabled", "renameEnabled", "selectNodeUponCreation", "baseName",
    )  # fmt: skip

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.combo_box = ComboBox()
        row.addWidget(self.combo_box)
        self.nodeTypes: list[str] = []
        self.showChildNodeTypes = self.addEnabled = self.removeEnabled = self.selectNodeUponCreation = True
        self.noneEnabled = self.showHidden = self.editEnabled = self.renameEnabled = False
        self.noneDisplay, self.baseName = "None", ""
        self._scene, self._tags, self._current = None, [], None
        self.combo_box.currentIndexChanged.connect(self._on_choice)

    @property
    def sizeAdjustPolicy(self) -> Any:
        return QtCore.QObject.property(self.combo_box, "sizeAdjustPolicy")

    @sizeAdjustPolicy.setter
    def sizeAdjustPolicy(self, policy: Any) -> None:
        self.combo_box.setSizeAdjustPolicy(policy)

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
            self._tags = [scene.AddObserver(event, lambda *_: self.refresh()) for event in events]
        self.refresh()

    def mrmlScene(self) -> Any:
        return self._scene

    def nodes(self) -> list[Any]:
        """List the nodes that can be chosen."""
        found = []
        for index in range(self._scene.GetNumberOfNodes() if self._scene else 0):
            node = self._scene.GetNthNode(index)
            exact = node.GetClassName() in self.nodeTypes
            child = self.showChildNodeTypes and any(node.IsA(kind) for kind in self.nodeTypes)
            if (exact or child) and (self.showHidden or not node.GetHideFromEditors()):
                found.append(node)
        return found

    def refresh(self) -> None:
        """Show the scene's nodes as they are now."""
        nodes = self.nodes()
        before = self._current
        keep = before if any(node.GetID() == before for node in nodes) else None
        if keep is None and not self.noneEnabled and nodes:
            keep = nodes[0].GetID()
        self.combo_box.blockSignals(True)
        self.combo_box.clear()
        if self.noneEnabled or not nodes:
            self.combo_box.addItem(self.noneDisplay, None)
        for node in nodes:
            self.combo_box.addItem(node.GetName(), node.GetID())
        self.combo_box.setCurrentIndex(max(0, self.combo_box.findData(keep)))
        self.combo_box.blockSignals(False)
        self._current = keep
        if keep != before:
            self.currentNodeChanged.emit(self.currentNode())

    def _on_choice(self, index: int) -> None:
        self._current = self.combo_box.itemData(index)
        self.currentNodeChanged.emit(self.currentNode())

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._current) if self._scene and self._current else None

    @property
    def currentNodeID(self) -> str:
        return self._current or ""

    def setCurrentNodeID(self, identifier: str) -> None:
        index = self.combo_box.findData(identifier or None)
        if index >= 0:
            self.combo_box.setCurrentIndex(index)

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def nodeCount(self) -> int:
        return len(self.nodes())


class qMRMLColorTableComboBox(qMRMLNodeComboBox):
    """Chooses a colour table."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.nodeTypes = ["vtkMRMLColorTableNode", "vtkMRMLProceduralColorNode"]
        self.showHidden = True  # colour tables are hidden from other lists


class Effect:
    """An effect of the Segment Editor: remembers its settings."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings: dict[str, str] = {}

    def setCommonParameter(self, name: str, value: str) -> None:
        self.settings[name] = value


class qMRMLSegmentEditorWidget(Widget):
    """The Segment Editor, without its effects' work: what would be painted where is for tests to do.

    As in Slicer, an effect that begins ends the placing of markups, and the other way round.
    """

    EFFECTS = ("Paint", "Erase", "Draw", "Scissors")
    made: list[Any] = []

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.made.append(self)
        self.node = self.segmentation = self.volume = self._scene = self._effect = self._mode = None
        self.segment = ""
        self.undo_states = 10

    def setMRMLScene(self, scene: Any) -> None:
        if self._mode is not None:
            self._mode[0].RemoveObserver(self._mode[1])
        self._scene, self._mode = scene, None
        mode = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton") if scene is not None else None
        if mode is not None:
            self._mode = (mode, mode.AddObserver(mode.InteractionModeChangedEvent, self._on_mode))

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self.node = node

    def setSegmentationNode(self, node: Any) -> None:
        self.segmentation = node

    def setSourceVolumeNode(self, node: Any) -> None:
        self.volume = node

    def setCurrentSegmentID(self, identifier: str) -> None:
        self.segment = identifier

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        self.undo_states = count

    def setActiveEffectByName(self, name: str) -> None:
        self._effect = Effect(name) if name in self.EFFECTS else None
        if self._effect is not None and self._mode is not None:
            self._mode[0].SetCurrentInteractionMode(self._mode[0].ViewTransform)
        if self.node is not None:
            self.node.SetActiveEffectName(name if self._effect is not None else "")

    def activeEffect(self) -> Any:
        return self._effect

    def _on_mode(self, node: Any, _event: Any) -> None:
        if node.GetCurrentInteractionMode() == node.Place and self._effect is not None:
            self.setActiveEffectByName("")


WIDGETS = (qMRMLWidget, qMRMLNodeComboBox, qMRMLColorTableComboBox, qMRMLSegmentEditorWidget)
CLASSES = {one.__name__: one for one in WIDGETS}


def publish() -> None:
    """Show Slicer's Qt classes in the module `slicer`."""
    for name, one in CLASSES.items():
        setattr(slicer, name, one)
