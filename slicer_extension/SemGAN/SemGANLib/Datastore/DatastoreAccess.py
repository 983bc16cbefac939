"""Where images of the server's datastore are taken from and labels are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from ..Protocols.ApplicationProtocol import Confirm
from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner
from ..ResultTexts import unlike
from ..Runs.Results import Target
from ..Runs.Runs import Runs
from ..Runs.Uploads import Version, version_of
from ..Scene.Records import Record, record_of
from ..Server import Errors
from ..Signal import Signal
from ..Translation import tr as _
from ..Types.DatastoreTypes import LabelFacts
from ..Views import ERROR, INFO, WARNING, Images, StoredLabel, StoredLabels
from . import SecondReader, StoredImages
from .Archiving import Archiving
from .LabelTexts import changed_text, moment, other_server_text, renamed_text, submitted_text, unlike_text
from .OpenedLabel import FetchedLabel, fetch_label, put_label
from .Opening import CannotOpen, Loaded, fetch_image
from .Submission import Submission
from .Submitting import Submitting

DEFAULT_STRATEGY = "semgan_residual"


@dataclass(frozen=True)
class Asking:
    """Whom the datastore's work asks and tells, in the main thread.

    Attributes:
        confirm: asks the user a yes/no question.
        tell: called with level and text.
        on_label: called after a label of the server was put into the scene.
    """

    confirm: Confirm
    tell: Callable[[str, str], None]
    on_label: Callable[[Record, Target], None]


class DatastoreAccess:
    """Lists, opens, submits and reviews.

    Args:
        runs: learn which volumes the server has already.
        asking: whom to ask and to tell.
    """

    def __init__(self, scene: Any, runner: Runner, runs: Runs, asking: Asking) -> None:
        self.images = Images()
        self.images_changed = Signal("Images")
        self.image_opened = Signal("volume node")
        self.labels_changed = Signal("StoredLabels")
        self._scene = scene
        self._runner = runner
        self._runs = runs
        self._asking = asking
        self._tell = asking.tell
        self._submitting = Submitting(runner, asking.confirm, asking.tell, self._submitted, self._keep_image)
        self.submit_changed = self._submitting.changed
        self.archiving = Archiving(runner, asking.tell)
        self._named: dict[str, tuple[Version, str]] = {}

    # submitting

    def submit(
        self,
        client: Client,
        volume: Any,
        user: str,
        tag: str,
        edited: bool,
        may_send: Callable[[Any], bool],
        known: Mapping[str, int],
    ) -> None:
        """Put the label of a volume into the datastore, and the volume if it is not there.

        Args:
            edited: the segmentation differs from what the model found.
            may_send: asks whether the volume may leave this computer.
            known: numbers of the structures of the server's models by name.
        """
        record = record_of(volume)
        result = record.result if record else None
        if self._submitting.active:
            self._tell(WARNING, _("A label is on its way already. Wait for it, or stop it."))
        elif record is None or result is None or record.segmentation is None:
            self._tell(WARNING, _("There is no result to submit. Run a preview or a refinement first."))
        elif not user.strip():
            self._tell(WARNING, _("Enter your name first: it is kept beside the label."))
        elif self._agreed(record, tag, edited) and self._may_go(client, volume, may_send):
            try:
                submission = Submission(record, result, user.strip(), tag, known)
            except ValueError as error:
                self._tell(ERROR, str(error))
                return
            submission.upload = self._runs.sent_as(volume, client)
            self._name_once(volume, submission)
            self._submitting.begin(client, submission)

    def _name_once(self, volume: Any, submission: Submission) -> None:
        """Give a scan the id of the try before: where only the answer was lost, the server has it under that."""
        if submission.has_image:
            return
        version, before = self._named.get(submission.volume_id, (None, ""))
        if version is not None and version.same(version_of(volume)):
            submission.image = before
        self._named[submission.volume_id] = version_of(volume), submission.image

    def stop_submit(self) -> None:
        """Send no more of the scan whose label is on its way."""
        self._submitting.stop()

    def forget(self, volume_id: str) -> None:
        """Forget a volume that is gone."""
        self._named.pop(volume_id, None)

    def forget_all(self) -> None:
        """Forget all volumes, and send no more of them: the scene is closed."""
        self._named.clear()
        self.stop_submit()

    def _agreed(self, record: Record, tag: str, edited: bool) -> bool:
        """Ask before a result becomes final that nobody has touched, of a scan that the model does not know."""
        if tag != "final" or edited or record.result is None or not unlike(record.result):
            return True
        if self._asking.confirm(_("Final without a correction?"), unlike_text(record.volume.GetName())):
            return True
        self._tell(INFO, _("Nothing was submitted. Correct the result first, or submit it as preliminary."))
        return False

    def _may_go(self, client: Client, volume: Any, may_send: Callable[[Any], bool]) -> bool:
        image, before = StoredImages.image_id(volume), StoredImages.server_of(volume)
        if not image:
            return may_send(volume)
        if before in ("", client.address):
            return True
        text = other_server_text(volume.GetName(), image, before, client.address)
        return self._asking.confirm(_("Submit to another server?"), text)

    def _keep_image(self, client: Client, submission: Submission) -> None:
        """Note under which id the server has the scan of a volume."""
        volume = self._scene.GetNodeByID(submission.volume_id)
        if volume is not None and StoredImages.image_id(volume) != submission.image:
            StoredImages.belongs_to(volume, submission.image, client.address)

    def _submitted(self, client: Client, submission: Submission, label: StoredImages.KnownLabel) -> None:
        volume = self._scene.GetNodeByID(submission.volume_id)
        if volume is not None:
            self._keep_image(client, submission)
            StoredImages.know_label(volume, label)
            self.list_labels(client, volume)
        level, where = self.archiving.heard(client, label.tag, submission.archived)
        own = renamed_text(submission.renamed)
        texts = [submitted_text(submission.image, label.tag), where, own]
        self._tell(WARNING if own else level, " ".join(filter(None, texts)))

    # a second reader

    def list_labels(self, client: Client, volume: Any) -> None:
        """Ask which labels the server has for the image of a volume; `labels_changed` follows."""
        identifier, image = volume.GetID(), StoredImages.image_id(volume)
        if not image:
            self.labels_changed.emit(StoredLabels(identifier, ""))
            return
        self._run(
            lambda: client.stored_labels(image),
            lambda found: self.labels_changed.emit(StoredLabels(identifier, image, tuple(map(_shown, found)))),
        )

    def review(self, client: Client, volume: Any, user: str, verdict: str, comment: str, changed: bool) -> None:
        """Say as a second reader what he or she thinks of the label that was opened with a volume.

        Args:
            verdict: `"accepted"` or `"rejected"`.
            changed: the segmentation was edited since it was opened.
        """
        record = record_of(volume)
        try:
            label = SecondReader.reviewed(volume, record.origin if record else "", user, verdict, changed)
        except SecondReader.CannotReview as error:
            self._tell(WARNING, str(error))
            return
        image, identifier = StoredImages.image_id(volume), volume.GetID()
        state = SecondReader.state_of(label)
        self._runner.run(
            lambda: client.review_label(image, state, user.strip(), verdict, comment.strip()),
            lambda etag: self._reviewed(client, identifier, label, etag),
            lambda error: self._not_reviewed(client, image, label.tag, error),
        )

    def _reviewed(self, client: Client, identifier: str, label: StoredImages.KnownLabel, etag: str) -> None:
        volume = self._scene.GetNodeByID(identifier)
        if volume is not None:
            StoredImages.know_label(volume, SecondReader.after(label, etag))
            self.list_labels(client, volume)
        self._tell(INFO, _("Your review was stored beside the label."))

    def _not_reviewed(self, client: Client, image: str, tag: str, error: Exception) -> None:
        if not isinstance(error, Errors.Outdated):
            self._tell(ERROR, str(error))
            return

        def told(found: tuple[LabelFacts, ...]) -> None:
            there = next((facts for facts in found if facts.state.tag == tag), None)
            self._tell(ERROR, changed_text(image, there))

        self._run(lambda: client.stored_labels(image), told)

    # opening

    def list_images(self, client: Client) -> None:
        """Ask for the images; `images_changed` follows."""
        self._run(client.images, lambda images: self._listed(client, images))

    def open_image(self, client: Client, image: str, then: Callable[[Any], None] | None = None) -> None:
        """Load an image and the label that it has; `image_opened` follows.

        Args:
            then: called with the volume node after that.
        """

        def fetch() -> tuple[Loaded, FetchedLabel | None, Exception | None]:
            load = fetch_image(client, image)
            try:
                return load, fetch_label(client, image), None
            except Exception as error:  # the image is of use without it
                return load, None, error

        def opened(fetched: tuple[Loaded, FetchedLabel | None, Exception | None]) -> None:
            volume = self._opened(client, *fetched)
            if then is not None:
                then(volume)

        self._run(fetch, opened)

    def next_sample(self, client: Client, strategy: str, reader: str = "") -> None:
        """Load the image that active learning would have labelled next for a reader."""
        self._run(
            lambda: client.next_sample(strategy or DEFAULT_STRATEGY, reader), lambda image: self._next(client, image)
        )

    def _listed(self, client: Client, images: Any) -> None:
        labelled = {image.id: image.labels for image in images if image.labels}
        self.images = Images(tuple(image.id for image in images), labelled)
        self.images_changed.emit(self.images)
        self.archiving.look_again(client)

    def _next(self, client: Client, image: str | None) -> None:
        if image is None:
            text = _(
                "No image is left for you: all have a final label, or are with other readers for ten minutes, or"
                " cannot be opened."
            )
            self._tell(INFO, text)
        else:
            self.open_image(client, image)

    def _opened(self, client: Client, load: Loaded, label: FetchedLabel | None, error: Exception | None) -> Any:
        volume = load(self._scene)
        self._runs.remember_stored(volume, StoredImages.image_id(volume), client)
        problem = str(error) if error is not None else ""
        if label is not None:
            try:
                target = Target()
                self._asking.on_label(put_label(label, volume, target), target)
            except CannotOpen as unreadable:
                problem = str(unreadable)
        self.image_opened.emit(volume)
        if problem:
            text = _("The image was opened without its label: {problem}")
            self._tell(WARNING, text.format(problem=problem))
        return volume

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        def guarded(value: Any) -> None:
            try:
                done(value)
            except CannotOpen as error:
                self._tell(ERROR, str(error))

        self._runner.run(work, guarded, lambda error: self._tell(ERROR, str(error)))


def _shown(facts: LabelFacts) -> StoredLabel:
    review = facts.review
    verdict, reviewer, comment = (review.verdict, review.reviewer, review.comment) if review else ("", "", "")
    return StoredLabel(
        facts.state.tag, moment(facts.saved), facts.annotator, facts.model, facts.edited, verdict, reviewer, comment
    )
