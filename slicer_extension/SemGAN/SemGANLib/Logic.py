"""All that the module does, without its panel. See `Protocols.Logic` for what each part promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .Datastore.DatastoreAccess import DatastoreAccess
from .Protocols import Client, Confirm, Runner, Settings
from .Runs.Consent import Consent
from .Runs.Edits import Edits
from .Runs.Results import Target
from .Runs.Runs import Runs
from .Runs.VolumeRun import Plan, RunCallbacks
from .Scene import Measures, VolumeExport
from .Scene.Geometry import ijk_to_world, slice_positions
from .Scene.Parameters import Parameters
from .Scene.Records import Record, record_of, records
from .Scene.SceneWatch import SceneWatch
from .Scene.SegmentationImport import show_surfaces
from .Server.Client import Client as HttpClient
from .Server.Connector import ClientFactory, Connector
from .Signal import Signal
from .Texts import domain_warning
from .Translation import tr as _
from .Types import JobRequest, Model
from .Views import ERROR, INFO, WARNING, Connection, Images, Message, OrganVolume, Outcome, Run, SliceValue


class Logic:
    """Connects, segments, keeps results in the scene, and submits them.

    Args:
        scene: the MRML scene.
        runner: does what takes time.
        settings: of the application.
        confirm: asks the user a yes/no question.
        make_client: makes the client of an address and key.
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
        self._runs = Runs(runner, RunCallbacks(self.run_changed.emit, self._on_result, self._on_failure))
        self._edits = Edits(runner)
        self._datastore = DatastoreAccess(scene, runner, self._runs, self._tell)
        self.connection_changed = self._connector.changed
        self.images_changed = self._datastore.images_changed
        self.image_opened = self._datastore.image_opened
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

    def connect(self, address: str, key: str = "", remember_key: bool = True) -> None:
        """Speak to another server."""
        self._connector.connect(address, key, remember_key)

    def disconnect(self) -> None:
        """Leave the server; runs under way go on."""
        self._connector.disconnect()

    def chosen_model(self) -> Model | None:
        """Find the model of the choices, or the first; None while not connected."""
        models = self.connection.models
        return next((model for model in models if model.name == self.choices.model), models[0] if models else None)

    # segmenting

    def problem(self, volume: Any) -> str:
        """Say why this volume cannot be segmented and what to do; empty if it can."""
        return VolumeExport.problem(volume)

    def preview(self, volume: Any) -> None:
        """Begin a preview."""
        self._begin(volume, "preview", _("preview"))

    def refine(self, volume: Any) -> None:
        """Begin an inversion."""
        self._begin(volume, "refine", _("refined"))

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
        model = self.chosen_model()
        axis = model.slice_axis if model else (0.0, 0.0, 1.0)
        return slice_positions(ijk_to_world(volume), VolumeExport.shape_of(volume), axis)

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
        self._runner.run(
            lambda: Path(path).write_bytes(client.report(job)),
            lambda _size: self._tell(INFO, _("The report was saved to {path}").format(path=path)),
            lambda error: self._tell(ERROR, str(error)),
        )

    # datastore

    @property
    def images(self) -> Images:
        """Images of the server's datastore, as last heard."""
        return self._datastore.images

    def edited(self, volume: Any) -> bool:
        """Tell whether the segmentation differs from the result that came."""
        record = record_of(volume)
        return record is not None and self._edits.edited(record)

    def submit(self, volume: Any, user: str, tag: str = "final") -> None:
        """Put the label of a volume into the server's datastore."""
        client = self._client()
        if client is not None:
            self._datastore.submit(client, volume, user, tag, lambda scan: self._consent.to_send(scan, self.connection))

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

    def next_sample(self, strategy: str = "") -> None:
        """Load the image that active learning would have labelled next."""
        client = self._client()
        if client is not None:
            self._datastore.next_sample(client, strategy)

    # life

    def close(self) -> None:
        """Cancel running jobs, remove uploads and call nothing any more."""
        self._watch.close()
        self.choices.close()
        self._runs.forget_all()
        self._runner.close()

    # beginning a run

    def _begin(self, volume: Any, mode: str, word: str) -> None:
        client = self._client()
        if client is None or not self._ready(volume):
            return
        chosen = self.choices.segmentation if volume is self.choices.volume else None
        if chosen is not None and not self._consent.to_replace(chosen):
            return
        image = self._runs.stored_as(volume, client)
        if image is None and not self._consent.to_send(volume, self.connection):
            return
        choices = self.choices
        request = JobRequest(
            image=image,
            model=choices.model or None,
            mode=mode,
            modality=choices.modality or None,
            steps=None if mode == "preview" else choices.steps,
            slice_range_mm=choices.slice_range_mm,
            labels=choices.labels,
        )
        name = f"{volume.GetName()} {word}"
        self._runs.begin(volume, Plan(request, choices.maps, name, not self.connection.local), Target(chosen), client)

    def _ready(self, volume: Any) -> bool:
        problem = self.problem(volume) or self._range_problem(volume) or self._size_problem(volume)
        if problem:
            self._tell(WARNING, problem)
            return False
        run = self.run(volume)
        if run is not None and run.active:
            self._tell(WARNING, _("This volume is being segmented already. Cancel that first, or wait for it."))
            return False
        return True

    def _range_problem(self, volume: Any) -> str:
        limits = self.choices.slice_range_mm
        if limits is None:
            return ""
        low, high = self.slice_bounds(volume)
        if limits[0] < limits[1] and limits[0] <= high and limits[1] >= low:
            return ""
        text = _("No slice of the volume lies in the slice range. Choose one between {low:.0f} and {high:.0f} mm.")
        return text.format(low=low, high=high)

    def _size_problem(self, volume: Any) -> str:
        health = self.connection.health
        limit = health.upload_limit_bytes if health else None
        size = volume.GetImageData().GetActualMemorySize() * 1024
        if limit is None or size <= limit or not self.connection.local:  # compressed ones are judged by the server
            return ""
        return _("The volume has {size:.0f} MB, the server takes {limit:.0f} MB. Crop it (module Crop Volume).").format(
            size=size / 1e6, limit=limit / 1e6
        )

    # what comes back

    def _on_failure(self, run: Run) -> None:
        self._tell(ERROR, run.text)

    def _on_result(self, record: Record, target: Target) -> None:
        self._edits.remember(target)
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
        self._edits.forget(node.GetID())
        if node.IsA("vtkMRMLScalarVolumeNode"):
            for record in list(records(self._scene)):
                if record.volume is None:
                    self._scene.RemoveNode(record.node)

    def _on_closing(self) -> None:
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
