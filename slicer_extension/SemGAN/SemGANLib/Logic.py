"""All that the module does, without its panel. See `Protocols.LogicProtocol.Logic` for what each part promises."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .Datastore.DatastoreAccess import Asking, DatastoreAccess
from .Protocols.ApplicationProtocol import Confirm, Settings
from .Protocols.ClientProtocol import Client
from .Protocols.RunnerProtocol import Runner
from .ResultTexts import domain_warning
from .Runs.Batches import Batches
from .Runs.Consent import Consent
from .Runs.Corrections import Corrections
from .Runs.Edits import Edits
from .Runs.LeftJobs import LeftJobs
from .Runs.Plans import RunCallbacks
from .Runs.Results import Target
from .Runs.Runs import Runs
from .Runs.Starting import Starting
from .Runs.Trainings import Trainings
from .Scene import Measures, VolumeExport
from .Scene.OrganPlaces import jump_to, open_editor
from .Scene.Parameters import Parameters
from .Scene.Records import Record, record_of, records
from .Scene.SceneWatch import SceneWatch
from .Scene.SegmentationImport import Mark, show_surfaces
from .Server.Client import Client as HttpClient
from .Server.Connector import ClientFactory, Connector
from .Signal import Signal
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
    Message,
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
        self.run_changed = Signal("Run")
        self.outcome_changed = Signal("Outcome")
        self.message = Signal("Message")
        self.choices = Parameters(scene)
        self._scene = scene
        self._runner = runner
        self._consent = Consent(confirm)
        self._connector = Connector(runner, settings, make_client)
        self._runs = Runs(runner, RunCallbacks(self._on_run, self._on_result, self._on_failure))
        self._starting = Starting(self._runs, self.choices, self._connector, self._consent, self._tell)
        self.corrections = Corrections(
            runner, self._runs, self._connector, self._consent, self._on_corrected, self._tell
        )
        self._edits = Edits(runner)
        asking = Asking(confirm, self._tell, self._on_result)
        self._datastore = DatastoreAccess(scene, runner, self._runs, asking)
        self._batches = Batches(runner, self._tell)
        self._left = LeftJobs(runner, self._runs, self._tell)
        self.trainings = Trainings(runner, self._connector, self._tell)
        self._followed: Client | None = None
        self._connector.changed.connect(self._on_connection)
        self.connection_changed = self._connector.changed
        self.batch_changed = self._batches.changed
        self.left_jobs_changed = self._left.changed
        self.images_changed = self._datastore.images_changed
        self.image_opened = self._datastore.image_opened
        self.labels_changed = self._datastore.labels_changed
        self.submit_changed = self._datastore.submit_changed
        self._watch = SceneWatch(scene, self._on_removed, self._on_closing, self._on_loaded)
        self._edits.compare_loaded(scene, self._show_outcomes)

    # server

    @property
    def connection(self) -> Connection:
        """Which server the module speaks to."""
        return self._connector.connection

    def saved_server(self) -> tuple[str, str]:
        """Look up address and API key in the application settings."""
        return self._connector.saved()

    def saved_access(self) -> tuple[str, str]:
        """Look up the file of a certificate and the name in a log-in."""
        return self._connector.saved_access()

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
        self._connector.connect(address, Access(key, certificate, "", user, password), remember_key)

    def disconnect(self) -> None:
        """Leave the server; runs under way go on."""
        self._connector.disconnect()

    def chosen_model(self) -> Model | None:
        """Find the model of the choices, or the first; None while not connected."""
        return self._starting.chosen_model()

    # segmenting

    def problem(self, volume: Any) -> str:
        """Say why this volume cannot be segmented and what to do; empty if it can."""
        return VolumeExport.problem(volume)

    def preview(self, volume: Any) -> None:
        """Begin a preview."""
        client = self._client()
        if client is not None:
            self._starting.begin(volume, "preview", client)

    def refine(self, volume: Any) -> None:
        """Begin an inversion."""
        client = self._client()
        if client is not None:
            self._starting.begin(volume, "refine", client)

    def cancel(self, volume: Any) -> None:
        """End the run of a volume."""
        self._runs.cancel(volume.GetID())

    def run(self, volume: Any) -> Run | None:
        """Find the run of a volume, under way or the last one of this session."""
        return self._runs.view(volume.GetID())

    def runs(self) -> list[Run]:
        """List all runs of this session, those under way first."""
        return self._runs.views()

    def slice_bounds(self, volume: Any) -> tuple[float, float]:
        """Find the lowest and highest slice centre along the chosen model's slice axis, in mm."""
        return self._starting.slice_bounds(volume)

    # results

    def outcome(self, volume: Any) -> Outcome | None:
        """Find the newest result of a volume."""
        record = record_of(volume)
        result = record.result if record else None
        if record is None or result is None or record.segmentation is None:
            return None
        maps = {part: node.GetID() for part, node in record.maps.items()}
        return Outcome(
            volume.GetID(),
            record.segmentation.GetID(),
            maps,
            domain_warning(result.domain),
            result.job,
            result,
            result.notes,
        )

    def organ_volumes(self, volume: Any) -> list[OrganVolume]:
        """Measure the volumes of the segments as they are now."""
        record = record_of(volume)
        return Measures.organ_volumes(record, self._edits.mark(record)) if record else []

    def volumes_csv(self, volume: Any) -> str:
        """Write the table of volumes as CSV with a header."""
        return Measures.csv_text(self.organ_volumes(volume))

    def slice_values(self, volume: Any) -> list[SliceValue]:
        """List the points of the plot over slices, in order of position."""
        outcome = self.outcome(volume)
        return Measures.slice_values(outcome.result, self._model_of(outcome)) if outcome else []

    def jump_to(self, volume: Any, organ: str) -> None:
        """Show the middle of a structure of the newest result in the slice views."""
        jump_to(volume, organ)

    def open_editor(self, volume: Any) -> None:
        """Open the newest result of a volume in the Segment Editor."""
        if not open_editor(volume):
            self._tell(WARNING, _("There is no result to correct: press Preview first."))

    def show_surfaces(self, volume: Any, visible: bool) -> None:
        """Make surfaces of the segments, or remove them again."""
        record = record_of(volume)
        if record is not None and record.segmentation is not None:
            show_surfaces(record.segmentation, visible)

    def fetch_report(self, volume: Any, path: str) -> None:
        """Save the report of the newest result to a file."""
        outcome, client = self.outcome(volume), self._client()
        if outcome is None or client is None:
            return
        job = outcome.job
        if not job:
            self._tell(WARNING, _("A label of the server has no report: run a preview for one."))
            return
        self._runner.run(
            lambda: Path(path).write_bytes(client.report(job)),
            lambda _size: self._tell(INFO, _("The report was saved as {name}.").format(name=Path(path).name)),
            lambda error: self._tell(ERROR, str(error)),
        )

    # datastore

    @property
    def images(self) -> Images:
        """Images of the server's datastore, as last heard."""
        return self._datastore.images

    def edited(self, volume: Any) -> bool:
        """Tell whether the segmentation differs from what the model found."""
        record = record_of(volume)
        return record is not None and (record.edited_before or self._edits.edited(record))

    def submit(self, volume: Any, user: str, tag: str = "final") -> None:
        """Put the label of a volume into the server's datastore."""
        client = self._client()
        if client is not None:
            may_send = partial(self._consent.to_send, connection=self.connection)
            known = known_structures(self.connection.models)
            self._datastore.submit(client, volume, user, tag, self.edited(volume), may_send, known)

    def stop_submit(self) -> None:
        """Send no more of the scan whose label is on its way."""
        self._datastore.stop_submit()

    def list_labels(self, volume: Any) -> None:
        """Ask which labels the server has for the image of a volume."""
        client = self._client()
        if client is not None:
            self._datastore.list_labels(client, volume)

    def review(self, volume: Any, user: str, verdict: str, comment: str = "") -> None:
        """Say as a second reader whether the label of a volume's image is right."""
        client, record = self._client(), record_of(volume)
        if client is not None:
            changed = record is not None and self._edits.edited(record)
            self._datastore.review(client, volume, user, verdict, comment, changed)

    def list_images(self) -> None:
        """Ask the server for its images."""
        client = self._client()
        if client is not None:
            self._datastore.list_images(client)

    def open_image(self, image: str) -> None:
        """Load an image of the datastore."""
        client = self._client()
        if client is not None:
            self._datastore.open_image(client, image)

    def next_sample(self, strategy: str = "", reader: str = "") -> None:
        """Load the image that active learning would have labelled next for a reader."""
        client = self._client()
        if client is not None:
            self._datastore.next_sample(client, strategy, reader)

    # many images

    @property
    def batch(self) -> Batch:
        """How far the server is with many images, as last heard."""
        return self._batches.batch

    def start_batch(self, images: Sequence[str] | None = None) -> None:
        """Have images of the datastore previewed, or all without a label."""
        client = self._client()
        if client is not None:
            self._batches.start(client, images)

    def stop_batch(self) -> None:
        """End the batch; the labels that it has saved stay."""
        client = self._client()
        if client is not None:
            self._batches.stop(client)

    # jobs left at the server

    @property
    def left_jobs(self) -> tuple[LeftJob, ...]:
        """Jobs of this installation that go on at the server without a run here, as after a crash."""
        return self._left.jobs

    def take_up(self, job: str) -> None:
        """Open the image of a job that was left, and follow the job as a run."""
        client = self._client()
        image = next((left.image for left in self._left.jobs if left.id == job), "")
        if client is not None and image:
            self._datastore.open_image(client, image, lambda volume: self._follow(volume, client, job))

    def _follow(self, volume: Any, client: Client, job: str) -> None:
        found = self._left.take(job)
        if found is not None:
            self._starting.follow(volume, client, found)

    def end_left(self, job: str) -> None:
        """Cancel a job that was left."""
        client = self._client()
        if client is not None:
            self._left.end(client, job)

    # life

    def close(self) -> None:
        """Cancel running jobs, remove uploads and call nothing any more."""
        self._watch.close()
        self.choices.close()
        self._datastore.stop_submit()
        self.corrections.end()
        self._runs.close()
        self._runner.close()

    # what comes back

    def _on_connection(self, _connection: Connection) -> None:
        """Look at a server that is newly connected for what goes on there."""
        client = self._connector.client
        if client is self._followed:
            return
        self._followed = client
        if client is None:
            self._batches.leave()
            self._left.leave()
        else:
            self._batches.watch(client)
            self._left.look(client)

    def _on_run(self, run: Run) -> None:
        self.run_changed.emit(run)
        if run.phase == "done":
            self._connector.look_again()

    def _on_failure(self, run: Run) -> None:
        volume = self._scene.GetNodeByID(run.volume_id)
        other = volume is not None and volume is not self.choices.volume
        self._tell(ERROR, f"{volume.GetName()}: {run.text}" if other else run.text)

    def _on_result(self, record: Record, target: Target) -> None:
        self.corrections.replaced(target.node)
        self._edits.remember(target)
        self._show_outcome(record)

    def _on_corrected(self, record: Record) -> None:
        if self.corrections.as_it_came:
            self._edits.remember(Target(record.segmentation, Mark.of(record.segmentation)))
        self._show_outcome(record)

    def _show_outcome(self, record: Record) -> None:
        outcome = self.outcome(record.volume) if record.volume is not None else None
        if outcome is not None:
            self.outcome_changed.emit(outcome)

    def _show_outcomes(self) -> None:
        for record in records(self._scene):
            self._show_outcome(record)

    # the scene

    def _on_removed(self, node: Any) -> None:
        """Forget a volume's run and result with it; what stands in other nodes stays."""
        self._runs.forget(node.GetID())
        self._datastore.forget(node.GetID())
        self.corrections.forget(node.GetID())
        self._edits.forget(node.GetID())
        if node.IsA("vtkMRMLScalarVolumeNode"):
            for record in list(records(self._scene)):
                if record.volume is None:
                    self._scene.RemoveNode(record.node)

    def _on_closing(self) -> None:
        self.corrections.end()
        self._datastore.forget_all()
        self._runs.forget_all()
        self._edits.forget_all()
        self._consent.forget()

    def _on_loaded(self) -> None:
        self.choices.reloaded()
        self._show_outcomes()
        self._edits.compare_loaded(self._scene, self._show_outcomes)

    # helpers

    def _model_of(self, outcome: Outcome) -> Model | None:
        return next((model for model in self.connection.models if model.name == outcome.result.model.name), None)

    def _client(self) -> Client | None:
        if self._connector.client is None:
            self._tell(WARNING, _("Connect to a server first."))
        return self._connector.client

    def _tell(self, level: str, text: str) -> None:
        self.message.emit(Message(level, text))
