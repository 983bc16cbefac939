"""Infer tasks that correct: by points, under SmartEdit of 3D Slicer's module and OHIF's points, and by scribbles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from monai_semgan.errors import SemganError
from monai_semgan.label_app.grids import read_grid
from monai_semgan.label_app.infer_request import InferRequest
from monai_semgan.label_app.sittings import Sittings
from monai_semgan.label_app.stock_prompts import REACH_MM, PointPrompts, ScribblePrompts

SCRIBBLES = "scribbles"
"""Where a route puts the file that was sent; a client cannot, since JSON has no paths."""

STRUCTURE = "structure"
"""Where a route puts the client's `label`, which is the name of the segment."""


class CorrectingTask(InferTask):
    """Corrects one structure of a scan.

    Args:
        kind: of prompts, as MONAI Label calls it.
        description: for people.
        labels: structure name by id of the model.
        sittings: remember what was corrected before.
    """

    def __init__(self, kind: InferType, description: str, labels: Mapping[int, str], sittings: Sittings) -> None:
        names = {name: index for index, name in labels.items()}
        super().__init__(kind, names, 3, f"{description}. Research use only.", {"reach_mm": REACH_MM})
        self.names, self.sittings = dict(labels), sittings

    def is_valid(self) -> bool:
        """Say yes: the worker has the model."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Follow the prompts of a request.

        Args:
            request: `image` (path), what the prompts of this task read, and `result_extension`.

        Returns:
            A file with the structure alone on the image's grid, and what is told of it.

        Raises:
            SemganError: a value makes no sense, or this server has no worker.
        """
        if self.sittings.engine.service is None:
            raise SemganError("corrections need the server's worker", remedy="ask the running server")
        extension = InferRequest.from_params("preview", request).extension
        client = self.sittings.engine.asker.owner or str(request.get("client_id") or "")
        return self.follow(str(request["image"]), client, request, extension)

    def follow(self, image: str, client: str, request: Mapping[str, Any], extension: str) -> tuple[str, dict[str, Any]]:
        """Follow the prompts; for subclasses."""
        raise NotImplementedError


class PointsTask(CorrectingTask):
    """Corrects by points: `label`, `foreground` and `background`."""

    def follow(self, image: str, client: str, request: Mapping[str, Any], extension: str) -> tuple[str, dict[str, Any]]:
        """Follow points."""
        prompts = PointPrompts.from_params(request, self.names)
        return self.sittings.by_points(image, client, prompts, extension)


class ScribblesTask(CorrectingTask):
    """Corrects by scribbles: a label map with segments for them, `label_info` and `selected_label_name`."""

    def follow(self, image: str, client: str, request: Mapping[str, Any], extension: str) -> tuple[str, dict[str, Any]]:
        """Follow scribbles."""
        sent = request.get(SCRIBBLES)
        if not isinstance(sent, Path):
            raise SemganError("no label map with scribbles was sent", remedy="send it as `label`, to semgan serve")
        prompts = ScribblePrompts.read(sent, read_grid(image), request, self.names)
        return self.sittings.by_scribbles(image, client, prompts, extension)


def correcting_tasks(labels: Mapping[int, str], sittings: Sittings) -> dict[str, InferTask]:
    """Return the tasks `semgan_points` and `semgan_scribbles`.

    Args:
        labels: structure name by id of the model.
        sittings: of the server.
    """
    points = "Points on a structure, or where it is not: the label around them follows, also in slices nearby"
    scribbles = "Scribbles on a structure, and beside it: the label around them follows, also in slices nearby"
    return {
        "semgan_points": PointsTask(InferType.DEEPGROW, points, labels, sittings),
        "semgan_scribbles": ScribblesTask(InferType.SCRIBBLES, scribbles, labels, sittings),
    }
