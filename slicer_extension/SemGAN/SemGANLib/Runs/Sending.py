"""Brings a volume to the server, unless the server has it as it is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner
from ..Scene import VolumeExport
from ..Server.Errors import ServerError
from ..Server.Transfer import Transfer
from ..Types.JobTypes import Upload
from ..Views import EXPORTING, UPLOADING
from .Uploads import Uploads, Version, version_of


@dataclass(frozen=True)
class SendingSteps:
    """What a volume on its way calls in the main thread.

    Attributes:
        run: runs work in a thread, then something with what came of it; dropped when the run ends.
        show: called with the phase.
        moving: called with the phase and what counts the bytes, when the volume leaves.
        sent: called with the id of the upload.
        failed: called with the error if it cannot be sent.
        remove: called with the id of an upload that is of no use any more.
    """

    run: Callable[[Callable[[], Any], Callable[[Any], None]], None]
    show: Callable[[str], None]
    moving: Callable[[str, Transfer], None]
    sent: Callable[[str], None]
    failed: Callable[[Exception], None]
    remove: Callable[[str], None]


class Sending:
    """A volume on its way.

    Args:
        volume: the volume node.
        compressed: whether it is compressed: for a network.
        client: speaks to the server.
        runner: runs what is not dropped.
        uploads: what the server has already.
        steps: what is called on the way.
    """

    def __init__(
        self,
        volume: Any,
        compressed: bool,
        client: Client,
        runner: Runner,
        uploads: Uploads,
        steps: SendingSteps,
    ) -> None:
        self._volume = volume
        self._compressed = compressed
        self._client = client
        self._runner = runner
        self._uploads = uploads
        self._steps = steps
        self._stopped = False
        self._transfer = Transfer()
        self._arrived: str | None = None

    def begin(self) -> None:
        """Take a snapshot of the volume and send it, if it was not sent before as it is now."""
        upload = self._uploads.find(self._volume)
        if upload is not None:
            self._steps.sent(upload)
            return
        self._steps.show(EXPORTING)
        grid, version = VolumeExport.snapshot(self._volume), version_of(self._volume)
        self._steps.run(
            lambda: VolumeExport.file_of(grid, self._compressed),
            lambda data: self._upload(data, version),
        )

    def again(self) -> None:
        """Send the volume once more: the server has lost what was sent."""
        self._uploads.forget(self._volume.GetID())
        self.begin()

    def stop(self) -> None:
        """Give up, at once: what has arrived is removed from the server."""
        self._stopped = True
        self._transfer.stop()
        self._remove(self._arrived)

    def _upload(self, data: bytes, version: Version) -> None:
        self._transfer = Transfer()
        self._steps.moving(UPLOADING, self._transfer)
        self._runner.run(lambda: self._send(data), lambda upload: self._sent(upload, version), self._not_sent)

    def _send(self, data: bytes) -> Upload:
        """Send, and remove what nobody wants any more: after the module was closed only this thread knows of it."""
        upload = self._client.upload(data, transfer=self._transfer)
        self._arrived = upload.id
        if self._stopped:
            with suppress(ServerError):  # `stop` may have removed it; else the server does in time
                self._client.delete_upload(upload.id)
        return upload

    def _sent(self, upload: Upload, version: Version) -> None:
        self._arrived = None  # from now on it belongs to the uploads
        if not self._stopped:
            self._remove(self._uploads.add(self._volume.GetID(), version, upload))
            self._steps.sent(upload.id)

    def _not_sent(self, error: Exception) -> None:
        if not self._stopped:
            self._steps.failed(error)

    def _remove(self, upload: str | None) -> None:
        """Remove an upload that is of no use any more; the server would do so in time as well."""
        if upload is not None:
            self._steps.remove(upload)
