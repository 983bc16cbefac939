"""Batch inference that also runs on a computer without a GPU, and goes on when one image cannot be segmented."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import JobError, in_words
from monai_semgan.label_app.image_ids import is_tag

log = logging.getLogger(__name__)

Report = Callable[[int, int, int], bool]
"""Called with images done, failed, and all, before every image and in the end; returns whether to go on."""

Failure = Callable[[str, str], None]
"""Called with the id of an image and the reason."""


class SemganBatchInfer(BatchInferTask):
    """Segments many images of the datastore, one after the other, and saves the labels."""

    def __call__(
        self,
        request: Mapping[str, Any],
        datastore: Any,
        infer: Callable[..., Any],
        report: Report | None = None,
        on_failure: Failure | None = None,
    ) -> dict[str, Any]:
        """Segment the images that the request chooses.

        Args:
            request: as MONAI Label's; `images`, `label_tag` and `max_batch_size` count here.
            datastore: with the images; the labels go there.
            infer: `MONAILabelApp.infer`.
            report: who wants to know how far it is; the log gets one line for each image when left out.
            on_failure: who wants to know which images cannot be segmented, and why.

        Returns:
            By image id what `infer` gave, without the file; for a failed image `{"error": reason}`.

        Raises:
            SemganError: the tag cannot be one.
        """
        report = report or _log
        tag = request.get("label_tag") or DefaultLabelTag.ORIGINAL.value
        if not is_tag(tag):
            raise SemganError("the tag of the labels cannot be used", remedy="use letters, digits, . _ and -")
        images = sorted(set(self.get_images(request, datastore)))
        limit = request.get("max_batch_size") or 0
        images = images[:limit] if limit > 0 else images
        results: dict[str, Any] = {}
        failed = 0
        for image in images:
            if not report(len(results), failed, len(images)):
                return results
            asked = {**request, "image": image, "save_label": True, "label_tag": tag}
            results[image] = _segment(asked, datastore, infer)
            if "error" in results[image]:
                failed += 1
                if on_failure is not None:
                    on_failure(image, results[image]["error"])
        report(len(results), failed, len(images))
        return results

    def get_images(self, request: Mapping[str, Any], datastore: Any) -> list[str]:
        """Return ids that the datastore knows; others in a list of the request are left out."""
        known = set(datastore.list_images())
        return [image for image in super().get_images(request, datastore) if image in known]


def _segment(request: dict[str, Any], datastore: Any, infer: Callable[..., Any]) -> dict[str, Any]:
    try:
        result = dict(infer(request, datastore))
    except SemganError as error:
        return {"error": in_words(error)}
    except JobError as error:
        return {"error": error.detail}
    file = result.pop("file", None)
    if file and os.path.exists(file):
        os.unlink(file)
    return result


def _log(done: int, failed: int, total: int) -> bool:
    log.info("batch: %d of %d images done, %d of them failed", done, total, failed)
    return True
