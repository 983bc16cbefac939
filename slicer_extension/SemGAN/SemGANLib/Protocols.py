"""What the parts of the module need of each other; each is injected, so that each is tested alone.

The panel needs `Logic`. The logic needs `Client` (HTTP), `Runner` (work off the main thread), `Settings` and two
functions that ask the user. All of `Logic` is called in the main thread and returns at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Protocol

from .Signal import Signal
from .Types.CorrectionTypes import CorrectionList, CorrectionRequest
from .Types.DatastoreTypes import BatchStatus, LabelFacts, LabelState, StoredImage
from .Types.JobTypes import Job, JobRequest, Upload
from .Types.ModelTypes import Model
from .Types.ResultTypes import Result
from .Types.ServerTypes import Health
from .Views import Batch, Connection, Images, LeftJob, OrganVolume, Outcome, Run, SliceValue

Confirm = Callable[[str, str], bool]
"""Asks the user: title and text of a yes/no question; True for yes. In Slicer `slicer.util.confirmYesNoDisplay`."""


class Settings(Protocol):
    """Settings of the application that outlive it, as `qt.QSettings`."""

    def value(self, key: str, default: Any = None) -> Any:
        """Look up what is stored, or `default`."""

    def setValue(self, key: str, value: Any) -> None:
        """Store a value."""

    def remove(self, key: str) -> None:
        """Remove a value."""


class Timer(Protocol):
    """Calls in the main thread. In Slicer a `qt.QTimer`; in tests the test itself calls `Runner.pump`."""

    def start(self, milliseconds: int, call: Callable[[], None]) -> None:
        """Call again and again until `stop`."""

    def stop(self) -> None:
        """Call no more."""


class Task(Protocol):
    """Work that was handed to a `Runner`."""

    def drop(self) -> None:
        """Call neither `done` nor `failed` from now on: the outcome is of no interest any more."""


class Runner(Protocol):
    """Runs work in threads and hands the outcome to the main thread."""

    def run(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> Task:
        """Call `work` in a thread; then, in the main thread, `done` with what it returned, or `failed`."""

    def later(self, seconds: float, call: Callable[[], None]) -> Task:
        """Call once in the main thread after a while."""

    def close(self) -> None:
        """Drop everything; for good."""


class Transfer(Protocol):
    """A volume on its way: one thread moves it, another one looks how far it is and may stop it."""

    @property
    def stopped(self) -> bool:
        """Whether it is to end now."""

    def begin(self, total: int | None, done: int = 0) -> None:
        """Note how many bytes there are, if that is known, and how many of them have arrived."""

    def moved(self, count: int) -> None:
        """Note that further bytes have moved."""

    def waits(self, waiting: bool) -> None:
        """Note that nothing moves until the next try, or that the next try begins."""

    def on_stop(self, break_off: Callable[[], None] | None) -> None:
        """Set what is called, in another thread, to end a step that waits; None for nothing."""


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
    ) -> str:
        """Put a label of an image into the datastore, over the one that the reader knows; returns its ETag."""

    def review_label(self, image: str, state: LabelState, reviewer: str, verdict: str, comment: str) -> str:
        """Say what a second reader thinks of the label that he or she has seen; returns its ETag."""

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


class Choices(Protocol):
    """What the user has chosen, kept in the scene: it is saved and loaded with it. See `Parameters`.

    `changed` is emitted without arguments, also when a loaded scene brings other choices.
    """

    changed: Signal

    volume: Any
    """The volume node to segment, or None."""

    segmentation: Any
    """The segmentation node that results replace, or None for a new node."""

    model: str
    """Name; empty for the server's first."""

    modality: str
    """`"CT"` or `"MR"`, of the chosen volume and kept with it; empty for what the server guesses from the values."""

    slice_range_mm: tuple[float, float] | None
    """Lower and upper position along the model's slice axis; None for all slices."""

    labels: tuple[str, ...] | None
    """Names; None for all."""

    steps: int | None
    """Of the inversion; None for the model's own number."""

    maps: bool
    """Whether reconstruction, residual and uncertainty are fetched."""


