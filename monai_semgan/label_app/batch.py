"""Batch inference that also runs on a computer without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.tasks.batch_infer import BatchInferTask


class SemganBatchInfer(BatchInferTask):
    """MONAI Label's batches, which without a GPU divide by the number of GPUs unless told not to."""

    def __call__(self, request: Mapping[str, Any], datastore: Any, infer: Callable[..., Any]) -> dict[str, Any]:
        """Segment the images that the request chooses, one after the other."""
        import torch

        changed = {**request, "max_workers": 1}
        if not torch.cuda.is_available():
            changed |= {"multi_gpu": False, "device": "cpu"}
        return super().__call__(changed, datastore, infer)

    def get_images(self, request: Mapping[str, Any], datastore: Any) -> list[str]:
        """Ids that the datastore knows; others in a list of the request are left out."""
        known = set(datastore.list_images())
        return [image for image in super().get_images(request, datastore) if image in known]
