"""What is known of the newest result of every volume, kept in the scene, so that it is there again after loading."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..Server.Parsing import Unreadable, parse
from ..Types.ResultTypes import MAPS, Result

MODULE = "SemGAN.Result"
NODE = "vtkMRMLScriptedModuleNode"
VOLUME, SEGMENTATION = "Volume", "Segmentation"
RESULT, FINGERPRINT, COUNTS, MAPS_OF = "Result", "Fingerprint", "Voxels", "MapsOf"
ORIGIN, EDITED = "Origin", "EditedBefore"


class Record:
    """The newest result of a volume: a hidden node that refers to the volume, its segmentation and its maps."""

    def __init__(self, node: Any) -> None:
        self.node = node

    @property
    def volume(self) -> Any:
        """The scan; None if it was deleted."""
        return self.node.GetNodeReference(VOLUME)

    @property
    def segmentation(self) -> Any:
        """The segmentation; None if it was deleted."""
        return self.node.GetNodeReference(SEGMENTATION)

    @segmentation.setter
    def segmentation(self, segmentation: Any) -> None:
        self.node.SetNodeReferenceID(SEGMENTATION, segmentation.GetID())

    @property
    def maps(self) -> dict[str, Any]:
        """Volume nodes by part; those that belong to the newest result."""
        result = self.result
        theirs = result is not None and result.job and self.node.GetParameter(MAPS_OF) == result.job
        return self.map_nodes() if theirs else {}

    def map_nodes(self) -> dict[str, Any]:
        """Find the volume nodes by part, of this or an earlier result."""
        found = {part: self.node.GetNodeReference(part) for part in MAPS}
        return {part: node for part, node in found.items() if node is not None}

    def set_map(self, part: str, node: Any) -> None:
        """Refer to the volume node of a map; None for none."""
        self.node.SetNodeReferenceID(part, None if node is None else node.GetID())

    def mark_maps(self) -> None:
        """Note that the maps are those of the newest result from now on."""
        result = self.result
        self.node.SetParameter(MAPS_OF, result.job if result is not None else "")

    @property
    def result(self) -> Result | None:
        """What the server said; None if it cannot be read."""
        try:
            return parse(Result, json.loads(self.node.GetParameter(RESULT) or "null"))
        except (Unreadable, ValueError):
            return None

    @property
    def fingerprint(self) -> str:
        """Hash of the label map as it came."""
        return self.node.GetParameter(FINGERPRINT) or ""

    @property
    def counts(self) -> dict[int, int]:
        """Voxels by number of the label, as it came."""
        content = json.loads(self.node.GetParameter(COUNTS) or "{}")
        return {int(label): int(count) for label, count in content.items()}

    @property
    def origin(self) -> str:
        """Tag of the server's label that this is; empty for the result of a job."""
        return self.node.GetParameter(ORIGIN) or ""

    @origin.setter
    def origin(self, tag: str) -> None:
        self.node.SetParameter(ORIGIN, tag)

    @property
    def edited_before(self) -> bool:
        """Whether it was no longer what the model found when it came: a label that a reader has corrected."""
        return self.node.GetParameter(EDITED) == "true"

    @edited_before.setter
    def edited_before(self, edited: bool) -> None:
        self.node.SetParameter(EDITED, "true" if edited else "")

    def write(self, result: Result, fingerprint: str, counts: Mapping[int, int]) -> None:
        """Keep what the server said, and what came; as the result of a job."""
        self.origin, self.edited_before = "", False
        self.node.SetParameter(RESULT, json.dumps(dataclasses.asdict(result)))
        self.node.SetParameter(FINGERPRINT, fingerprint)
        self.node.SetParameter(COUNTS, json.dumps({str(label): count for label, count in counts.items()}))


def records(scene: Any) -> Iterator[Record]:
    """Find all records of a scene."""
    nodes = scene.GetNodesByClass(NODE)
    nodes.UnRegister(None)
    for n in range(nodes.GetNumberOfItems()):
        node = nodes.GetItemAsObject(n)
        if node.GetModuleName() == MODULE:
            yield Record(node)


def record_of(volume: Any) -> Record | None:
    """Find the record of a volume; None if there is none."""
    return next((record for record in records(volume.GetScene()) if record.volume is volume), None)


def record_for(volume: Any) -> Record:
    """Find the record of a volume; it is made if there is none."""
    found = record_of(volume)
    if found is not None:
        return found
    scene = volume.GetScene()
    node = scene.CreateNodeByClass(NODE)
    node.UnRegister(None)
    node.SetModuleName(MODULE)
    node.SetName("SemGAN result")
    node.SetHideFromEditors(True)
    node = scene.AddNode(node)
    node.SetNodeReferenceID(VOLUME, volume.GetID())
    return Record(node)
