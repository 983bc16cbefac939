"""Where images of the server's datastore are taken from and labels are handed in."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols import Client, Runner
from ..Runs.Runs import Runs
from ..Scene.Records import record_of
from ..Signal import Signal
from ..Translation import tr as _
from ..Views import ERROR, INFO, WARNING, Images
from . import Review

DEFAULT_STRATEGY = "semgan_residual"


class DatastoreAccess:
    """Lists, opens and submits.

    Args:
        runs: learn which volumes the server has already.
        tell: called with level and text.
    """

    def __init__(self, scene: Any, runner: Runner, runs: Runs, tell: Callable[[str, str], None]) -> None:
        self.images = Images()
        self.images_changed = Signal("Images")
        self.image_opened = Signal("volume node")
        self._scene = scene
        self._runner = runner
        self._runs = runs
        self._tell = tell

    def submit(self, client: Client, volume: Any, user: str, tag: str, may_send: Callable[[Any], bool]) -> None:
        """Put the label of a volume into the datastore, and the volume if it is not there.

        Args:
            may_send: asks whether the volume may leave this computer.
        """
        record = record_of(volume)
        result = record.result if record else None
        if record is None or result is None or record.segmentation is None:
            self._tell(WARNING, _("There is no result to submit. Run a preview or a refinement first."))
        elif not user.strip():
            self._tell(WARNING, _("Enter your name first: it is kept beside the label."))
        elif Review.image_id(volume) or may_send(volume):
            try:
                submission = Review.Submission(record, result, user.strip(), tag)
            except ValueError as error:
                self._tell(ERROR, str(error))
                return
            volume_id = volume.GetID()
            self._run(lambda: submission.send(client), lambda image: self._submitted(volume_id, image))

    def list_images(self, client: Client) -> None:
        """Ask for the images; `images_changed` follows."""
        self._run(client.images, self._listed)

    def open_image(self, client: Client, image: str) -> None:
        """Load an image; `image_opened` follows."""
        self._run(lambda: Review.fetch_image(client, image), lambda load: self._opened(client, load))

    def next_sample(self, client: Client, strategy: str) -> None:
        """Load the image that active learning would have labelled next."""
        self._run(lambda: client.next_sample(strategy or DEFAULT_STRATEGY), lambda image: self._next(client, image))

    def _submitted(self, volume_id: str, image: str) -> None:
        volume = self._scene.GetNodeByID(volume_id)
        if volume is not None:
            Review.belongs_to(volume, image)
        self._tell(INFO, _("The label was submitted for the image “{image}”.").format(image=image))

    def _listed(self, images: Any) -> None:
        labelled = {image.id: image.labels for image in images if image.labels}
        self.images = Images(tuple(image.id for image in images), labelled)
        self.images_changed.emit(self.images)

    def _next(self, client: Client, image: str | None) -> None:
        if image is None:
            self._tell(INFO, _("All images of the server have a label."))
        else:
            self.open_image(client, image)

    def _opened(self, client: Client, load: Review.Loaded) -> None:
        volume = load(self._scene)
        self._runs.remember_stored(volume, Review.image_id(volume), client)
        self.image_opened.emit(volume)

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        def guarded(value: Any) -> None:
            try:
                done(value)
            except Review.CannotOpen as error:
                self._tell(ERROR, str(error))

        self._runner.run(work, guarded, lambda error: self._tell(ERROR, str(error)))
