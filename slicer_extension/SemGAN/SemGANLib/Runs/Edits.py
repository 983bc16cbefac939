"""Which segmentations differ from the result that came."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.RunnerProtocol import Runner
from ..Scene.Geometry import ijk_to_world
from ..Scene.Records import Record, records
from ..Scene.SegmentationExport import fingerprint, snapshot
from ..Scene.SegmentationImport import Mark
from .Results import Target


class Edits:
    """Knows at once for results of this session; those of a loaded scene are compared by their hash, in a thread."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._marks: dict[str, Mark] = {}
        self._loaded: dict[str, bool] = {}
        self._compared: dict[str, Mark] = {}

    def remember(self, target: Target) -> None:
        """Remember how a result was when it came."""
        if target.mark is not None:
            self._marks[target.node.GetID()] = target.mark

    def mark(self, record: Record) -> Mark | None:
        """Look up how the segmentation was when it was as it came; None where it was loaded edited."""
        node = record.segmentation
        return None if node is None else self._marks.get(node.GetID())

    def edited(self, record: Record) -> bool:
        """Tell whether the segmentation differs from what came."""
        node, mark = record.segmentation, self.mark(record)
        if node is None:
            return False
        return self._loaded.get(node.GetID(), False) if mark is None else not mark.untouched(node)

    def compare_loaded(self, scene: Any, done: Callable[[], None]) -> None:
        """Compare the segmentations of a loaded scene with the results that they came from.

        Args:
            done: called for every one when its answer has come.
        """
        for record in records(scene):
            node = record.segmentation
            if record.volume is not None and node is not None and node.GetID() not in self._marks:
                self._compare(record, done)

    def forget(self, identifier: str) -> None:
        """Forget a node that is gone."""
        self._marks.pop(identifier, None)
        self._loaded.pop(identifier, None)
        self._compared.pop(identifier, None)

    def forget_all(self) -> None:
        """Forget all nodes: the scene is closed."""
        self._marks.clear()
        self._loaded.clear()
        self._compared.clear()

    def _compare(self, record: Record, done: Callable[[], None]) -> None:
        pieces, came = snapshot(record.segmentation, record.volume), record.fingerprint
        affine = ijk_to_world(record.volume)
        identifier, mark = record.segmentation.GetID(), Mark.of(record.segmentation)

        self._compared[identifier] = mark

        def answered(edited: bool) -> None:
            if self._compared.get(identifier) is mark:  # threads may answer in another order than they were asked
                self._loaded[identifier] = edited
                if not edited:  # later edits are noticed as those of a result of this session
                    self._marks[identifier] = mark
            done()

        self._runner.run(lambda: fingerprint(pieces.merged(), affine) != came, answered, lambda _error: done())
