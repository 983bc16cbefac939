"""Weights of a student that go on with more structures than they were trained for."""

from __future__ import annotations

from collections.abc import Mapping

import torch

CLASS_AXES: dict[str, tuple[int, ...]] = {
    "model.2.0.conv.weight": (1,),
    "model.2.0.conv.bias": (0,),
    "model.2.1.conv.unit0.conv.weight": (0, 1),
    "model.2.1.conv.unit0.conv.bias": (0,),
}
"""Weights of a `StudentUNet` that have a channel for each class, and their axes of the classes: those of the level at
which logits come out."""


def student_classes(state: Mapping[str, torch.Tensor]) -> int:
    """Count the classes of a student's state dict, background included; 0 if it is none of a student."""
    bias = state.get("model.2.1.conv.unit0.conv.bias")
    return 0 if bias is None else len(bias)


def with_more_classes(state: Mapping[str, torch.Tensor], fresh: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put the weights of a student into those of a new one that knows more classes.

    The known classes are the first of the new ones, and their logits stay what they were: what is in the channels of
    the new classes does not enter them until training lets it.

    Args:
        state: weights that are trained, of K classes.
        fresh: initial weights of a student of the same channels with more classes.

    Returns:
        Weights for the new student. Where it knows no more classes, or differs in more than that, those of `state` are
        left as they are, for `load_into` to name.
    """
    if student_classes(state) >= student_classes(fresh):
        return dict(state)
    return {name: _grown(tensor, fresh.get(name), CLASS_AXES.get(name, ())) for name, tensor in state.items()}


def _grown(tensor: torch.Tensor, fresh: torch.Tensor | None, axes: tuple[int, ...]) -> torch.Tensor:
    if fresh is None or not axes or _other_sizes(tensor, axes) != _other_sizes(fresh, axes):
        return tensor
    grown, known = fresh.clone(), tensor.shape[axes[0]]
    if len(axes) == 2:
        grown[:known, known:] = 0.0
    grown[tuple(slice(0, count) for count in tensor.shape)] = tensor
    return grown


def _other_sizes(tensor: torch.Tensor, axes: tuple[int, ...]) -> list[int]:
    return [count for axis, count in enumerate(tensor.shape) if axis not in axes]
