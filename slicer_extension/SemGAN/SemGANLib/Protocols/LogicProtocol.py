"""All that the panel may ask of the module. Every call is made in the main thread and returns at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..Signal import Signal
from ..Types.ModelTypes import Model
from ..Views import Batch, Connection, Images, LeftJob, OrganVolume, Outcome, Run, SliceValue
from .ArchiveProtocol import ArchiveLogic
from .ChoicesProtocol import Choices
from .CorrectionProtocol import CorrectionLogic
from .TrainingProtocol import TrainingLogic


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

    @property
    def corrections(self) -> CorrectionLogic:
        """Corrections of a result by strokes."""

    @property
    def trainings(self) -> TrainingLogic:
        """Learning at the server from submitted labels."""

    @property
    def archiving(self) -> ArchiveLogic:
        """What the archive behind the server lacks."""

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
