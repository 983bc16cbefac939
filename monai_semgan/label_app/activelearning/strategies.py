"""Strategies of active learning: which unlabelled image comes next."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from monai_semgan.label_app.activelearning.reservations import Reservations, Reserving, Usable
from monai_semgan.label_app.image_ids import image_state, made_from

OUT_OF_DOMAIN, OLD_NAME = "semgan_out_of_domain", "semgan_residual"
"""The strategy that ranks by the out-of-domain score, and what clients of version 0.1 call it."""

OUT_OF_DOMAIN_SCORE = "out_of_domain"
OLD_SCORES = {OUT_OF_DOMAIN_SCORE: "residual"}
"""Names of scores in image infos that version 0.1 has written."""

SCORES = "semgan_scores"
"""Where an image's info keeps its scores; also the name of the scoring method that writes them."""


class HighestScore(Strategy):
    """Choose the image with the highest score; images without one come last, in random order.

    Scores of another model, or of an image that was replaced since, do not count.

    Args:
        score: key in `image info[SCORES]`.
        description: for users.
        chance: draws among images without a score.
        model: gives the hash of the model that is used; any model counts when left out.
    """

    def __init__(
        self,
        score: str,
        description: str,
        chance: random.Random | None = None,
        model: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(description)
        self.score, self.chance, self.model = score, chance or random.Random(), model

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """Return the next image and its score (None without one); None if there is no unlabelled image."""
        images = sorted(datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels")))
        if not images:
            return None
        model = self.model() if self.model is not None else ""
        scores = {image: self._score(image, datastore, model) for image in images}
        scored = {image: value for image, value in scores.items() if value is not None}
        chosen = max(scored, key=scored.__getitem__) if scored else self.chance.choice(images)
        return {"id": chosen, "score": scores[chosen]}

    def _score(self, image: str, datastore: Any, model: str) -> float | None:
        info = datastore.get_image_info(image)
        return score_of(info, self.score) if hold(info.get(SCORES), image, datastore, model) else None


class AnyImage(Strategy):
    """Choose an unlabelled image by chance.

    MONAI Label's own prefers images that were not given out for long, and fails where all were given out in this
    second, such as the last one.

    Args:
        chance: draws.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        super().__init__("Random Strategy")
        self.chance = chance or random.Random()

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """Return an image; None if there is no unlabelled one."""
        images = sorted(datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels")))
        return {"id": self.chance.choice(images)} if images else None


def score_of(info: Mapping[str, Any], score: str) -> float | None:
    """Return a score in an image's info; None if it is not there or no number."""
    scores = info.get(SCORES)
    value = scores.get(score, scores.get(OLD_SCORES.get(score))) if isinstance(scores, dict) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def hold(scores: object, image: str, datastore: Any, model: str) -> bool:
    """Tell whether scores of an image's info are of this model, any if it is empty, and of the image as it is now."""
    if not isinstance(scores, dict) or (model and of_another(scores, model)):
        return False
    return made_from(scores, image_state(image, datastore))


def of_another(scores: object, model: str) -> bool:
    """Tell whether scores of an image's info come from another model than the one with this hash."""
    return isinstance(scores, dict) and scores.get("model", model) != model


def strategies(
    reservations: Reservations | None = None,
    model: Callable[[], str] | None = None,
    usable: Usable | None = None,
) -> dict[str, Strategy]:
    """Return all strategies by name, MONAI Label's own too; an image given out by one is reserved in all.

    Args:
        reservations: shared by all; new ones when left out.
        model: gives the hash of the model whose scores count; those of any count when left out.
        usable: tells whether an image can be opened; others are never chosen.
    """
    from monailabel.tasks.activelearning.first import First

    shared = reservations or Reservations()
    unlike, differ = "Scans that are least like what the model knows", "Scans on which student and inversion differ"
    plain = {
        OUT_OF_DOMAIN: HighestScore(OUT_OF_DOMAIN_SCORE, f"{unlike} come first", model=model),
        "semgan_disagreement": HighestScore("disagreement", f"{differ} come first", model=model),
        "random": AnyImage(),
        "first": First(),
        OLD_NAME: HighestScore(OUT_OF_DOMAIN_SCORE, "Earlier name of semgan_out_of_domain", model=model),
    }
    return {name: Reserving(strategy, shared, usable) for name, strategy in plain.items()}
