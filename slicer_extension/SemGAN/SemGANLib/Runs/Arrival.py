"""Results of a run's job on their way into the scene: every newer label, and the maps after the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from ..Protocols.ClientProtocol import Client
from ..Scene import Geometry, VolumeExport
from ..Scene.MapImport import MapData
from ..Scene.Records import Record
from ..Server.Transfer import Transfer
from ..Types.JobTypes import Job
from ..Types.ResultTypes import MAPS
from . import Results
from .Plans import Plan
from .Results import Fetched, Target


@dataclass(frozen=True)
class ArrivalSteps:
    """What results on their way call in the main thread.

    Attributes:
        run: runs work in a thread, then something with what came of it, or with the error; dropped when the run ends.
        moving: called with what counts the bytes, when the last label or the maps leave the server.
        put: called with the record when something has entered the scene.
        partial: called when more will come.
        complete: called with the job when all of its result is in the scene.
        label_failed: called with the error and the job if its label cannot be had.
        maps_failed: called with the error, and with what tries again.
    """

    run: Callable[[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]], None]
    moving: Callable[[Transfer], None]
    put: Callable[[Record], None]
    partial: Callable[[], None]
    complete: Callable[[Job], None]
    label_failed: Callable[[Exception, Job], None]
    maps_failed: Callable[[Exception, Callable[[], None]], None]


class Arrival:
    """Fetches results and puts them into the scene.

    Args:
        volume: the volume node.
        plan: what is run.
        target: where results go.
        client: speaks to the server.
        steps: what is called on the way.
    """

    def __init__(self, volume: Any, plan: Plan, target: Target, client: Client, steps: ArrivalSteps) -> None:
        self._volume, self._plan, self._target = volume, plan, target
        self._client, self._steps = client, steps
        self._shape = VolumeExport.shape_of(volume)
        self._affine: Any = None
        self._transfer: Transfer | None = None
        self._version = 0
        self._complete = False

    def begin(self) -> None:
        """Note where the volume lies: results have to lie there."""
        self._affine = Geometry.ijk_to_world(self._volume)

    def restart(self) -> None:
        """Await the results of another job instead."""
        self._version = 0

    def wanted(self, job: Job) -> bool:
        """Tell whether there is a result to fetch: a newer one, or the last one with all that belongs to it."""
        newer = job.result_version > self._version
        return "label" in job.parts and (newer or (job.ended and not self._complete))

    def fetch(self, job: Job) -> None:
        """Fetch the label that a job has found so far, and the maps after the last one."""
        self._transfer = transfer = Transfer()
        if job.ended:
            self._steps.moving(transfer)
        self._steps.run(
            lambda: Results.fetch(self._client, job.id, self._affine, self._shape, transfer),
            lambda fetched: self._put(fetched, job),
            lambda error: self._steps.label_failed(error, job),
        )

    def stop(self) -> None:
        """Fetch nothing any more."""
        if self._transfer is not None:
            self._transfer.stop()

    def _put(self, fetched: Fetched, job: Job) -> None:
        self._version = max(job.result_version, fetched.result.version)
        self._complete = job.ended
        record = Results.put(fetched, self._volume, self._target, self._plan.name)
        self._steps.put(record)
        if not job.ended:
            self._steps.partial()
        elif self._plan.maps and set(MAPS) & set(fetched.result.parts):
            self._fetch_maps(record, fetched.result.parts, job)
        else:
            self._steps.complete(job)

    def _fetch_maps(self, record: Record, parts: tuple[str, ...], job: Job) -> None:
        """Fetch the maps after the label: they are large, and nobody should wait for them to see it."""
        self._transfer = transfer = Transfer()
        self._steps.moving(transfer)
        self._steps.run(
            lambda: Results.fetch_maps(self._client, job.id, parts, self._affine, self._shape, transfer),
            lambda maps: self._put_maps(maps, record, job),
            lambda error: self._steps.maps_failed(error, lambda: self._fetch_maps(record, parts, job)),
        )

    def _put_maps(self, maps: dict[str, MapData], record: Record, job: Job) -> None:
        Results.put_maps(maps, record)
        self._steps.put(record)
        self._steps.complete(job)
