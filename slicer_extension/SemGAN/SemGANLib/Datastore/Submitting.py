"""Sends a label, and asks where another one is in its place."""

from __future__ import annotations

from typing import Callable

from ..Protocols.ApplicationProtocol import Confirm
from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner
from ..Runs.RunSigns import MOVING_SECONDS
from ..Server import Errors
from ..Server.Transfer import Transfer
from ..Signal import Signal
from ..Texts import transfer_text
from ..Translation import tr as _
from ..Types.DatastoreTypes import LabelFacts
from ..Views import ERROR, INFO, UPLOADING, Submit
from .LabelTexts import empty_text, overwrite_text
from .StoredImages import KnownLabel
from .Submission import Submission


class Submitting:
    """Labels of others, and labels with voxels, are never replaced without a question.

    Args:
        confirm: asks the user a yes/no question.
        tell: called with level and text.
        done: called with client, submission and the label as the server has it now.
        image_sent: called with client and submission where the server has the scan, and not the label: another try,
            whenever it comes, is not to send the scan once more.
    """

    def __init__(
        self,
        runner: Runner,
        confirm: Confirm,
        tell: Callable[[str, str], None],
        done: Callable[[Client, Submission, KnownLabel], None],
        image_sent: Callable[[Client, Submission], None],
    ) -> None:
        self._runner = runner
        self._confirm = confirm
        self._tell = tell
        self._done = done
        self._image_sent = image_sent
        self.changed = Signal("Submit")
        self._under_way: Submission | None = None

    @property
    def active(self) -> bool:
        """Whether a label is on its way."""
        return self._under_way is not None

    def begin(self, client: Client, submission: Submission) -> None:
        """Send a label."""
        submission.transfer = Transfer()
        self._under_way = submission
        self._runner.run(
            lambda: submission.send(client),
            lambda label: self._sent(client, submission, label),
            lambda error: self._not_sent(client, submission, error),
        )
        self._show(submission)

    def stop(self) -> None:
        """Send no more of a scan; a label that follows one that has arrived is not held back."""
        if self._under_way is not None:
            self._under_way.transfer.stop()

    def _show(self, submission: Submission) -> None:
        """Tell how far the scan is, again and again while it is on its way."""
        if self._under_way is not submission:
            return
        moved = submission.transfer.moved_so_far()
        self.changed.emit(Submit(True, transfer_text(UPLOADING, moved) if moved.total else ""))
        self._runner.later(MOVING_SECONDS, lambda: self._show(submission))

    def _sent(self, client: Client, submission: Submission, label: KnownLabel) -> None:
        self._end()
        self._done(client, submission, label)

    def _end(self) -> None:
        self._under_way = None
        self.changed.emit(Submit())

    def _not_sent(self, client: Client, submission: Submission, error: Exception) -> None:
        self._end()
        if isinstance(error, Errors.Stopped):
            self._tell(INFO, _("Stopped: nothing was submitted."))
            return
        if submission.has_image:
            self._image_sent(client, submission)
        if isinstance(error, Errors.Outdated):
            self._runner.run(
                lambda: client.stored_labels(submission.image),
                lambda found: self._ask(client, submission, str(error), found),
                lambda other: self._tell(ERROR, str(other)),
            )
        elif isinstance(error, Errors.Conflict) and submission.empty and not submission.allow_empty:
            submission.allow_empty = True
            question = empty_text(submission.image)
            self._again(client, submission, _("Replace by an empty label?"), question)
        else:
            self._tell(ERROR, str(error))

    def _ask(self, client: Client, submission: Submission, told: str, found: tuple[LabelFacts, ...]) -> None:
        """Ask for the label that is there now; if there is yet another one at the next try, that is asked as well."""
        there = next((facts for facts in found if facts.state.tag == submission.tag), None)
        if there is not None:
            submission.etag = there.state.etag
            self._again(client, submission, _("Replace a label?"), overwrite_text(submission.image, there))
        elif submission.etag:  # it was removed meanwhile: nothing is replaced
            submission.etag = ""
            self.begin(client, submission)
        else:
            self._tell(ERROR, told)

    def _again(self, client: Client, submission: Submission, title: str, question: str) -> None:
        if self._confirm(title, question):
            self.begin(client, submission)
        else:
            self._tell(INFO, _("Nothing was submitted: the server's label is as it was."))
