"""What the module consists of: makes the parts, and hands what comes back from one to those that it concerns."""

from __future__ import annotations

from typing import Any

from .Datastore.DatastoreAccess import Asking, DatastoreAccess
from .Protocols.ApplicationProtocol import Confirm, Settings
from .Protocols.ClientProtocol import Client
from .Protocols.RunnerProtocol import Runner
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
from .Scene.Outcomes import outcome_of
from .Scene.Parameters import Parameters
from .Scene.Records import Record, records
from .Scene.SceneWatch import SceneWatch
from .Scene.SegmentationImport import Mark
from .Server.Connector import ClientFactory, Connector
from .Signal import Signal
from .Translation import tr as _
from .Views import ERROR, WARNING, Connection, Message, Run


class Parts:
    """The parts of the module, each made for the others; they are the attributes.

    Args:
        scene: the MRML scene.
        runner: does what takes time.
        settings: of the application.
        confirm: asks the user a yes/no question.
        make_client: makes the client of an address.
    """

    def __init__(
        self, scene: Any, runner: Runner, settings: Settings, confirm: Confirm, make_client: ClientFactory
    ) -> None:
        self.run_changed = Signal("Run")
        self.outcome_changed = Signal("Outcome")
        self.message = Signal("Message")
        self.scene = scene
        self.runner = runner
        self.choices = Parameters(scene)
        self.consent = Consent(confirm)
        self.connector = Connector(runner, settings, make_client)
        self.runs = Runs(runner, RunCallbacks(self._on_run, self._on_result, self._on_failure))
        self.starting = Starting(self.runs, self.choices, self.connector, self.consent, self.tell)
        self.corrections = Corrections(runner, self.runs, self.connector, self.consent, self._on_corrected, self.tell)
        self.edits = Edits(runner)
        self.datastore = DatastoreAccess(scene, runner, self.runs, Asking(confirm, self.tell, self._on_result))
        self.batches = Batches(runner, self.tell)
        self.left = LeftJobs(runner, self.runs, self.tell)
        self.trainings = Trainings(runner, self.connector, self.tell)
        self._followed: Client | None = None
        self.connector.changed.connect(self._on_connection)
        self._watch = SceneWatch(scene, self._on_removed, self._on_closing, self._on_loaded)
        self.edits.compare_loaded(scene, self._show_outcomes)

    def client(self) -> Client | None:
        """Find what speaks to the server; where there is none the user is told."""
        if self.connector.client is None:
            self.tell(WARNING, _("Connect to a server first."))
        return self.connector.client

    def tell(self, level: str, text: str) -> None:
        """Show the user a message."""
        self.message.emit(Message(level, text))

    def close(self) -> None:
        """Cancel running jobs, remove uploads and call nothing any more."""
        self._watch.close()
        self.choices.close()
        self.datastore.stop_submit()
        self.corrections.end()
        self.runs.close()
        self.runner.close()

    # what comes back

    def _on_connection(self, _connection: Connection) -> None:
        """Look at a server that is newly connected for what goes on there."""
        client = self.connector.client
        if client is self._followed:
            return
        self._followed = client
        if client is None:
            self.batches.leave()
            self.left.leave()
            self.datastore.archiving.leave()
        else:
            self.batches.watch(client)
            self.left.look(client)
            self.datastore.archiving.look(client)

    def _on_run(self, run: Run) -> None:
        self.run_changed.emit(run)
        if run.phase == "done":
            self.connector.look_again()

    def _on_failure(self, run: Run) -> None:
        volume = self.scene.GetNodeByID(run.volume_id)
        other = volume is not None and volume is not self.choices.volume
        self.tell(ERROR, f"{volume.GetName()}: {run.text}" if other else run.text)

    def _on_result(self, record: Record, target: Target) -> None:
        self.corrections.replaced(target.node)
        self.edits.remember(target)
        self._show_outcome(record)

    def _on_corrected(self, record: Record) -> None:
        if self.corrections.as_it_came:
            self.edits.remember(Target(record.segmentation, Mark.of(record.segmentation)))
        self._show_outcome(record)

    def _show_outcome(self, record: Record) -> None:
        outcome = outcome_of(record.volume) if record.volume is not None else None
        if outcome is not None:
            self.outcome_changed.emit(outcome)

    def _show_outcomes(self) -> None:
        for record in records(self.scene):
            self._show_outcome(record)

    # the scene

    def _on_removed(self, node: Any) -> None:
        """Forget a volume's run and result with it; what stands in other nodes stays."""
        self.runs.forget(node.GetID())
        self.datastore.forget(node.GetID())
        self.corrections.forget(node.GetID())
        self.edits.forget(node.GetID())
        if node.IsA("vtkMRMLScalarVolumeNode"):
            for record in list(records(self.scene)):
                if record.volume is None:
                    self.scene.RemoveNode(record.node)

    def _on_closing(self) -> None:
        self.corrections.end()
        self.datastore.forget_all()
        self.runs.forget_all()
        self.edits.forget_all()
        self.consent.forget()

    def _on_loaded(self) -> None:
        self.choices.reloaded()
        self._show_outcomes()
        self.edits.compare_loaded(self.scene, self._show_outcomes)
