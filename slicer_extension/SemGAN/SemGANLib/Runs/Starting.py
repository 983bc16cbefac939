"""Begins runs as the user has chosen, after what stands in the way of them has been told or asked."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.ChoicesProtocol import Choices
from ..Protocols.ClientProtocol import Client
from ..Scene import VolumeExport
from ..Scene.Geometry import ijk_to_world, slice_positions
from ..Scene.Parameters import modality_of
from ..Server.Connector import Connector
from ..Translation import tr as _
from ..Types.JobTypes import Job, JobRequest
from ..Types.ModelTypes import Model
from ..Views import WARNING
from .Consent import Consent
from .Plans import Plan
from .Results import Target
from .Runs import Runs

BYTES_PER_MB = 1e6


class Starting:
    """Makes plans of the choices.

    Args:
        tell: called with level and text.
    """

    def __init__(
        self, runs: Runs, choices: Choices, connector: Connector, consent: Consent, tell: Callable[[str, str], None]
    ) -> None:
        self._runs = runs
        self._choices = choices
        self._connector = connector
        self._consent = consent
        self._tell = tell

    def chosen_model(self) -> Model | None:
        """Find the model of the choices, or the first; None while not connected."""
        models, wanted = self._connector.connection.models, self._choices.model
        return next((model for model in models if model.name == wanted), models[0] if models else None)

    def slice_bounds(self, volume: Any) -> tuple[float, float]:
        """Find the lowest and highest slice centre along the chosen model's slice axis, in mm."""
        model = self.chosen_model()
        axis = model.slice_axis if model else (0.0, 0.0, 1.0)
        return slice_positions(ijk_to_world(volume), VolumeExport.shape_of(volume), axis)

    def begin(self, volume: Any, mode: str, client: Client) -> None:
        """Begin a run of a volume, or say why not."""
        if not self._ready(volume):
            return
        choices, connection = self._choices, self._connector.connection
        chosen = choices.segmentation if volume is choices.volume else None
        if chosen is not None and not self._consent.to_replace(chosen):
            return
        image = self._runs.stored_as(volume, client)
        if image is None and not self._consent.to_send(volume, connection):
            return
        request = JobRequest(
            image=image,
            model=choices.model or None,
            mode=mode,
            modality=modality_of(volume) or None,
            steps=None if mode == "preview" else choices.steps,
            slice_range_mm=choices.slice_range_mm,
            labels=choices.labels,
        )
        plan = Plan(request, choices.maps, _name(volume, mode), not connection.local)
        self._runs.begin(volume, plan, Target(chosen), client)

    def follow(self, volume: Any, client: Client, job: Job) -> None:
        """Follow a job that goes on at the server as a run of its image."""
        if job.request is not None:
            plan = Plan(job.request, self._choices.maps, _name(volume, job.request.mode), compressed=False)
            self._runs.take_up(volume, plan, client, job)

    def _ready(self, volume: Any) -> bool:
        problem = VolumeExport.problem(volume) or self._range_problem(volume) or self._size_problem(volume)
        run = self._runs.view(volume.GetID()) if not problem else None
        if run is not None and run.active:
            problem = _("This volume is being segmented already. Cancel that first, or wait for it.")
        if problem:
            self._tell(WARNING, problem)
        return not problem

    def _range_problem(self, volume: Any) -> str:
        limits = self._choices.slice_range_mm
        if limits is None:
            return ""
        low, high = self.slice_bounds(volume)
        if limits[0] < limits[1] and limits[0] <= high and limits[1] >= low:
            return ""
        text = _("No slice of the volume lies in the slice range. Choose one between {low:.0f} and {high:.0f} mm.")
        return text.format(low=low, high=high)

    def _size_problem(self, volume: Any) -> str:
        connection = self._connector.connection
        limit = connection.health.upload_limit_bytes if connection.health else None
        size = volume.GetImageData().GetActualMemorySize() * 1024
        if limit is None or size <= limit or not connection.local:  # compressed ones are judged by the server
            return ""
        text = _("The volume has {size:.0f} MB, the server takes {limit:.0f} MB. Crop it (module Crop Volume).")
        return text.format(size=size / BYTES_PER_MB, limit=limit / BYTES_PER_MB)


def _name(volume: Any, mode: str) -> str:
    words = {"preview": _("preview"), "refine": _("refined"), "invert": _("inverted")}
    return f"{volume.GetName()}: {words.get(mode, mode)}"
