"""A logic for the panel's tests: answers at once, remembers what it was asked, sends what a test wants to be sent."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from SemGANLib.Signal import Signal
from SemGANLib.Types.JobTypes import Job
from SemGANLib.Types.ModelTypes import Code, Label, Mode, Model, ModelId
from SemGANLib.Types.ResultTypes import Domain, Result
from SemGANLib.Types.ServerTypes import Health
from SemGANLib.Views import (
    ERROR,
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

from tests.slicer_extension.panel.fake_archiving import FakeArchiving
from tests.slicer_extension.panel.fake_correcting import FakeCorrections
from tests.slicer_extension.panel.fake_trainings import FakeTrainings

ORGAN = Code("SCT", "123037004", "Anatomical Structure")
COLOURS = {
    "liver": (221, 130, 101),
    "right kidney": (185, 102, 83),
    "left kidney": (232, 196, 64),
    "spleen": (157, 108, 162),
}
VOLUMES_ML = {
    "liver": (1500.0, 1490.0),
    "right kidney": (162.4, 162.4),
    "left kidney": (171.9, 171.9),
    "spleen": (214.3, 214.3),
}
"""As they are now, and as they were found."""

SIGNALS = (
    "connection_changed",
    "run_changed",
    "outcome_changed",
    "images_changed",
    "image_opened",
    "message",
    "labels_changed",
    "submit_changed",
    "batch_changed",
    "left_jobs_changed",
)


def model(name: str = "semgan_abdomen", version: str = "0.1.0") -> Model:
    """Make a model as a server names it."""
    labels = tuple(
        Label(index + 1, organ, colour, ORGAN, Code("SCT", str(index), organ))
        for index, (organ, colour) in enumerate(COLOURS.items())
    )
    modes = (Mode("preview", dice={"CT": 0.9}), Mode("invert", steps=60), Mode("refine", steps=60))
    return Model(name, version, "ab" * 32, labels, modes, description="Organs of the abdomen.", modalities=("CT",))


class FakeChoices:
    """As `Parameters`, without a scene."""

    def __init__(self) -> None:
        self.changed = Signal()
        values = {
            "volume": None,
            "segmentation": None,
            "model": "",
            "modality": "",
            "slice_range_mm": None,
            "labels": None,
        }
        vars(self).update(values, steps=None, maps=True)

    def __setattr__(self, name: str, value: Any) -> None:
        before = vars(self).get(name)
        vars(self)[name] = value
        if name != "changed" and before is not value:
            self.changed.emit()


class FakeLogic:
    """See `Protocols.LogicProtocol.Logic`.

    Attributes:
        asked: what the panel asked for, in order: name of the function and arguments.
        outcomes: results by id of the volume.
        trouble: what `problem` answers.
    """

    def __init__(self, scene: Any) -> None:
        for name in SIGNALS:
            setattr(self, name, Signal())
        self.scene = scene
        self.choices = FakeChoices()
        self.connection = Connection()
        self.images = Images()
        self.asked: list[tuple[Any, ...]] = []
        self.outcomes: dict[str, Outcome] = {}
        self.run_of: dict[str, Run] = {}
        self.trouble = ""
        self.is_edited = False
        self.saved = ("", "")
        self.access = ("", "")
        self.batch = Batch()
        self.left_jobs: tuple[LeftJob, ...] = ()
        self.corrections = FakeCorrections(self.asked)
        self.trainings = FakeTrainings(self.asked)
        self.archiving = FakeArchiving(self.asked)

    def saved_server(self) -> tuple[str, str]:
        return self.saved

    def saved_access(self) -> tuple[str, str]:
        return self.access

    def connect(self, address: str, key: str = "", remember_key: bool = True, *access: str) -> None:
        self.asked.append(("connect", address, key, remember_key, *access))

    def disconnect(self) -> None:
        self.asked.append(("disconnect",))
        self.set_connection(Connection())

    def set_connection(self, connection: Connection) -> None:
        self.connection = connection
        self.connection_changed.emit(connection)

    def connected(self, *models: Model, local: bool = True) -> None:
        """Behave as if a server had answered."""
        health = Health("monai_semgan", "0.1.0", "1.0", ready=True)
        text = "Connected to http://127.0.0.1:8000 (monai_semgan 0.1.0, ready)."
        self.set_connection(Connection("on", "http://127.0.0.1:8000", text, local, health, models or (model(),)))

    def chosen_model(self) -> Model | None:
        models = self.connection.models
        return next((one for one in models if one.name == self.choices.model), models[0] if models else None)

    def problem(self, volume: Any) -> str:
        return self.trouble

    def preview(self, volume: Any) -> None:
        self.asked.append(("preview", volume.GetName()))

    def refine(self, volume: Any) -> None:
        self.asked.append(("refine", volume.GetName()))

    def cancel(self, volume: Any) -> None:
        self.asked.append(("cancel", volume.GetName()))

    def run(self, volume: Any) -> Run | None:
        return self.run_of.get(volume.GetID())

    def runs(self) -> list[Run]:
        return list(self.run_of.values())

    def goes_on(self, volume: Any, **changes: Any) -> None:
        """Behave as if a run had changed."""
        run = self.run_of.get(volume.GetID(), Run(volume.GetID(), "refine", "running"))
        self.run_of[volume.GetID()] = replace(run, **changes)
        self.run_changed.emit(self.run_of[volume.GetID()])

    def slice_bounds(self, volume: Any) -> tuple[float, float]:
        return -100.0, 80.0

    def outcome(self, volume: Any) -> Outcome | None:
        return self.outcomes.get(volume.GetID())

    def arrives(self, outcome: Outcome) -> None:
        """Behave as if a result had come into the scene."""
        self.outcomes[outcome.volume_id] = outcome
        self.outcome_changed.emit(outcome)

    def organ_volumes(self, volume: Any) -> list[OrganVolume]:
        return [OrganVolume(name, colour, *VOLUMES_ML[name]) for name, colour in COLOURS.items()]

    def volumes_csv(self, volume: Any) -> str:
        return "structure,ml\nliver,1500.0\n"

    def slice_values(self, volume: Any) -> list[SliceValue]:
        positions = [5.0 * index - 100.0 for index in range(37)]
        doubt = {p: 0.1 + (p / 100) ** 4 if -80 <= p <= 60 else None for p in positions}
        return [SliceValue((3.0, -4.0, p), p, 34.0 + 6 * math.sin(p / 15), doubt[p]) for p in positions]

    def jump_to(self, volume: Any, organ: str) -> None:
        self.asked.append(("jump_to", volume.GetName(), organ))

    def open_editor(self, volume: Any) -> None:
        self.asked.append(("open_editor", volume.GetName()))

    def show_surfaces(self, volume: Any, visible: bool) -> None:
        self.asked.append(("show_surfaces", volume.GetName(), visible))

    def fetch_report(self, volume: Any, path: str) -> None:
        self.asked.append(("fetch_report", volume.GetName(), path))

    def edited(self, volume: Any) -> bool:
        return self.is_edited

    def submit(self, volume: Any, user: str, tag: str = "final") -> None:
        self.asked.append(("submit", volume.GetName(), user, tag))

    def stop_submit(self) -> None:
        self.asked.append(("stop_submit",))

    def list_images(self) -> None:
        self.asked.append(("list_images",))

    def open_image(self, image: str) -> None:
        self.asked.append(("open_image", image))

    def next_sample(self, strategy: str = "", reader: str = "") -> None:
        self.asked.append(("next_sample", strategy, reader))

    def list_labels(self, volume: Any) -> None:
        self.asked.append(("list_labels", volume.GetName()))

    def review(self, volume: Any, user: str, verdict: str, comment: str = "") -> None:
        self.asked.append(("review", volume.GetName(), user, verdict, comment))

    def start_batch(self, images: Any = None) -> None:
        self.asked.append(("start_batch", images))

    def stop_batch(self) -> None:
        self.asked.append(("stop_batch",))

    def batch_goes_on(self, batch: Batch) -> None:
        """Behave as if the server had told how far a batch is."""
        self.batch = batch
        self.batch_changed.emit(batch)

    def take_up(self, job: str) -> None:
        self.asked.append(("take_up", job))

    def end_left(self, job: str) -> None:
        self.asked.append(("end_left", job))

    def leaves(self, *jobs: LeftJob) -> None:
        """Behave as if jobs were found that nobody here follows."""
        self.left_jobs = jobs
        self.left_jobs_changed.emit(jobs)

    def fails(self, text: str) -> None:
        """Behave as if something had gone wrong."""
        self.message.emit(Message(ERROR, text))

    def close(self) -> None:
        self.asked.append(("close",))


def result(domain: Domain | None = None, **changes: Any) -> Result:
    """Make a result as a server tells it."""
    identity = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
    return replace(
        Result(
            job="a" * 32,
            version=1,
            partial=False,
            mode="invert",
            labels=model().labels,
            shape=(20, 16, 12),
            affine=identity,
            model=ModelId("semgan_abdomen", "0.1.0", "ab" * 32),
            parts=("label", "reconstruction", "residual", "uncertainty", "report"),
            modality="CT",
            domain=domain,
        ),
        **changes,
    )


def job(**changes: Any) -> Job:
    """Make a job half way."""
    loss = tuple(100.0 / (step + 2) for step in range(12))
    half_way = Job("a" * 32, "running", step=12, steps=60, slices=90, slices_converged=31, loss=loss, eta_seconds=40.0)
    return replace(half_way, **changes)
