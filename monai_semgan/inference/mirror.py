"""Does a scan look more like a body when it is mirrored? Then the sides in its header are wrong.

The labels of a mirrored body do not show it: the model puts the liver where a liver should be. But it is less sure of
it there than in the mirror image, in which the organs are where they look like themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from monai_semgan.inference.preview import preview_slices
from monai_semgan.inference.segmentation import domain_model
from monai_semgan.inference.slice_modes import is_out_of_domain, preview_settings
from monai_semgan.organs import one_sided
from monai_semgan.quality.anatomy import AnatomyCheck
from monai_semgan.quality.assessment import DomainModel, assess_domain, too_low
from monai_semgan.utils.gpu import with_cpu_fallback
from monai_semgan.utils.shared_background import whole_background

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.slicing.prepared import PreparedVolume

SLICE_MM = 10.0
"""Distance of the slices that are looked at."""

SIDES = "sides of the body"

ALONG_ROWS = 0.85
"""Cosine of rows and the left-right axis up to which a flip of the rows is a mirror image of the body."""

CLEARLY = 0.02
"""Difference of the scores below which nothing is said."""


@dataclass(frozen=True)
class MirrorScores:
    """Hold out-of-domain scores of the preview.

    Attributes:
        stored: of the scan as its header says.
        mirrored: of its mirror image.
    """

    stored: float
    mirrored: float

    @property
    def suspicious(self) -> bool:
        """Tell whether the mirror image looks more like a body that the model knows."""
        return self.stored - self.mirrored > CLEARLY


def mirror_scores(bundle: Bundle, prepared: PreparedVolume) -> MirrorScores | None:
    """Segment a few slices and their mirror images by the plain student.

    Returns:
        None where that tells nothing, see `why_not`.
    """
    model = domain_model(bundle)
    if model is None or why_not(bundle, prepared):
        return None
    affine = prepared.geometry.grid_affine.copy()
    step = max(1, int(SLICE_MM / float(np.linalg.norm(affine[:3, 2]))))
    affine[:3, 2] *= step
    image = prepared.image[::step]
    settings = replace(preview_settings(bundle), shift_pixels=0, smoothing_mm=0.0)

    def score(slices: torch.Tensor) -> float:
        def compute(network: torch.nn.Module) -> torch.Tensor:
            device = next(network.parameters()).device
            return preview_slices(network, slices, settings, is_out_of_domain(bundle, prepared), device=device)

        return _score(model, with_cpu_fallback(bundle.network, compute)[0], affine, bundle)

    return MirrorScores(score(image), score(image.flip(-2)))  # rows run along the patient's left-right axis


def why_not(bundle: Bundle, prepared: PreparedVolume) -> str:
    """Why the sides of a scan cannot be checked by its mirror image; empty if they can."""
    if bundle.preprocessing.field_of_view == "image":
        return "it is a single image"
    rows = prepared.geometry.grid_affine[:3, 0]
    if abs(rows[0]) < ALONG_ROWS * np.linalg.norm(rows):
        return "the slices do not show the patient's sides left and right"
    if prepared.not_in_hu:
        return "its values are none of a CT in HU"
    if not one_sided(bundle.trained_labels):
        return "the model has no organ that lies on one side only"
    model = domain_model(bundle)
    if model is None or "preview" not in model.weights:
        return "the bundle has no calibration (semgan calibrate)"
    return too_low(prepared.geometry.num_slices, prepared.geometry.grid_affine)


def mirror_check(scores: MirrorScores) -> AnatomyCheck:
    """Turn the scores into a check of the anatomy."""
    values = f"out-of-domain score {scores.stored:.2f}, mirrored {scores.mirrored:.2f}"
    finding = f"The body is not mirrored ({values})."
    if scores.suspicious:
        finding = f"The body looks mirrored ({values}): right and left in the file's header are probably wrong."
    return AnatomyCheck(SIDES, not scores.suspicious, finding, "mirrored_header")


def _score(model: DomainModel, probabilities: torch.Tensor, affine: np.ndarray, bundle: Bundle) -> float:
    known = whole_background(probabilities, bundle.network.added_counts)
    found = assess_domain(model, known, affine, bundle.trained_labels, "preview", as_whole=True)
    assert found is not None and found.score is not None
    return found.score
