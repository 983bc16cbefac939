"""Reconstruction objectives by name: how far a rendered slice is from the slice that is to be explained."""

from __future__ import annotations

from collections.abc import Callable

from monai_semgan.errors import SemganError
from monai_semgan.inversion.objectives.base import ReconstructionObjective, WeightedSum
from monai_semgan.inversion.objectives.intensity_map import IntensityMapObjective
from monai_semgan.inversion.objectives.l1_features import FeaturesFn, L1FeatureObjective
from monai_semgan.inversion.objectives.structure import GradientObjective, LocalCorrelationObjective, MindObjective

OBJECTIVES = ("l1", "features", "mind", "gradient", "correlation", "structure", "map", "map-features")


def build_objective(name: str, features_fn: FeaturesFn | None = None, num_classes: int = 0) -> ReconstructionObjective:
    """Build an objective.

    `l1` and `features` are for the generator's own contrast, `mind`, `gradient`, `correlation` and their sum
    `structure` for any contrast, `map` and `map-features` fit a map of grey values first (call `refit`).

    Args:
        name: one of `OBJECTIVES`.
        features_fn: feature extractor for `features` and `map-features`.
        num_classes: classes with a contrast of their own in the fitted map; 0 for none.

    Raises:
        SemganError: if the name is unknown.
        ValueError: if features are needed and there is no extractor.
    """
    if name.endswith("features") and features_fn is None:
        raise ValueError(f"the objective {name!r} needs a feature extractor")
    builders: dict[str, Callable[[], ReconstructionObjective]] = {
        "l1": L1FeatureObjective,
        "features": lambda: L1FeatureObjective(features_fn),
        "mind": MindObjective,
        "gradient": GradientObjective,
        "correlation": LocalCorrelationObjective,
        "structure": lambda: WeightedSum(
            [(MindObjective(), 1.0), (GradientObjective(), 1.0), (LocalCorrelationObjective(), 0.25)]
        ),
        "map": lambda: IntensityMapObjective(L1FeatureObjective(), num_classes=num_classes),
        "map-features": lambda: IntensityMapObjective(L1FeatureObjective(features_fn), num_classes=num_classes),
    }
    if name not in builders:
        raise SemganError(f"unknown objective {name!r}", remedy=f"use one of {', '.join(OBJECTIVES)}")
    return builders[name]()
