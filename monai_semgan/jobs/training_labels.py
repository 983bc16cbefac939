"""What final labels hold: which structures, by name, in which images."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label
from monai_semgan.jobs.train_contract import LabelledStructure
from monai_semgan.organs import structure_key

logger = logging.getLogger(__name__)

REMEMBERED = 4096
"""Labels whose ids are kept in memory, so that each is read once."""

StructureKey = tuple[str, tuple[str, ...]]
"""See `organs.structure_key`."""


@dataclass(frozen=True)
class LabelledImage:
    """An image with a final label that may be trained with.

    Attributes:
        image: id in the datastore.
        file: the image.
        label: label ids on its grid.
        names: of ids in the label, as far as those tell who made it.
    """

    image: str
    file: Path
    label: Path
    names: Mapping[int, str]


FindLabels = Callable[[], Sequence[LabelledImage]]
"""Finds the images with final labels that may be trained with."""


@dataclass(frozen=True)
class SeenLabel:
    """What a final label holds.

    Attributes:
        source: image and label.
        names: name by id of all that is in it; None where nobody tells it.
    """

    source: LabelledImage
    names: Mapping[int, str | None]

    def id_of(self, name: str, label: int | None = None) -> int | None:
        """Return the id of a structure; None if it is not there.

        Args:
            name: of the structure.
            label: its id where no name is told.
        """
        key = structure_key(name)
        for index, known in self.names.items():
            if known is not None and structure_key(known) == key:
                return index
        return label if label is not None and self.names.get(label, "") is None else None


class LabelReader:
    """Reads which ids are in labels, each file once."""

    def __init__(self) -> None:
        self._ids: OrderedDict[tuple[str, int, int], frozenset[int]] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, labels: Iterable[LabelledImage], known: Mapping[int, str]) -> list[SeenLabel]:
        """Tell what labels hold; one that cannot be read is passed over.

        Args:
            labels: to look at.
            known: names by id of the model, which labels have unless they tell others.
        """
        found = []
        for one in labels:
            try:
                ids = self._ids_of(one.label)
            except (SemganError, OSError):
                logger.warning("a final label cannot be read, and is not learnt from")
                continue
            found.append(SeenLabel(one, _named(ids, one.names, known)))
        return found

    def _ids_of(self, path: Path) -> frozenset[int]:
        state = path.stat()
        key = (str(path), state.st_size, state.st_mtime_ns)
        with self._lock:  # one label in memory at a time
            found = self._ids.get(key)
            if found is None:
                found = frozenset(map(int, np.unique(read_label(path).array))) - {0}
            self._ids[key] = found
            while len(self._ids) > REMEMBERED:
                self._ids.popitem(last=False)
        return found


def _named(ids: frozenset[int], told: Mapping[int, str], known: Mapping[int, str]) -> dict[int, str | None]:
    """Name ids; of those that the model has, a label tells other names only if it names all that is in it.

    Some clients number the segments that they list, which are not those of the file.
    """
    first, second = (told, known) if ids <= told.keys() else (known, told)
    return {index: first.get(index) or second.get(index) for index in sorted(ids)}


def structures_in(labels: Sequence[SeenLabel], known: Mapping[int, str]) -> list[LabelledStructure]:
    """List the structures of labels: those of the model first, then others by name, then those without one."""
    of_model = {structure_key(name) for name in known.values()}
    found: dict[StructureKey | int, LabelledStructure] = {}
    for label in labels:
        for index, name in label.names.items():
            key = index if name is None else structure_key(name)
            is_known = key in of_model
            entry = LabelledStructure(name=name, label=index, known=is_known, images=[])
            found.setdefault(key, entry).images.append(label.source.image)
    return sorted(found.values(), key=lambda one: (not one.known, one.name is None, one.name or "", one.label))
