"""The scoring method: gives every unlabelled image the scores that the strategies rank by."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monailabel.interfaces.exception import ImageNotFoundException
from monailabel.interfaces.tasks.scoring import ScoringMethod

from monai_semgan.errors import SemganError
from monai_semgan.label_app.activelearning.measures import disagreement
from monai_semgan.label_app.activelearning.strategies import OUT_OF_DOMAIN_SCORE, SCORES
from monai_semgan.label_app.batch import Report
from monai_semgan.label_app.image_ids import IMAGE_STATE, image_state
from monai_semgan.label_app.infer_request import InferRequest

if TYPE_CHECKING:
    from monai_semgan.label_app.infer import Engine

log = logging.getLogger(__name__)

STEPS = 5
"""Of the inversion: few, since images are ranked and not segmented."""

DESCRIPTION = "Out-of-domain score, and disagreement of student and inversion, of all unlabelled images"


class SemganScores(ScoringMethod):
    """Scores unlabelled images one after the other.

    One whose scores are of the same image, model and steps is left out.

    Args:
        engine: segments; that of the infer tasks.
        model: gives the hash of weights and configuration.
    """

    def __init__(self, engine: Engine, model: Callable[[], str]) -> None:
        super().__init__(DESCRIPTION)
        self.engine, self.model = engine, model

    def __call__(self, request: Mapping[str, Any], datastore: Any, report: Report | None = None) -> dict[str, Any]:
        """Score what has no scores yet, and write each image's scores as soon as they are known.

        Args:
            request: optional `steps` of the inversion, and `again` (true: also what has scores).
            datastore: its image infos get the scores.
            report: who wants to know how far it is, and says whether to go on; the log when left out.

        Returns:
            Numbers of images: `total`, `skipped`, `executed` and `failed`; seconds: `latency`.

        Raises:
            SemganError: a value of the request makes no sense.
        """
        started, report = time.perf_counter(), report or _log
        steps = InferRequest.from_params("invert", {"steps": request.get("steps")}).steps or STEPS

        def made_with(image: str) -> dict[str, Any]:
            return {"model": self.model(), "steps": steps, IMAGE_STATE: image_state(image, datastore)}

        images = sorted(datastore.get_unlabeled_images())
        again = request.get("again") is True
        missing = [i for i in images if again or not _has_scores(datastore.get_image_info(i), made_with(i))]
        done = failed = 0
        for image in missing:
            if not report(done, failed, len(missing)):
                break
            try:
                origin = made_with(image)  # before it is read: what replaces it meanwhile has no scores
                scores = self._scores(datastore.get_image_uri(image), steps)
                if self.model() != origin["model"]:  # another version has come into use, and nobody knows which it was
                    origin = made_with(image)
                    scores = self._scores(datastore.get_image_uri(image), steps)
                datastore.update_image_info(image, {SCORES: {**scores, **origin, "ts": int(time.time())}})
            except (SemganError, ImageNotFoundException) as error:
                if not report(done, failed, len(missing)):  # the wish to stop has ended it
                    break
                log.warning("an image could not be scored: %s", getattr(error, "problem", "it was removed"))
                failed += 1
            done += 1
        report(done, failed, len(missing))
        counts = {"total": len(images), "skipped": len(images) - len(missing), "executed": done - failed}
        return {**counts, "failed": failed, "latency": round(time.perf_counter() - started, 3)}

    def _scores(self, path: str, steps: int) -> dict[str, float | None]:
        """Return scores of a file; a score that the model cannot tell is None."""
        with (
            self._segmented(path, InferRequest("preview", ".nii")) as (preview, facts),
            self._segmented(path, InferRequest("invert", ".nii", steps)) as (inversion, _),
        ):
            differ = disagreement(preview, inversion, self.engine.labels.keys())
        domain = facts.get("domain")
        return {OUT_OF_DOMAIN_SCORE: domain["score"] if domain else None, "disagreement": round(differ, 4)}

    @contextmanager
    def _segmented(self, path: str, request: InferRequest) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
        """Yield label ids `(I, J, K)` and facts; the file with the label is gone in the end."""
        import nibabel

        file, facts = self.engine.segment(path, request)
        try:
            yield np.asarray(nibabel.load(file).dataobj), facts  # type: ignore[attr-defined]
        finally:
            Path(file).unlink(missing_ok=True)


def scoring_methods(engine: Engine, model: Callable[[], str]) -> dict[str, ScoringMethod]:
    """Return the scoring methods by name.

    Args:
        engine: segments; that of the infer tasks.
        model: gives the hash of weights and configuration.
    """
    return {SCORES: SemganScores(engine, model)}


def _has_scores(info: Mapping[str, Any], same: Mapping[str, Any]) -> bool:
    scores = info.get(SCORES)
    return isinstance(scores, dict) and all(scores.get(name) == value for name, value in same.items())


def _log(done: int, failed: int, total: int) -> bool:
    log.info("scoring: %d of %d images done, %d of them failed", done, total, failed)
    return True
