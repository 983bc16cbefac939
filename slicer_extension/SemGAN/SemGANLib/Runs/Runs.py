"""The runs of all volumes side by side, and what servers have of the volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner
from ..Types.JobTypes import Job
from ..Views import Run
from .Plans import Plan, RunCallbacks
from .Removals import Removals
from .Results import Target
from .Uploads import Uploads, Version, version_of
from .VolumeRun import VolumeRun


class Runs:
    """One run at a time for each volume.

    Args:
        runner: runs work in threads.
        callbacks: who is to hear of all runs.
    """

    def __init__(self, runner: Runner, callbacks: RunCallbacks) -> None:
        self._runner = runner
        self._removals = Removals(runner)
        self._callbacks = replace(callbacks, remove=self._removals.remove)
        self._runs: dict[str, VolumeRun] = {}
        self._uploads: dict[str, Uploads] = {}
        self._clients: dict[str, Client] = {}
        self._stored: dict[str, tuple[str, str, Version]] = {}

    def begin(self, volume: Any, plan: Plan, target: Target, client: Client) -> None:
        """Begin a run; the former one of the volume must have ended."""
        self._new(volume, plan, target, client).start()

    def take_up(self, volume: Any, plan: Plan, client: Client, job: Job) -> None:
        """Follow a job that the server has already; the former run of the volume must have ended."""
        self._new(volume, plan, Target(), client).take_up(job)

    def has(self, job: Job) -> bool:
        """Tell whether a job at the server is that of a run of this session."""
        return any(run.owns(job) for run in self._runs.values())

    def _new(self, volume: Any, plan: Plan, target: Target, client: Client) -> VolumeRun:
        run = VolumeRun(volume, plan, target, client, self._runner, self.uploads_of(client), self._callbacks)
        self._runs[volume.GetID()] = run
        return run

    def uploads_of(self, client: Client) -> Uploads:
        """Find what a server has of the volumes."""
        self._clients[client.address] = client
        return self._uploads.setdefault(client.address, Uploads())

    def remove_upload(self, client: Client, upload: str) -> None:
        """Remove an upload that is of no use any more, sooner or later."""
        self._removals.remove(client, upload)

    def cancel(self, volume_id: str) -> None:
        """End the run of a volume and keep what is there."""
        if volume_id in self._runs:
            self._runs[volume_id].cancel()

    def view(self, volume_id: str) -> Run | None:
        """Find the run of a volume."""
        run = self._runs.get(volume_id)
        return run.view if run else None

    def views(self) -> list[Run]:
        """List all runs, those under way first."""
        return sorted((run.view for run in self._runs.values()), key=lambda view: not view.active)

    def remember_stored(self, volume: Any, image: str, client: Client) -> None:
        """Remember a volume that came from a server's datastore: it need not be sent there."""
        self._stored[volume.GetID()] = (client.address, image, version_of(volume))

    def stored_as(self, volume: Any, client: Client) -> str | None:
        """Look up the id of a volume in a server's datastore, if it is still as it came from there."""
        address, image, version = self._stored.get(volume.GetID(), ("", "", None))
        same = version is not None and address == client.address and version.same(version_of(volume))
        run = self._runs.get(volume.GetID())
        elsewhere = run is not None and run.sent_instead  # there it would lie otherwise than here
        return image if same and not elsewhere else None

    def sent_as(self, volume: Any, client: Client) -> str:
        """Look up the upload of a volume as it is now, without parent transforms; empty if there is none."""
        uploads = self._uploads.get(client.address)
        moved = volume.GetParentTransformNode() is not None  # what was sent lies where the transform puts it
        return (uploads.find(volume) if uploads is not None and not moved else None) or ""

    def forget(self, volume_id: str) -> None:
        """End the run of a volume that is gone, and remove it from the servers."""
        run = self._runs.pop(volume_id, None)
        if run is not None:
            run.abandon()
        self._stored.pop(volume_id, None)
        for address, uploads in self._uploads.items():
            upload = uploads.forget(volume_id)
            if upload is not None:
                self._removals.remove(self._clients[address], upload)

    def forget_all(self) -> None:
        """End the runs of all volumes and remove them from the servers: the scene is closed."""
        known = {*self._runs, *self._stored}
        for uploads in self._uploads.values():
            known |= set(uploads.volumes())
        for volume_id in known:
            self.forget(volume_id)

    def close(self) -> None:
        """End all runs and remove their volumes from the servers, also later than the module lives."""
        self.forget_all()
        self._removals.close()
