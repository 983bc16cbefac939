"""The models that a server runs and the structures that they find, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Code:
    """An entry of a coding scheme."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """A structure that a model finds.

    Attributes:
        colour: red, green, blue, 0 to 255.
        side: right or left, of paired organs.
        dice: measured mean 3D Dice of the preview by modality; no part of what the structure is.
    """

    id: int
    name: str
    colour: tuple[int, int, int]
    category: Code
    kind: Code
    side: Code | None = None
    dice: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Mode:
    """A way to run a model.

    Attributes:
        steps: of the inversion unless asked otherwise; None where there are none.
        seconds: measured by the server for its last scan; None before.
        dice: measured mean 3D Dice by modality.
        gain: measured mean 3D Dice minus that of the preview, by modality.
        worth_it: whether it is measurably better than the preview; None where it was not measured.
    """

    name: str
    description: str = ""
    steps: int | None = None
    seconds: float | None = None
    dice: Mapping[str, float] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    worth_it: bool | None = None


@dataclass(frozen=True)
class Model:
    """A model that the server runs.

    Attributes:
        sha256: of the weights.
        slice_axis: RAS direction along which slices are counted.
    """

    name: str
    version: str
    sha256: str
    labels: tuple[Label, ...]
    modes: tuple[Mode, ...]
    description: str = ""
    modalities: tuple[str, ...] = ()
    slice_axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    bytes: int = 0
    research_only: str = ""


@dataclass(frozen=True)
class ModelId:
    """Which weights made a result."""

    name: str
    version: str
    sha256: str


def names(labels: tuple[Label, ...]) -> list[str]:
    """List the names of labels in order."""
    return [label.name for label in labels]


def known_structures(models: tuple[Model, ...]) -> dict[str, int]:
    """Collect the numbers of the structures that models find, by name; the first model's where they differ."""
    return {label.name: label.id for model in reversed(models) for label in model.labels}
