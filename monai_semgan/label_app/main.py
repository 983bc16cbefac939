"""Entry of the MONAI Label app: `monailabel start_server --app monai_semgan/label_app --studies DIR`.

MONAI Label looks in this file for a class whose direct base is `MONAILabelApp`; what it does stands in the modules
beside it. Correction by strokes, training from the server and DICOMweb studies would be further tasks given out here.
"""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask

from monai_semgan.label_app.batch import SemganBatchInfer
from monai_semgan.label_app.image_ids import keep_maps, known_image
from monai_semgan.label_app.infer import infer_tasks


class SemganApp(MONAILabelApp):
    """Serves a model bundle to any MONAI Label client.

    Args:
        app_dir: this folder.
        studies: folder with the scans.
        conf: `--conf NAME VALUE` of the server: `bundle` (folder) and `device`.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        super().__init__(app_dir, studies, conf, name="SemGAN", description="Organs in CT and MRI. Research use only.")

    def init_infers(self) -> dict[str, InferTask]:
        """One task for each of the modes preview, invert and refine."""
        return infer_tasks(self.conf)

    def init_batch_infer(self) -> BatchInferTask:
        """Batches that also run without a GPU."""
        return SemganBatchInfer()

    def infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Segment one image; `maps` in the request also saves the extra maps as labels with tags of their own."""
        store = datastore or self.datastore()
        result = super().infer(known_image(request, store), store)
        return keep_maps(request, result, store)
