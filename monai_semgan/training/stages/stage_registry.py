"""The stages of training by name; a stage from outside the package registers itself and is trained like these."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, Protocol, TypeVar

from monai_semgan._moved import OldNameWarning
from monai_semgan.errors import SemganError
from monai_semgan.networks import JointGenerator
from monai_semgan.training.stages.stage import Stage, StageContext

S = TypeVar("S", bound=type[Stage])


@dataclass(frozen=True)
class TrainedGenerator:
    """The generator of earlier stages, or of the weights to begin with, and what no weight tells.

    Attributes:
        network: frozen by the stage if it wants; None where there is none yet.
        resample_filter: of its upsampling, as its training was set.
        spatial_size: edge length of the spatial part of the latents that the encoder predicts for it.
    """

    network: JointGenerator | None
    resample_filter: tuple[int, ...]
    spatial_size: int


class GeneratorSource(Protocol):
    """What gives a stage the generator of earlier ones."""

    def __call__(self, any_classes: bool = False) -> TrainedGenerator:
        """Return it; one for other classes than those of the run is refused unless `any_classes`."""


class StageBuilder(Protocol):
    """What makes a stage: `Stage.build` of the registered class."""

    def __call__(
        self, context: StageContext, settings: Any, generator: GeneratorSource
    ) -> tuple[Stage, dict[str, Any]]:
        """Return the stage, and what the record says of its networks."""


@dataclass(frozen=True)
class StageEntry:
    """A registered stage.

    Attributes:
        name: of the stage and of its folder in a run.
        settings: dataclass with defaults for every field.
        build: makes it.
        share: of the common time budget of `all`; 0 keeps it out of `all`.
        labelled_only: whether it is given labelled volumes alone; goes in 0.4, see `register_stage`.
        position: earlier stages of a run have lower ones; their weights are what a stage begins with.
    """

    name: str
    settings: type
    build: StageBuilder
    share: float = 0.0
    labelled_only: bool = False
    position: int = 100


_STAGES: dict[str, StageEntry] = {}


def register_stage(
    name: str, settings: type, *, share: float = 0.0, labelled_only: bool = False, position: int = 100
) -> Callable[[S], S]:
    """Register a `Stage` class; see `StageEntry` for the arguments.

    The class needs a static method `build`, see `StageBuilder`. `labelled_only` is deprecated: a stage sees all slices
    and draws those of `context.slices.labelled_indices`.

    Raises:
        SemganError: if the name is taken, or cannot be that of a folder.
    """

    if labelled_only:
        told = "labelled_only of register_stage goes in 0.4: draw the slices of context.slices.labelled_indices"
        warnings.warn(told, OldNameWarning, stacklevel=2)

    def register(stage: S) -> S:
        if name in (*_STAGES, "all"):
            raise SemganError(f"the stage {name!r} is known already", remedy="choose another name")
        if not name.isidentifier() or not is_dataclass(settings):
            raise SemganError(f"{name!r} is no stage", remedy="give an identifier and a dataclass of settings")
        stage.name = name
        build: StageBuilder = stage.build  # type: ignore[attr-defined]
        _STAGES[name] = StageEntry(name, settings, build, share, labelled_only, position)
        return stage

    return register


def forget_stage(name: str) -> None:
    """Take a registered stage back."""
    del _STAGES[name]


def find_stage(name: str) -> StageEntry:
    """Look a stage up.

    Raises:
        SemganError: if there is none of this name.
    """
    if name not in _STAGES:
        raise SemganError(f"unknown stage {name!r}", remedy=f"use {', '.join((*stage_names(), 'all'))}")
    return _STAGES[name]


def stage_names() -> tuple[str, ...]:
    """Name of all stages, in the order in which `all` trains them."""
    return tuple(sorted(_STAGES, key=lambda name: _STAGES[name].position))


def stage_position(name: str) -> int:
    """Place of a stage among those of a run; a stage that this program does not know comes last."""
    return _STAGES[name].position if name in _STAGES else StageEntry.position


def budget_shares() -> Mapping[str, float]:
    """Share of a common time budget by stage of `all`."""
    return {name: _STAGES[name].share for name in stage_names() if _STAGES[name].share > 0}
