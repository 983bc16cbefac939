"""What a server is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..Types.ArchiveTypes import ArchivedLabel, ArchiveFacts
from ..Types.CorrectionTypes import CorrectionList, CorrectionRequest
from ..Types.DatastoreTypes import BatchStatus, LabelFacts, LabelState, SavedLabel, StoredImage
from ..Types.JobTypes import Job, JobRequest, Upload
from ..Types.ModelTypes import Model
from ..Types.ResultTypes import Result
from ..Types.ServerTypes import Health
from .RunnerProtocol import Transfer


class Client(Protocol):
    """Speaks to one server; every call waits for its answer, so none belongs into the main thread.

    Every call raises `Errors.ServerError`, whose text says what to do.
    """

    address: str

    @property
    def user(self) -> str:
        """Name in MONAI Label's log-in, once logged in; empty at other servers."""

    def health(self) -> Health:
        """Ask whether this is our server and how it is."""

    def models(self) -> tuple[Model, ...]:
        """List the models that the server runs."""

    def upload(self, data: bytes, suffix: str = ".nrrd", transfer: Transfer | None = None) -> Upload:
        """Send a volume; goes on where it was when the connection breaks."""

    def delete_upload(self, upload: str) -> None:
        """Remove a volume that was sent."""

    def submit(self, request: JobRequest) -> Job:
        """Begin a job."""

    def jobs(self) -> tuple[Job, ...]:
        """List all jobs the server knows, the newest first."""

    def job(self, job: str) -> Job:
        """Ask where a job stands."""

    def cancel(self, job: str) -> Job:
        """End a job; what it has found is kept."""

    def delete_job(self, job: str) -> None:
        """Remove a job and its files."""

    def result(self, job: str) -> Result:
        """Ask what a job has found so far."""

    def part(self, job: str, part: str, transfer: Transfer | None = None) -> bytes:
        """Fetch a volume of a result, as NRRD."""

    def report(self, job: str) -> bytes:
        """Fetch the report of a result."""

    def correct(self, job: str, request: CorrectionRequest) -> Job:
        """Have the result of a job corrected, on the state that is in force; the answer is a job of its own."""

    def corrections(self, job: str) -> CorrectionList:
        """List the corrections of a job, and which of them is in force."""

    def use_correction(self, job: str, number: int) -> CorrectionList:
        """Set which correction of a job is in force; 0 for its own result. Those under way are cancelled."""

    def images(self) -> tuple[StoredImage, ...]:
        """List the images of the datastore."""

    def image(self, image: str) -> tuple[bytes, str]:
        """Fetch an image of the datastore and the ending of its file's name, such as `".nii.gz"`."""

    def add_image(self, image: str, data: bytes, suffix: str = ".nrrd", transfer: Transfer | None = None) -> str:
        """Put an image into the datastore; returns the id it has there."""

    def keep_upload(self, upload: str, image: str) -> str:
        """Make a volume that was sent an image of the datastore; returns the id it has there."""

    def stored_labels(self, image: str) -> tuple[LabelFacts, ...]:
        """List the labels of an image; none where the server is older and does not tell."""

    def label(self, image: str, tag: str) -> tuple[bytes, str, str]:
        """Fetch a label: file, ending of its name, and ETag, which is empty from an older server."""

    def label_info(self, image: str, tag: str) -> dict[str, Any]:
        """Ask what is kept beside a label."""

    def save_label(
        self, image: str, data: bytes, state: LabelState, params: Mapping[str, Any], suffix: str = ".nrrd"
    ) -> SavedLabel:
        """Put a label of an image into the datastore, over the one that the reader knows."""

    def review_label(self, image: str, state: LabelState, reviewer: str, verdict: str, comment: str) -> str:
        """Say what a second reader thinks of the label that he or she has seen; returns its ETag."""

    def archive(self) -> ArchiveFacts | None:
        """Ask which archive the server has; None where its images lie in a folder, or it is older."""

    def send_again(self, image: str, tag: str) -> ArchivedLabel:
        """Have a label sent to the archive that does not have it; returns what has become of it."""

    def next_sample(self, strategy: str, reader: str = "") -> str | None:
        """Ask for the id of the image that active learning would have labelled next; None where all are.

        Readers are given different images for a while.
        """

    def start_batch(self, images: Sequence[str] | None = None) -> BatchStatus:
        """Begin previews of images of the datastore, or of all without a label, which are kept as their labels."""

    def batch(self) -> BatchStatus | None:
        """Ask how far the last batch is; None if there was none."""

    def stop_batch(self) -> BatchStatus | None:
        """End the batch that runs, if there is one; what it has saved stays."""
