"""What the user has chosen for a volume."""

from __future__ import annotations

from typing import Any, Protocol

from ..Signal import Signal


class Choices(Protocol):
    """What the user has chosen, kept in the scene: it is saved and loaded with it. See `Scene.Parameters`.

    `changed` is emitted without arguments, also when a loaded scene brings other choices.
    """

    changed: Signal

    volume: Any
    """The volume node to segment, or None."""

    segmentation: Any
    """The segmentation node that results replace, or None for a new node."""

    model: str
    """Name; empty for the server's first."""

    modality: str
    """`"CT"` or `"MR"`, of the chosen volume and kept with it; empty for what the server guesses from the values."""

    slice_range_mm: tuple[float, float] | None
    """Lower and upper position along the model's slice axis; None for all slices."""

    labels: tuple[str, ...] | None
    """Names; None for all."""

    steps: int | None
    """Of the inversion; None for the model's own number."""

    maps: bool
    """Whether reconstruction, residual and uncertainty are fetched."""
