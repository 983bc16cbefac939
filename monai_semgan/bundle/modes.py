"""What a bundle can do: all modes with generator, encoder and student; the preview with a student alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MODES = ("preview", "encoder", "invert", "refine")
"""preview: the student; encoder: latents of the encoder, rendered; invert: these latents optimised; refine: both."""

STUDENT_MODES = ("preview",)
"""Of a bundle without generator and encoder."""

STUDENT_ALONE = "a student alone: mode preview only, and no synthetic images"
"""What is told of such a bundle."""


def modes_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The modes that a bundle's `inference.json` allows, without loading its network.

    Args:
        config: its content.
    """
    network = config.get("network_def")
    alone = isinstance(network, Mapping) and "generator" in network and network["generator"] is None
    return STUDENT_MODES if alone else MODES
