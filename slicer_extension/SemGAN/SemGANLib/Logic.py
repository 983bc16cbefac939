"""All that the module does, without its panel. See `Protocols.LogicProtocol.Logic` for what each part promises."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .Parts import Parts
from .Protocols.ApplicationProtocol import Confirm, Settings
from .Protocols.ClientProtocol import Client
from .Protocols.RunnerProtocol import Runner
from .Scene import Measures, VolumeExport
from .Scene.OrganPlaces import jump_to, open_editor
from .Scene.Outcomes import outcome_of
from .Scene.Records import record_of
from .Scene.SegmentationImport import show_surfaces
from .Server.Client import Client as HttpClient
from .Server.Connector import ClientFactory
from .Translation import tr as _
from .Types.ModelTypes import Model, known_structures
from .Types.ServerTypes import Access
from .Views import (
    ERROR,
    INFO,
    WARNING,
    Batch,
    Connection,
    Images,
    LeftJob,
    OrganVolume,
    Outcome,
    Run,
    SliceValue,
)


class Logic:
    """Connects, segments, keeps results in the scene, and submits them.

    Args:
        scene: the MRML scene.
        runner: does what takes time.
        settings: of the application.
        confirm: asks the user a yes/no question.
        make_client: makes the client of an address.
    """

    def __init__(
        self,
        scene: Any,
        runner: Runner,
        settings: Settings,
        confirm: Confirm,
        make_client: ClientFactory = HttpClient,
    ) -> None:
        self._parts = parts = Parts(scene, runner, settings, confirm, make_client)
        self.choices, self.corrections, self.trainings = parts.choices, parts.corrections, parts.trainings
        self.archiving = parts.datastore.archiving
        self.message = parts.message
        self.connection_changed = parts.connector.changed
        self.run_changed = parts.run_changed
        self.outcome_changed = parts.outcome_changed
        self.images_changed = parts.datastore.images_changed
        self.image_opened = parts.datastore.image_opened
        self.labels_changed = parts.datastore.labels_changed
        self.submit_changed = parts.datastore.submit_changed
        self.batch_changed = parts.batches.changed
        self.left_jobs_changed = parts.left.changed

    # server

    @property
    def connection(self) -> Connection:
        """Which server the module speaks to."""
        return self._parts.connector.connection

    def saved_server(self) -> tuple[str, str]:
        """Look up address and API key in the application settings."""
        return self._parts.connector.saved()

    def saved_access(self) -> tuple[str, str]:
        """Look up the file of a certificate and the name in a log-in."""
        return self._parts.connector.saved_access()

    def connect(
        self,
        address: str,
        key: str = "",
        remember_key: bool = True,
        certificate: str = "",
        user: str = "",
        password: str = "",
    ) -> None:
        """Speak to another server."""
        self._parts.connector.connect(address, Access(key, certificate, "", user, password), remember_key)

    def disconnect(self) -> None:
        """Leave the server; runs under way go on."""
        self._parts.connector.disconnect()

    def chosen_model(self) -> Model | None:
        """Find the model of the choices, or the first; None while not connected."""
        return self._parts.starting.chosen_model()

    # segmenting

    def problem(self, volume: Any) -> str:
        """Say why this volume cannot be segmented and what to do; empty if it can."""
        return VolumeExport.problem(volume)

    def preview(self, volume: Any) -> None:
        """Begin a preview."""
        client = self._parts.client()
        if client is not None:
            self._parts.starting.begin(volume, "preview", client)

    def refine(self, volume: Any) -> None:
        """Begin an inversion."""
        client = self._parts.client()
        if client is not None:
            self._parts.starting.begin(volume, "refine", client)

    def cancel(self, volume: Any) -> None:
        """End the run of a volume."""
        self._parts.runs.cancel(volume.GetID())

    def run(self, volume: Any) -> Run | None:
        """Find the run of a volume, under way or the last one of this session."""
        return self._parts.runs.view(volume.GetID())

    def runs(self) -> list[Run]:
        """List all runs of this session, those under way first."""
        return self._parts.runs.views()

    def slice_bounds(self, volume: Any) -> tuple[float, float]:
        """Find the lowest and highest slice centre along the chosen model's slice axis, in mm."""
        return self._parts.starting.slice_bounds(volume)

    # results

    def outcome(self, volume: Any) -> Outcome | None:
        """Find the newest result of a volume."""
        return outcome_of(volume)

    def organ_volumes(self, volume: Any) -> list[OrganVolume]:
        """Measure the volumes of the segments as they are now."""
        record = record_of(volume)
        return Measures.organ_volumes(record, self._parts.edits.mark(record)) if record else []

    def volumes_csv(self, volume: Any) -> str:
        """Write the table of volumes as CSV with a header."""
        return Measures.csv_text(self.organ_volumes(volume))

    def slice_values(self, volume: Any) -> list[SliceValue]:
        """List the points of the plot over slices, in order of position."""
        outcome = self.outcome(volume)
        if outcome is None:
            return []
        made_by = outcome.result.model.name
        model = next((model for model in self.connection.models if model.name == made_by), None)
        return Measures.slice_values(outcome.result, model)

    def jump_to(self, volume: Any, organ: str) -> None:
        """Show the middle of a structure of the newest result in the slice views."""
        jump_to(volume, organ)

    def open_editor(self, volume: Any) -> None:
        """Open the newest result of a volume in the Segment Editor."""
        if not open_editor(volume):
            self._parts.tell(WARNING, _("There is no result to correct: press Preview first."))

    def show_surfaces(self, volume: Any, visible: bool) -> None:
        """Make surfaces of the segments, or remove them again."""
        record = record_of(volume)
        if record is not None and record.segmentation is not None:
            show_surfaces(record.segmentation, visible)

    def fetch_report(self, volume: Any, path: str) -> None:
        """Save the report of the newest result to a file."""
        outcome, client = self.outcome(volume), self._parts.client()
        if outcome is None or client is None:
            return
        job = outcome.job
        if not job:
            self._parts.tell(WARNING, _("A label of the server has no report: run a preview for one."))
            return
        self._parts.runner.run(
            lambda: Path(path).write_bytes(client.report(job)),
            lambda _size: self._parts.tell(INFO, _("The report was saved as {name}.").format(name=Path(path).name)),
            lambda error: self._parts.tell(ERROR, str(error)),
        )

    # datastore

    @property
    def images(self) -> Images:
        """Images of the server's datastore, as last heard."""
        return self._parts.datastore.images

    def edited(self, volume: Any) -> bool:
        """Tell whether the segmentation differs from what the model found."""
        record = record_of(volume)
        return record is not None and (record.edited_before or self._parts.edits.edited(record))

    def submit(self, volume: Any, user: str, tag: str = "final") -> None:
        """Put the label of a volume into the server's datastore."""
        client = self._parts.client()
        if client is not None:
            may_send = partial(self._parts.consent.to_send, connection=self.connection)
            known = known_structures(self.connection.models)
            self._parts.datastore.submit(client, volume, user, tag, self.edited(volume), may_send, known)

    def stop_submit(self) -> None:
        """Send no more of the scan whose label is on its way."""
        self._parts.datastore.stop_submit()

    def list_labels(self, volume: Any) -> None:
        """Ask which labels the server has for the image of a volume."""
        client = self._parts.client()
        if client is not None:
            self._parts.datastore.list_labels(client, volume)

    def review(self, volume: Any, user: str, verdict: str, comment: str = "") -> None:
        """Say as a second reader whether the label of a volume's image is right."""
        client, record = self._parts.client(), record_of(volume)
        if client is not None:
            changed = record is not None and self._parts.edits.edited(record)
            self._parts.datastore.review(client, volume, user, verdict, comment, changed)

    def list_images(self) -> None:
        """Ask the server for its images."""
        client = self._parts.client()
        if client is not None:
            self._parts.datastore.list_images(client)

    def open_image(self, image: str) -> None:
        """Load an image of the datastore."""
        client = self._parts.client()
        if client is not None:
            self._parts.datastore.open_image(client, image)

    def next_sample(self, strategy: str = "", reader: str = "") -> None:
        """Load the image that active learning would have labelled next for a reader."""
        client = self._parts.client()
        if client is not None:
            self._parts.datastore.next_sample(client, strategy, reader)

    # many images

    @property
    def batch(self) -> Batch:
        """How far the server is with many images, as last heard."""
        return self._parts.batches.batch

    def start_batch(self, images: Sequence[str] | None = None) -> None:
        """Have images of the datastore previewed, or all without a label."""
        client = self._parts.client()
        if client is not None:
            self._parts.batches.start(client, images)

    def stop_batch(self) -> None:
        """End the batch; the labels that it has saved stay."""
        client = self._parts.client()
        if client is not None:
            self._parts.batches.stop(client)

    # jobs left at the server

    @property
    def left_jobs(self) -> tuple[LeftJob, ...]:
        """Jobs of this installation that go on at the server without a run here, as after a crash."""
        return self._parts.left.jobs

    def take_up(self, job: str) -> None:
        """Open the image of a job that was left, and follow the job as a run."""
        client = self._parts.client()
        image = next((left.image for left in self._parts.left.jobs if left.id == job), "")
        if client is not None and image:
            self._parts.datastore.open_image(client, image, lambda volume: self._follow(volume, client, job))

    def _follow(self, volume: Any, client: Client, job: str) -> None:
        found = self._parts.left.take(job)
        if found is not None:
            self._parts.starting.follow(volume, client, found)

    def end_left(self, job: str) -> None:
        """Cancel a job that was left."""
        client = self._parts.client()
        if client is not None:
            self._parts.left.end(client, job)

    # life

    def close(self) -> None:
        """Cancel running jobs, remove uploads and call nothing any more."""
        self._parts.close()
