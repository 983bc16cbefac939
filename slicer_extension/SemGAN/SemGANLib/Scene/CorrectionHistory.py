"""The corrections of a result, with the label of each, kept in the scene: undo and redo need neither server nor time.

The label before the first correction is kept whole, every correction as what it changed; all compressed.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import Geometry, LabelChange
from .Records import NODE, SEGMENTATION, VOLUME
from .Strokes import renumbered
from .VolumeExport import shape_of

if TYPE_CHECKING:
    import numpy

MODULE = "SemGAN.Corrections"
GRID, BASE, BASE_STEP, CURRENT, STEP, ROOT = "Grid", "Base", "BaseStep", "Current", "Step", "Root"

MOST_STEPS = 50
MOST_BYTES = 32_000_000
"""Of all changes together, compressed; the oldest go first."""


@dataclass(frozen=True)
class Step:
    """A correction.

    Attributes:
        number: counts up; a number never means another correction.
        time: seconds since the epoch.
        warning: what the user should know of it.
        root: id of the job at the server whose correction this is; empty where the server does not have this state.
        servers: its number there; 0 for the result of the job itself.
        state: `"done"` or `"cancelled"`.
    """

    number: int
    time: float = 0.0
    text: str = ""
    warning: str = ""
    root: str = ""
    servers: int = 0
    state: str = "done"


class CorrectionHistory:
    """Corrections of one segmentation: a hidden node of the scene. See `find` and `begin`."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._base = base64.b64decode(node.GetParameter(BASE))
        self.first = Step(**json.loads(node.GetParameter(BASE_STEP)))
        self.steps: list[Step] = []
        self._changes: dict[int, bytes] = {}
        for name in sorted((one for one in node.GetParameterNames() if one.startswith(STEP)), key=_number):
            content = json.loads(node.GetParameter(name))
            change = base64.b64decode(content.pop("change"))
            self.steps.append(Step(**content))
            self._changes[self.steps[-1].number] = change
        self._current = int(node.GetParameter(CURRENT))
        self._fit_grid()
        self.label = self._label_at(self._current)
        """(K, J, I) label map of the state in force; never changed in place."""

    @classmethod
    def find(cls, segmentation: Any, volume: Any) -> CorrectionHistory | None:
        """Find the history of a segmentation; None if there is none that can be read and fits the volume."""
        nodes = segmentation.GetScene().GetNodesByClass(NODE)
        nodes.UnRegister(None)
        for n in range(nodes.GetNumberOfItems()):
            node = nodes.GetItemAsObject(n)
            if node.GetModuleName() == MODULE and node.GetNodeReference(SEGMENTATION) is segmentation:
                if node.GetNodeReference(VOLUME) is not volume:
                    return None
                try:
                    return cls(node)
                except (ValueError, TypeError, KeyError, zlib.error):  # damaged, or of a volume that was replaced
                    return None
        return None

    @classmethod
    def begin(cls, segmentation: Any, volume: Any, label: numpy.ndarray, root: str) -> CorrectionHistory:
        """Begin a history with the label before all corrections; an earlier one of the segmentation goes.

        Args:
            label: (K, J, I).
            root: id of the job whose result this is; empty if of none.
        """
        scene = segmentation.GetScene()
        remove(segmentation)
        node = scene.CreateNodeByClass(NODE)
        node.UnRegister(None)
        node.SetModuleName(MODULE)
        node.SetName("SemGAN corrections")
        node.SetHideFromEditors(True)
        node = scene.AddNode(node)
        node.SetNodeReferenceID(VOLUME, volume.GetID())
        node.SetNodeReferenceID(SEGMENTATION, segmentation.GetID())
        node.SetParameter(GRID, _grid_text(volume))
        node.SetParameter(BASE, _text(zlib.compress(label.tobytes(), LabelChange.LEVEL)))
        node.SetParameter(BASE_STEP, json.dumps(dataclasses.asdict(Step(0, root=root))))
        node.SetParameter(CURRENT, "0")
        return cls(node)

    @property
    def root(self) -> str:
        """What was noted of the job at the server that is corrected; empty if nothing was."""
        return self._node.GetParameter(ROOT) or ""

    @root.setter
    def root(self, text: str) -> None:
        self._node.SetParameter(ROOT, text)

    @property
    def current(self) -> Step:
        """The correction in force; `first` for the state before all that are kept."""
        return next((step for step in self.steps if step.number == self._current), self.first)

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier state."""
        return self._current != self.first.number

    @property
    def can_redo(self) -> bool:
        """Whether there is a state that was undone."""
        return bool(self.steps) and self._current != self.steps[-1].number

    def add(self, step: Step, change: bytes) -> None:
        """Add a correction to the state in force; what was undone goes for good.

        Args:
            step: its number is given here.
            change: from the label in force to that of the correction, by `LabelChange`.
        """
        label = LabelChange.applied(self.label, change)
        number = max([self.first.number, *(kept.number for kept in self.steps)]) + 1
        while self.can_redo:
            self._drop(self.steps[-1])
        step = dataclasses.replace(step, number=number)
        self.steps.append(step)
        self._changes[number] = change
        content = {**dataclasses.asdict(step), "change": _text(change)}
        self._node.SetParameter(f"{STEP}{number}", json.dumps(content))
        self._go(number, label)
        while len(self.steps) > MOST_STEPS or (len(self.steps) > 1 and self._bytes() > MOST_BYTES):
            self._forget_oldest()

    def undo(self) -> None:
        """Go to the state before the one in force; nothing where there is none."""
        if self.can_undo:
            numbers = [self.first.number, *(step.number for step in self.steps)]
            self.go_to(numbers[numbers.index(self._current) - 1])

    def redo(self) -> None:
        """Go to the state that was undone last; nothing where there is none."""
        if self.can_redo:
            numbers = [self.first.number, *(step.number for step in self.steps)]
            self.go_to(numbers[numbers.index(self._current) + 1])

    def go_to(self, number: int) -> None:
        """Go to the state after a correction; unknown ones are ignored."""
        if number == self.first.number or number in self._changes:
            self._go(number, self._moved(self.label, self._current, number))

    def _go(self, number: int, label: numpy.ndarray) -> None:
        self._current, self.label = number, label
        self._node.SetParameter(CURRENT, str(number))

    def _label_at(self, number: int) -> numpy.ndarray:
        import numpy as np

        _affine, shape = self._grid()
        base = np.frombuffer(zlib.decompress(self._base), dtype=np.uint8).reshape(shape[::-1])
        return self._moved(base, self.first.number, number)

    def _moved(self, label: numpy.ndarray, start: int, end: int) -> numpy.ndarray:
        """Go from the label of one state to that of another."""
        between = [step.number for step in self.steps if min(start, end) < step.number <= max(start, end)]
        for number in between if end > start else reversed(between):
            label = LabelChange.applied(label, self._changes[number], backwards=end < start)
        return label

    def _drop(self, step: Step) -> None:
        self.steps.remove(step)
        del self._changes[step.number]
        self._node.UnsetParameter(f"{STEP}{step.number}")

    def _forget_oldest(self) -> None:
        """Make the oldest correction part of the first state."""
        oldest = self.steps[0]
        base = self._label_at(oldest.number)
        self._base, self.first = zlib.compress(base.tobytes(), LabelChange.LEVEL), oldest
        self._drop(oldest)
        self._node.SetParameter(BASE, _text(self._base))
        self._node.SetParameter(BASE_STEP, json.dumps(dataclasses.asdict(oldest)))

    def _bytes(self) -> int:
        return sum(map(len, self._changes.values()))

    # the grid

    def _grid(self) -> tuple[numpy.ndarray, tuple[int, int, int]]:
        import numpy as np

        content = json.loads(self._node.GetParameter(GRID))
        i, j, k = content["shape"]
        return np.array(content["affine"]), (i, j, k)

    def _fit_grid(self) -> None:
        """Number the voxels as the scan has them now: Slicer turns the slices of some scans round on loading."""
        import numpy as np

        volume = self._node.GetNodeReference(VOLUME)
        (affine, shape), now = self._grid(), shape_of(volume)
        place = Geometry.same_points(Geometry.ijk_to_ras(volume), now, affine, shape)
        if place is None and now != shape:
            raise ValueError("the history is of another volume")
        if place is None or (place.axes == (0, 1, 2) and not any(place.flipped)):  # only moved, or as it was
            return
        base = np.frombuffer(zlib.decompress(self._base), dtype=np.uint8).reshape(shape[::-1])
        self._base = zlib.compress(np.ascontiguousarray(place.reordered(base)).tobytes(), LabelChange.LEVEL)
        self._node.SetParameter(BASE, _text(self._base))
        self._node.SetParameter(GRID, _grid_text(volume))
        for step in self.steps:
            indices, before, after = LabelChange.unpacked(self._changes[step.number])
            turned = renumbered(indices, shape, now, place, ordered=False)
            order = np.argsort(turned)
            change = LabelChange.packed(turned[order], before[order], after[order])
            self._changes[step.number] = change
            content = {**dataclasses.asdict(step), "change": _text(change)}
            self._node.SetParameter(f"{STEP}{step.number}", json.dumps(content))


def remove(segmentation: Any) -> None:
    """Remove the history of a segmentation from the scene."""
    scene = segmentation.GetScene()
    nodes = scene.GetNodesByClass(NODE)
    nodes.UnRegister(None)
    found = [nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems())]
    for node in found:
        if node.GetModuleName() == MODULE and node.GetNodeReference(SEGMENTATION) in (segmentation, None):
            scene.RemoveNode(node)


def _grid_text(volume: Any) -> str:
    return json.dumps({"affine": Geometry.ijk_to_ras(volume).tolist(), "shape": shape_of(volume)})


def _number(parameter: str) -> int:
    return int(parameter[len(STEP) :])


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