class Logic(Protocol):
    """All that the module does, for the panel. `volume` is always a `vtkMRMLScalarVolumeNode` of the scene."""

    connection_changed: Signal
    """Emits the `Connection`."""

    run_changed: Signal
    """Emits a `Run`: of one volume, at every step."""

    outcome_changed: Signal
    """Emits an `Outcome`: of one volume, when a (partial) result has arrived in the scene or a scene was loaded."""

    images_changed: Signal
    """Emits the `Images` of the datastore."""

    image_opened: Signal
    """Emits the volume node of an image of the datastore that was opened."""

    message: Signal
    """Emits a `Message` to show."""

    labels_changed: Signal
    """Emits the `StoredLabels` of an image: after `list_labels`, `submit` and `review`."""

    submit_changed: Signal
    """Emits a `Submit`: when a label is on its way, how far its scan is, and when it has arrived or not."""

    batch_changed: Signal
    """Emits the `Batch` of the server."""

    left_jobs_changed: Signal
    """Emits a tuple of `LeftJob`: after connecting, and when one was taken up or ended."""

    corrections: Any
    """Corrections of a result by strokes; see `Runs.CorrectionProtocol.CorrectionLogic`."""

    trainings: Any
    """Learning at the server from submitted labels; see `Runs.TrainingProtocol.TrainingLogic`."""

    @property
    def choices(self) -> Choices:
        """What the user has chosen."""

    @property
    def connection(self) -> Connection:
        """Which server the module speaks to."""

    @property
    def images(self) -> Images:
        """Images of the server's datastore, as last heard."""

    # server

    def saved_server(self) -> tuple[str, str]:
        """Look up address and API key in the application settings; empty where there are none."""

    def saved_access(self) -> tuple[str, str]:
        """Look up the file of a certificate and the name in a log-in; empty where there are none."""

    def connect(
        self,
        address: str,
        key: str = "",
        remember_key: bool = True,
        certificate: str = "",
        user: str = "",
        password: str = "",
    ) -> None:
        """Speak to another server. All is remembered but the password, the key if wished; never in the scene.

        A server with MONAI Label's log-in wants `user` and `password`: `Connection.login` says so.
        """

    def disconnect(self) -> None:
        """Leave the server; runs under way go on."""

    def chosen_model(self) -> Model | None:
        """Find the model of the choices, or the first; None while not connected."""

    # segmenting

    def problem(self, volume: Any) -> str:
        """Say why this volume cannot be segmented and what to do; empty if it can."""

    def preview(self, volume: Any) -> None:
        """Begin a preview. What is in the way of it comes as `message`."""

    def refine(self, volume: Any) -> None:
        """Begin an inversion of all slices (or of the slice range) that starts from the encoder."""

    def cancel(self, volume: Any) -> None:
        """End the run of a volume; the result so far stays in the scene."""

    def run(self, volume: Any) -> Run | None:
        """Find the run of a volume, under way or the last one of this session."""

    def runs(self) -> list[Run]:
        """List all runs of this session, those under way first."""

    def slice_bounds(self, volume: Any) -> tuple[float, float]:
        """Find the lowest and highest slice centre of a volume along the chosen model's slice axis, in mm."""

    # results

    def outcome(self, volume: Any) -> Outcome | None:
        """Find the newest result of a volume."""

    def organ_volumes(self, volume: Any) -> list[OrganVolume]:
        """Measure the volumes of the segments as they are now; counts voxels, so it is asked for when it is shown."""

    def volumes_csv(self, volume: Any) -> str:
        """Write the table of volumes as CSV with a header, for the clipboard."""

    def slice_values(self, volume: Any) -> list[SliceValue]:
        """List the points of the plot over slices, in order of position."""

    def jump_to(self, volume: Any, organ: str) -> None:
        """Show the middle of a structure of the newest result in the slice views; nothing where it is empty."""

    def open_editor(self, volume: Any) -> None:
        """Open the newest result of a volume in the Segment Editor."""

    def show_surfaces(self, volume: Any, visible: bool) -> None:
        """Make surfaces of the segments, or remove them again."""

    def fetch_report(self, volume: Any, path: str) -> None:
        """Save the report (HTML) of the newest result to a file."""

    # datastore

    def edited(self, volume: Any) -> bool:
        """Tell whether the segmentation differs from the result that came."""

    def submit(self, volume: Any, user: str, tag: str = "final") -> None:
        """Put the label of a volume into the server's datastore, with user, model, mode and whether it was edited."""

    def stop_submit(self) -> None:
        """Send no more of the scan whose label is on its way."""

    def list_labels(self, volume: Any) -> None:
        """Ask which labels the server has for the image of a volume; `labels_changed` follows."""

    def review(self, volume: Any, user: str, verdict: str, comment: str = "") -> None:
        """Say as a second reader whether the label of a volume's image is right: `"accepted"` or `"rejected"`."""

    def list_images(self) -> None:
        """Ask the server for its images; `images_changed` follows."""

    def open_image(self, image: str) -> None:
        """Load an image of the datastore; `image_opened` follows."""

    def next_sample(self, strategy: str = "", reader: str = "") -> None:
        """Load the image that active learning would have labelled next for a reader; `image_opened` follows."""

    # many images

    @property
    def batch(self) -> Batch:
        """How far the server is with many images, as last heard."""

    def start_batch(self, images: Sequence[str] | None = None) -> None:
        """Have images of the datastore previewed, or all without a label; `batch_changed` follows."""

    def stop_batch(self) -> None:
        """End the batch; the labels that it has saved stay."""

    # jobs left at the server

    @property
    def left_jobs(self) -> tuple[LeftJob, ...]:
        """Jobs of this installation that go on at the server without a run here, as after a crash."""

    def take_up(self, job: str) -> None:
        """Open the image of a job that was left, and follow the job as a run."""

    def end_left(self, job: str) -> None:
        """Cancel a job that was left."""

    # life

    def close(self) -> None:
        """Cancel running jobs, remove uploads and call nothing any more."""
