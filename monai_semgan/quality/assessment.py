"""The out-of-domain score: one minus the Dice that the quality features of a segmentation let expect."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_semgan.errors import SemganError
from monai_semgan.io.volume import voxel_ml
from monai_semgan.organs import speck_ml
from monai_semgan.quality.features import FEATURES, OrganPrior, quality_features, slice_uncertainty

if TYPE_CHECKING:
    from monai_semgan.slicing.preprocessing import Preprocessing

LIMITS = (0.25, 0.5)
"""Scores from which a scan is unusual, and out of domain, unless the bundle says otherwise."""

VERDICTS = ("in domain", "unusual", "out of domain")

CANNOT_TELL = "cannot tell"
"""Verdict where there is no score."""

LEAST_MM = 100.0
"""In lower parts of a body most organs are cut off or missing, which says nothing of the result: other weights."""

PART = " part"
"""After a kind of result: its weights for parts of a body."""

PART_SIGNS = ("doubt", "pieces")
"""Features that tell of parts what they tell of whole scans; the others take a cut for a failure."""

ADVICE = {
    "in domain": "The scan looks like what the model knows; check the result all the same.",
    "unusual": "The result may be wrong in places: look at every organ, above all at {doubtful}.",
    "out of domain": "Do not use the result unseen: check modality and orientation of the scan; {doubtful} least sure.",
}


@dataclass(frozen=True, eq=False)
class DomainAssessment:
    """How far a scan is from what the model knows.

    Attributes:
        score: 0 (as in training) to 1: one minus the mean of the expected Dice; None where it cannot be told.
        verdict: one of `VERDICTS`, or `CANNOT_TELL`.
        advice: what to do, one sentence; the reason where there is no score.
        features: mean over the organs of every sign, see `monai_semgan.quality.features`.
        per_slice: `(D,)` 0 to 1, doubt in every slice; NaN where nothing was found.
        organs: expected Dice by organ name; empty where there is no score.
    """

    score: float | None
    verdict: str
    advice: str
    features: dict[str, float]
    per_slice: np.ndarray
    organs: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {
            "score": None if self.score is None else round(self.score, 4),
            "verdict": self.verdict,
            "advice": self.advice,
            "features": {name: round(value, 4) for name, value in self.features.items()},
            "per_slice": [None if math.isnan(value) else round(float(value), 4) for value in self.per_slice],
            "expected_dice": {name: round(value, 4) for name, value in self.organs.items()},
        }


@dataclass(frozen=True)
class DomainModel:
    """Logistic model of the expected Dice of an organ; part of a bundle's settings (section `domain`).

    Args:
        weights: by kind of result (`preview`, or `rendered` for results of the generator; with ` part` for parts of a
            body): `intercept` and a weight by feature; the logit of the expected Dice is the intercept minus the
            weighted sum of the features.
        priors: size and place of the organs in training, by name, as `OrganPrior`'s fields.
        limits: score from which a scan is unusual, and from which it is out of domain.
    """

    weights: Mapping[str, Mapping[str, float]]
    priors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    limits: tuple[float, float] = LIMITS

    def __post_init__(self) -> None:
        for kind, weights in self.weights.items():
            unknown = sorted(set(weights) - {"intercept", *FEATURES})
            if unknown or "intercept" not in weights:
                problem = f"domain weights of {kind!r}: {f'unknown sign {unknown[0]!r}' if unknown else 'no intercept'}"
                raise SemganError(problem, remedy=f"known are intercept, {', '.join(FEATURES)}")

    def expected_dice(self, kind: str, organ_features: Mapping[str, float]) -> float:
        """Dice to expect of an organ with these features."""
        weights = self.weights[kind]
        logit = weights["intercept"] - sum(weights.get(name, 0.0) * value for name, value in organ_features.items())
        return 1.0 / (1.0 + math.exp(-min(max(logit, -30.0), 30.0)))

    def organ_priors(self) -> dict[str, OrganPrior]:
        """The priors as objects."""
        return {name: OrganPrior(**{k: tuple(v) for k, v in values.items()}) for name, values in self.priors.items()}


def found_organs(probabilities: torch.Tensor, affine: np.ndarray, organs: Mapping[int, str]) -> set[str]:
    """Names of the organs of which there is more than a speck; arguments as above."""
    counts = np.bincount(probabilities.argmax(1).numpy().reshape(-1), minlength=probabilities.shape[1])
    return {name for index, name in organs.items() if counts[index] * voxel_ml(affine) >= speck_ml(name)}


def too_low(slices: int, affine: np.ndarray) -> str:
    """Why a stack of slices is too low to judge it by its organs; empty if it is not.

    Args:
        slices: how many there are.
        affine: `(4, 4)` index (row, column, slice) to RAS mm.
    """
    height = slices * float(np.linalg.norm(affine[:3, 2]))
    if height >= LEAST_MM:
        return ""
    count = "1 slice" if slices == 1 else f"{slices} slices"
    return f"{count} only, {height:.0f} mm high"


def judged_affine(preprocessing: Preprocessing, affine: np.ndarray) -> np.ndarray:
    """The affine by which sizes and places are judged: of single images the same whatever a file says a pixel measures.

    Most pictures do not tell it, and one radiograph may be stored in many sizes.

    Args:
        preprocessing: of the model.
        affine: `(4, 4)` index (row, column, slice) to RAS mm.

    Returns:
        That of a volume as it is; of a single image with pixels of `pixel_mm`, one mm deep.
    """
    if preprocessing.field_of_view != "image":
        return affine
    judged = np.array(affine, dtype=np.float64)
    judged[:3, :3] *= np.array([preprocessing.pixel_mm] * 2 + [1.0]) / np.linalg.norm(judged[:3, :3], axis=0)
    return judged


def kind_of(mode: str) -> str:
    """Whose probabilities a mode gives out: the student's (refine leans on it) or the generator's."""
    return "preview" if mode in ("preview", "refine") else "rendered"


def assess_domain(
    model: DomainModel,
    probabilities: torch.Tensor,
    affine: np.ndarray,
    organs: Mapping[int, str],
    mode: str,
    chosen: Collection[int] | None = None,
    *,
    as_whole: bool = False,
) -> DomainAssessment | None:
    """Assess a segmentation.

    Args:
        model: of the bundle.
        probabilities: `(D, K, H, W)` on the grid of the slices, background first.
        affine: `(4, 4)` index (row, column, slice) to RAS mm.
        organs: name by id of all organs of the model; they are one another's landmarks.
        mode: of the segmentation.
        chosen: ids of the organs that count; all when left out.
        as_whole: judge a part of a body like a whole one: a single image, or to compare it with another.

    Returns:
        None if the model has no weights for results of this kind; without a score if the scan is a part of a body and
        there are no weights for parts, or no organ in it.
    """
    kind = kind_of(mode)
    if kind not in model.weights or not organs:
        return None
    part = "" if as_whole else too_low(len(probabilities), affine)
    per_slice = slice_uncertainty(probabilities)
    organ_features = quality_features(probabilities, affine, organs, model.organ_priors())
    wanted = {name for index, name in organs.items() if chosen is None or index in chosen}
    organ_features = {name: values for name, values in organ_features.items() if name in wanted}
    if part:
        kind += PART
        seen = found_organs(probabilities, affine, organs)
        organ_features = {name: values for name, values in organ_features.items() if name in seen}
        if kind not in model.weights or not organ_features:
            reason = part if organ_features else f"{part}; no organ was found"
            return DomainAssessment(None, CANNOT_TELL, f"Not checked: {reason}.", {}, per_slice, {})
    expected = {name: model.expected_dice(kind, values) for name, values in organ_features.items()}
    score = 1.0 - float(np.mean(list(expected.values())))
    verdict = VERDICTS[int(score >= model.limits[0]) + int(score >= model.limits[1])]
    advice = ADVICE[verdict].format(doubtful=min(expected, key=lambda name: expected[name]))
    advice += f" Judged by {', '.join(expected)} alone: {part}." if part else ""
    features = {sign: float(np.mean([values[sign] for values in organ_features.values()])) for sign in FEATURES}
    return DomainAssessment(score, verdict, advice, features, per_slice, expected)
