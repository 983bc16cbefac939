"""Trainings at the server: begun here, computed there, followed until the end; and the versions that come of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Protocol

from ..Protocols.RunnerProtocol import Runner, Task
from ..Protocols.TrainingProtocol import Learning
from ..Server.Errors import Gone, NotAllowed, ServerError
from ..Signal import Signal
from ..Translation import tr as _
from ..Types.TrainingTypes import (
    ModelVersions,
    TrainingJob,
    TrainingLabels,
    TrainingRequest,
)
from ..Views import ERROR, INFO, WARNING
from .TrainingTexts import training_text

LOOK_SECONDS = 2.0

LOST_TRIES = 30
"""Times that a server that does not answer is asked again."""


class TrainingClient(Protocol):
    """Speaks to one server; every call waits for its answer. See `Server.TrainingCalls`."""

    def train(self, request: TrainingRequest) -> TrainingJob: ...

    def trainings(self) -> tuple[TrainingJob, ...]: ...

    def training(self, training: str) -> TrainingJob: ...

    def cancel_training(self, training: str) -> TrainingJob: ...

    def resume_training(self, training: str) -> TrainingJob: ...

    def training_labels(self, model: str) -> TrainingLabels: ...

    def versions(self, model: str) -> ModelVersions: ...

    def use_version(self, model: str, version: int) -> ModelVersions: ...


class Connector(Protocol):
    """Connects to one server at a time. See `Server.Connector`."""

    client: Any
    changed: Signal

    def look_again(self) -> None:
        """Ask anew what the server runs."""


class Trainings:
    """Follows the training of the server that is connected, whoever has begun it. See `TrainingLogic`.

    Args:
        runner: runs requests in threads.
        connector: knows the client, and tells when it changes.
        tell: called with level and text.
    """

    def __init__(self, runner: Runner, connector: Connector, tell: Callable[[str, str], None]) -> None:
        self.state = Learning()
        self.changed = Signal("Learning")
        self._runner = runner
        self._connector = connector
        self._tell = tell
        self._client: TrainingClient | None = None
        self._poll: Task | None = None
        self._lost = 0
        connector.changed.connect(self._on_connection)

    def look(self, model: str) -> None:
        """Ask what can be learnt and which versions of a model there are."""
        client = self._client
        if client is None or self.state.available is False:
            return
        self._ask(
            client,
            lambda: client.training_labels(model),
            lambda labels: self._show(labels=labels),
            self._complain,
        )
        if model:
            self._ask(client, lambda: client.versions(model), lambda versions: self._show(versions=versions))

    def train(self, request: TrainingRequest) -> None:
        """Begin a training, and follow it."""
        client = self._connected()
        if client is not None:
            self._follow(client, lambda: client.train(request))

    def cancel(self) -> None:
        """End the training that is under way."""
        client, training = self._connected(), self.state.training
        if client is not None and training is not None and self.state.active:
            self._follow(client, lambda: client.cancel_training(training.id))

    def resume(self) -> None:
        """Let the last training go on, where it was interrupted or has failed."""
        client, training = self._connected(), self.state.training
        if client is not None and training is not None and training.ended:
            self._follow(client, lambda: client.resume_training(training.id))

    def use_version(self, version: int) -> None:
        """Choose the version that runs use from now on."""
        client, versions = self._connected(), self.state.versions
        if client is None or versions is None:
            return
        self._ask(client, lambda: client.use_version(versions.model, version), self._used, self._complain)

    def _on_connection(self, _connection: Any) -> None:
        """Look at a server that is newly connected for a training that goes on there."""
        client = self._connector.client
        if client is self._client:
            return
        self._client = client
        self._stop()
        self.state = Learning()
        self.changed.emit(self.state)
        if client is not None:
            self._ask(client, client.trainings, lambda found: self._found(client, found), self._not_found)

    def _found(self, client: TrainingClient, trainings: tuple[TrainingJob, ...]) -> None:
        self._show(available=True)
        under_way = next((one for one in trainings if not one.ended), None)
        newest = next(iter(trainings), None)
        if under_way is not None:
            self._heard(client, under_way)
        elif newest is not None and newest.state == "interrupted":
            self._show_training(newest)

    def _not_found(self, error: Exception) -> None:
        if isinstance(error, (Gone, NotAllowed)):  # the server is older
            self._show(available=False)

    def _follow(self, client: TrainingClient, begin: Callable[[], TrainingJob]) -> None:
        self._stop()

        def refused(error: Exception) -> None:
            self._complain(error)
            training = self.state.training
            if training is not None and not training.ended:  # it goes on all the same
                self._look_at(client, training.id)

        self._ask(client, begin, lambda training: self._heard(client, training), refused)

    def _look_at(self, client: TrainingClient, training: str) -> None:
        self._poll = self._ask(
            client,
            lambda: client.training(training),
            lambda found: self._heard(client, found),
            lambda error: self._not_answered(client, training, error),
        )

    def _heard(self, client: TrainingClient, training: TrainingJob) -> None:
        self._lost = 0
        self._show_training(training)
        if not training.ended:
            self._poll = self._runner.later(LOOK_SECONDS, lambda: self._look_at(client, training.id))
        elif training.state == "done":
            self._ended(training)

    def _ended(self, training: TrainingJob) -> None:
        """Bring up to date what a new version changes: the server's models, its versions and their scores."""
        self._tell(INFO, training_text(training))
        self._connector.look_again()
        self.look(training.model)

    def _not_answered(self, client: TrainingClient, training: str, error: Exception) -> None:
        self._lost += 1
        if isinstance(error, ServerError) and error.passing and self._lost <= LOST_TRIES:
            self._poll = self._runner.later(LOOK_SECONDS, lambda: self._look_at(client, training))
            return
        self._show(training=None, text=str(error), fraction=None)

    def _used(self, versions: ModelVersions) -> None:
        self._show(versions=versions)
        self._tell(INFO, _("Version {version} of the model is in use from now on.").format(version=versions.current))
        self._connector.look_again()

    def _complain(self, error: Exception) -> None:
        self._tell(ERROR, str(error))

    def _connected(self) -> TrainingClient | None:
        if self._client is None:
            self._tell(WARNING, _("Connect to a server first."))
        return self._client

    def _ask(
        self,
        client: TrainingClient,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None] = lambda _error: None,
    ) -> Task:
        """Ask in a thread; what another server than the present one answers is of no interest."""

        def if_still(call: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda outcome: call(outcome) if client is self._client else None

        return self._runner.run(work, if_still(done), if_still(failed))

    def _stop(self) -> None:
        if self._poll is not None:
            self._poll.drop()
            self._poll = None

    def _show_training(self, training: TrainingJob) -> None:
        fraction = min(1.0, training.step / training.steps) if training.steps else None
        self._show(training=training, text=training_text(training), fraction=fraction)

    def _show(self, **changes: Any) -> None:
        state = replace(self.state, **changes)
        if state != self.state:
            self.state = state
            self.changed.emit(state)
