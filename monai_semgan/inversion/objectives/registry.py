"""Reconstruction objectives by name: how far a rendered slice is from the slice that is to be explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from monai_semgan.errors import SemganError
from monai_semgan.inversion.objectives.base import FeaturesFn, ReconstructionObjective

AUTO = "auto"
"""Name that leaves the choice to the inversion: it depends on the modality."""

Factory = TypeVar("Factory", bound=Callable[..., ReconstructionObjective])


@dataclass(frozen=True)
class ObjectiveEntry:
    """Hold what is known of a registered objective.

    Attributes:
        make: class or function that makes it.
        needs_features: `make` is called with a feature extractor, otherwise with nothing.
    """

    make: Callable[..., ReconstructionObjective]
    needs_features: bool = False


_entries: dict[str, ObjectiveEntry] = {}

OBJECTIVES: Mapping[str, ObjectiveEntry] = MappingProxyType(_entries)
"""All objectives by name, in the order of their registration; a view that grows with `register_objective`."""


def register_objective(name: str, *, needs_features: bool = False) -> Callable[[Factory], Factory]:
    """Give a class or a function that makes an objective a name, for settings, configurations and `--objective`.

    Registering the same class or function again, as a notebook does, replaces it.

    Args:
        name: not yet taken.
        needs_features: call what is decorated with a feature extractor, image `(n, C, H, W)` to a list of maps.

    Examples:
        >>> @register_objective("squares")
        ... class SquaresObjective(ReconstructionObjective):
        ...     def prepare(self, target):
        ...         return {"target": target}
        ...
        ...     def __call__(self, image, state, index, probabilities=None):
        ...         return (image.float() - state["target"][index]).square().mean((1, 2, 3))

    Raises:
        SemganError: if the name is taken.
    """

    def register(make: Factory) -> Factory:
        taken = _entries.get(name)
        if name == AUTO or (taken is not None and _origin(taken.make) != _origin(make)):
            owner = "the choice by modality" if taken is None else _origin(taken.make)
            problem = f"the name {name!r} of the objective {_origin(make)} is taken by {owner}"
            raise SemganError(problem, remedy="register it under another name")
        _entries[name] = ObjectiveEntry(make, needs_features)
        return make

    return register


def build_objective(name: str, features_fn: FeaturesFn | None = None) -> ReconstructionObjective:
    """Build an objective.

    `l1` and `features` are for the generator's own contrast, `mind`, `gradient`, `correlation` and their sum
    `structure` for any contrast, `map` and `map-features` fit a map of grey values first (call `refit`).

    Args:
        name: one of `OBJECTIVES`.
        features_fn: feature extractor, for objectives that need one.

    Raises:
        SemganError: if the name is unknown.
        ValueError: if features are needed and there is no extractor.
    """
    check_objective(name)
    entry = OBJECTIVES[name]
    if not entry.needs_features:
        return entry.make()
    if features_fn is None:
        raise ValueError(f"the objective {name!r} needs a feature extractor")
    return entry.make(features_fn)


def check_objective(name: str) -> None:
    """Raise a `SemganError` that names the known objectives if a name is not among them."""
    if name not in OBJECTIVES:
        raise SemganError(f"unknown objective {name!r}", remedy=f"use one of {', '.join(OBJECTIVES)}")


def _origin(make: Any) -> str:
    """Say where a class or function comes from."""
    return f"{getattr(make, '__module__', '?')}.{getattr(make, '__qualname__', repr(make))}"
