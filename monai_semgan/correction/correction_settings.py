"""Settings of a correction."""

from __future__ import annotations

from dataclasses import dataclass

from monai_semgan.utils.settings import check_ranges, checked


@checked
@dataclass(frozen=True)
class CorrectionSettings:
    """Set how far a correction reaches, and how it is computed.

    Args:
        reach_mm: how far from the touched slices, along their normal, neighbours follow; 0 for the touched ones alone.
        locked: label ids that no correction changes.
        steps: updates of a touched slice's latent; 0 leaves latents out.
        learning_rate: step length of Adam, in units of the latent space w.
        spatial_learning_rate: the same for the spatial part.
        stroke_weight: weight of the strokes in the search.
        keep_weight: weight of the label as it stands, away from the strokes.
        point_mm: radius of the disc that a point stands for.

    Raises:
        SemganError: if a value makes no sense.
    """

    reach_mm: float = 25.0
    locked: tuple[int, ...] = ()
    steps: int = 6
    learning_rate: float = 0.02
    spatial_learning_rate: float = 0.05
    stroke_weight: float = 1.0
    keep_weight: float = 1.0
    point_mm: float = 4.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "locked", tuple(self.locked))
        check_ranges(
            self,
            not_negative=("reach_mm", "steps", "stroke_weight", "keep_weight"),
            positive=("learning_rate", "spatial_learning_rate", "point_mm"),
        )
