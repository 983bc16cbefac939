"""What the user has chosen, kept in the scene in a `vtkMRMLScriptedModuleNode`, so that it is saved with it."""

from __future__ import annotations

import json
from typing import Any

from ..Signal import Signal

MODULE = "SemGAN"
NODE = "vtkMRMLScriptedModuleNode"
VOLUME, SEGMENTATION = "Volume", "Segmentation"
MODEL, RANGE, LABELS, STEPS, MAPS = "Model", "SliceRange", "Labels", "Steps", "Maps"
MODALITY_ATTRIBUTE = "SemGAN.Modality"
"""Attribute of a volume node: what the user says that it is."""


def modality_of(volume: Any) -> str:
    """Look up what the user says that a volume is; empty if nothing was said."""
    return "" if volume is None else volume.GetAttribute(MODALITY_ATTRIBUTE) or ""


class Parameters:
    """See `Protocols.ChoicesProtocol.Choices`.

    The node is made when it is first needed, and again after the scene was closed. Nothing that belongs to the
    computer rather than to the work is kept here: no address and no API key.
    """

    def __init__(self, scene: Any) -> None:
        self.changed = Signal()
        self._scene = scene
        self._node: Any = None
        self._tag: int | None = None
        self._closed = False

    @property
    def node(self) -> Any:
        """The node of the scene."""
        node = self._scene.GetSingletonNode(MODULE, NODE)
        if node is None:
            node = self._scene.CreateNodeByClass(NODE)
            node.UnRegister(None)
            node.SetModuleName(MODULE)
            node.SetSingletonTag(MODULE)
            node.SetName(MODULE)
            node = self._scene.AddNode(node)
        if node is not self._node and not self._closed:
            self._observe(node)
        return node

    def close(self) -> None:
        """Emit nothing any more."""
        self._closed = True
        self._observe(None)

    def reloaded(self) -> None:
        """Read the choices anew after the scene was closed or loaded."""
        self.node  # noqa: B018 - looks for it anew
        self.changed.emit()

    @property
    def volume(self) -> Any:
        """The volume node to segment, or None."""
        return self.node.GetNodeReference(VOLUME)

    @volume.setter
    def volume(self, volume: Any) -> None:
        self._refer(VOLUME, volume)

    @property
    def segmentation(self) -> Any:
        """The segmentation node that results replace, or None for a new node."""
        return self.node.GetNodeReference(SEGMENTATION)

    @segmentation.setter
    def segmentation(self, segmentation: Any) -> None:
        self._refer(SEGMENTATION, segmentation)

    @property
    def model(self) -> str:
        """Name; empty for the server's first."""
        return self._text(MODEL)

    @model.setter
    def model(self, model: str) -> None:
        self._put(MODEL, model)

    @property
    def modality(self) -> str:
        """`"CT"` or `"MR"`, of the chosen volume; empty for what the server guesses."""
        return modality_of(self.volume)

    @modality.setter
    def modality(self, modality: str) -> None:
        volume = self.volume
        if volume is None or modality == self.modality:
            return
        if modality:
            volume.SetAttribute(MODALITY_ATTRIBUTE, modality)
        else:
            volume.RemoveAttribute(MODALITY_ATTRIBUTE)
        self.changed.emit()

    @property
    def slice_range_mm(self) -> tuple[float, float] | None:
        """Lower and upper position along the model's slice axis; None for all slices."""
        content = self._json(RANGE)
        if not isinstance(content, list) or len(content) != 2:
            return None
        return float(content[0]), float(content[1])

    @slice_range_mm.setter
    def slice_range_mm(self, limits: tuple[float, float] | None) -> None:
        self._put(RANGE, "" if limits is None else json.dumps([float(limit) for limit in limits]))

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names; None for all."""
        content = self._json(LABELS)
        return tuple(str(name) for name in content) if isinstance(content, list) else None

    @labels.setter
    def labels(self, labels: tuple[str, ...] | None) -> None:
        self._put(LABELS, "" if labels is None else json.dumps(list(labels)))

    @property
    def steps(self) -> int | None:
        """Of the inversion; None for the model's own number."""
        content = self._json(STEPS)
        return content if isinstance(content, int) and content > 0 else None

    @steps.setter
    def steps(self, steps: int | None) -> None:
        self._put(STEPS, str(int(steps)) if steps else "")

    @property
    def maps(self) -> bool:
        """Whether reconstruction, residual and uncertainty are fetched; they are unless switched off."""
        return self._text(MAPS) != "false"

    @maps.setter
    def maps(self, maps: bool) -> None:
        self._put(MAPS, "true" if maps else "false")

    def _text(self, name: str) -> str:
        return self.node.GetParameter(name) or ""

    def _json(self, name: str) -> Any:
        """Read what is stored; None for nothing and for what somebody has broken."""
        try:
            return json.loads(self._text(name) or "null")
        except ValueError:
            return None

    def _put(self, name: str, text: str) -> None:
        if text:
            self.node.SetParameter(name, text)
        else:
            self.node.UnsetParameter(name)

    def _refer(self, role: str, node: Any) -> None:
        identifier = None if node is None else node.GetID()
        if self.node.GetNodeReferenceID(role) != identifier:
            self.node.SetNodeReferenceID(role, identifier)

    def _observe(self, node: Any) -> None:
        import vtk

        if self._node is not None and self._tag is not None:
            self._node.RemoveObserver(self._tag)
        self._node = node
        self._tag = None if node is None else node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_modified)

    def _on_modified(self, *_: Any) -> None:
        self.changed.emit()
