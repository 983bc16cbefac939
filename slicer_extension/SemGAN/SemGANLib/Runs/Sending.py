"""Brings a volume to the server, unless the server has it as it is."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols import Client, Runner
from ..Scene import VolumeExport
from ..Types import Upload
from ..Views import EXPORTING, UPLOADING
from .Uploads import Uploads, Version, version_of

Run = Callable[[Callable[[], Any], Callable[[Any], None]], None]
"""Runs work in a thread, then something with what came of it in the main thread."""


class Sending:
    """A volume on its way.

    Args:
        compressed: whether it is compressed: for a network.
        run: by which the steps are run; they end with whoever owns this.
        show: called with the phase.
        sent: called with the id of the upload.
    """

    def __init__(
        self,
        volume: Any,
        compressed: bool,
        client: Client,
        runner: Runner,
        uploads: Uploads,
        run: Run,
        show: Callable[[str], None],
        sent: Callable[[str], None],
    ) -> None:
        self._volume = volume
        self._compressed = compressed
        self._client = client
        self._runner = runner
        self._uploads = uploads
        self._run = run
        self._show = show
        self._sent = sent

    def begin(self) -> None:
        """Take a snapshot of the volume and send it, if it was not sent before as it is now."""
        upload = self._uploads.find(self._volume)
        if upload is not None:
            self._sent(upload)
            return
        self._show(EXPORTING)
        grid, version = VolumeExport.snapshot(self._volume), version_of(self._volume)
        self._run(
            lambda: VolumeExport.file_of(grid, self._compressed),
            lambda data: self._upload(data, version),
        )

    def again(self) -> None:
        """The server has lost what was sent."""
        self._uploads.forget(self._volume.GetID())
        self.begin()

    def _upload(self, data: bytes, version: Version) -> None:
        self._show(UPLOADING)
        self._run(lambda: self._client.upload(data), lambda upload: self._uploaded(upload, version))

    def _uploaded(self, upload: Upload, version: Version) -> None:
        earlier = self._uploads.add(self._volume.GetID(), version, upload)
        if earlier is not None:  # of no use any more; the server would remove it in time as well
            self._runner.run(lambda: self._client.delete_upload(earlier), lambda _: None, lambda _: None)
        self._sent(upload.id)
