"""Trainings from final labels: one at a time, behind all jobs, with a version of the model at their end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the environment of the extra label")

from monai_semgan.jobs.job_errors import Conflict, Forbidden, JobError, Unknown
from monai_semgan.jobs.model_library import ModelLibrary
from monai_semgan.jobs.models import served_models
from monai_semgan.jobs.ownership import Asker
from monai_semgan.jobs.train_contract import Training, TrainRequest, TrainState
from monai_semgan.jobs.training_choice import choose
from monai_semgan.jobs.training_labels import LabelledImage, LabelReader
from monai_semgan.jobs.training_service import TrainingService
from tests.jobs.fake_learning import write_interpreter

pytestmark = pytest.mark.label

SECONDS = 240.0
"""Until a process has begun at the lowest priority on a computer that is busy."""
AORTA = {"kind": "structure", "structures": [{"name": "aorta"}], "seconds": 10.0}


@dataclass
class Room:
    """A reading room: its labels, whether somebody waits for a job, and the service."""

    folder: Path
    bundle: Path
    labels: list[LabelledImage] = field(default_factory=list)
    busy: bool = False
    services: list[TrainingService] = field(default_factory=list)

    def service(self) -> TrainingService:
        """A service as after a start of the server."""
        library = ModelLibrary(self.folder / "models", served_models([self.bundle]))
        python = write_interpreter(self.folder)
        found = TrainingService(library, self.folder / "trainings", lambda: self.labels, lambda: self.busy, python)
        found.take_over()
        self.services.append(found)
        return found

    def label(self, image: str, names: dict[int, str | None]) -> None:
        """Submit a label in which every id has some voxels."""
        array = np.zeros((6, 6, 6), np.uint8)
        for index in names:
            array[:, :, index % 6][:2] = index
        path = self.folder / f"label_{image}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 2.0, 2.0, 1.0])), path)
        told = {index: name for index, name in names.items() if name is not None}
        self.labels.append(LabelledImage(image, self.folder / f"{image}.nii.gz", path, told))


@pytest.fixture
def room(tmp_path: Path, tiny_bundle: Path) -> Iterator[Room]:
    """A room without labels."""
    found = Room(tmp_path, tiny_bundle)
    yield found
    for service in found.services:
        service.close()


def request(**changes: object) -> TrainRequest:
    """A request for the aorta, which takes a second here."""
    return TrainRequest(**{**AORTA, **changes})  # type: ignore[arg-type]


def wait(
    service: TrainingService, training: str, wanted: Callable[[Training], bool] = lambda one: one.finished is not None
) -> Training:
    """A training when it is as wanted; the service is tended meanwhile, as its server does."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        service.tend()
        found = service.training(training)
        if wanted(found):
            return found
        time.sleep(0.05)
    pytest.fail(f"waited too long: {found}")


def test_what_was_learnt_is_a_version_that_jobs_use_from_then_on(room: Room) -> None:
    room.label("ct_1", {1: None, 9: "aorta"})
    room.label("ct_2", {9: "aorta"})
    room.label("ct_3", {1: None})
    service = room.service()
    changed: list[str] = []
    service.library.on_change.append(changed.append)
    name = service.library.name(None)
    before = service.library.models[name].folder

    done = wait(service, service.submit(request()).id)

    assert (done.state, done.version, done.parent) == (TrainState.done, 1, 0), done.message
    assert done.images == ["ct_1", "ct_2"] and done.held_out == ["ct_1"] and done.figures == {"aorta": 0.75}
    assert service.library.models[name].folder != before and changed == [name]
    versions = service.versions(name)
    assert versions.current == 1 and [one.version for one in versions.versions] == [0, 1]
    assert (versions.versions[1].kind, versions.versions[1].parent) == ("structure", 0)


def test_a_version_stays_in_use_after_a_restart_and_the_one_as_shipped_comes_back(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    first = room.service()
    wait(first, first.submit(request()).id)
    first.close()

    service = room.service()
    name = service.library.name(None)
    assert service.library.models[name].folder.name == "1"
    assert service.use(name, 0).current == 0
    assert service.library.models[name].folder == room.bundle
    with pytest.raises(Unknown, match="version 7"):
        service.use(name, 7)


def test_jobs_go_first(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    service = room.service()
    room.busy = True
    training = service.submit(request(seconds=60.0)).id
    service.tend()
    assert (
        service.training(training).state is TrainState.queued and "jobs go first" in service.training(training).message
    )
    room.busy = False
    wait(service, training, lambda one: one.step > 0)
    room.busy = True
    wait(service, training, lambda one: one.state is TrainState.paused)
    time.sleep(0.3)
    held = service.training(training)
    time.sleep(1.0)
    service.tend()
    assert service.training(training).step == held.step and service.training(training).paused_seconds > 1.0
    room.busy = False
    assert wait(service, training).state is TrainState.done


def test_a_version_that_was_chosen_during_a_training_stays_in_use(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    service = room.service()
    name = service.library.name(None)
    wait(service, service.submit(request()).id)
    training = service.submit(request(kind="tune", seconds=40.0)).id
    wait(service, training, lambda one: one.step > 0)
    service.use(name, 0)
    done = wait(service, training)
    assert done.version == 2 and "version 0, which was chosen meanwhile, stays in use" in done.message
    assert service.versions(name).current == 0 and room.service().versions(name).current == 0


def test_trainings_run_one_after_the_other(room: Room) -> None:
    room.label("ct_1", {9: "aorta", 10: "stomach"})
    service = room.service()
    first = service.submit(request()).id
    second = service.submit(request(structures=[{"name": "stomach"}])).id
    wait(service, first, lambda one: one.step > 0)
    assert service.training(second).state is TrainState.queued
    assert (wait(service, first).version, wait(service, second).version) == (1, 2)
    assert service.training(second).parent == 1


def test_a_training_that_is_cancelled_leaves_the_model_as_it_was(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    service = room.service()
    training = service.submit(request()).id
    wait(service, training, lambda one: one.step > 0)
    service.cancel(training)
    assert wait(service, training).state is TrainState.cancelled
    assert service.versions(service.library.name(None)).current == 0
    with pytest.raises(Conflict, match="ended already"):
        service.cancel(training)


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("refuse", "would get worse; give more labels"),
        ("die", "was killed"),
        ("misuse", "list.json: holds no aorta; label it"),
    ],
)
def test_a_training_that_fails_says_why_and_the_model_stays(
    room: Room, monkeypatch: pytest.MonkeyPatch, trouble: str, told: str
) -> None:
    monkeypatch.setenv("FAKE_LEARN", trouble)
    room.label("ct_1", {9: "aorta"})
    service = room.service()
    failed = wait(service, service.submit(request()).id)
    assert failed.state is TrainState.failed and told in failed.message and "/" not in failed.message
    assert service.versions(service.library.name(None)).current == 0
    monkeypatch.delenv("FAKE_LEARN")
    service.resume(failed.id)
    assert wait(service, failed.id).state is TrainState.done


def test_after_a_kill_of_the_server_a_training_can_go_on(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    killed = room.service()
    training = killed.submit(request()).id
    wait(killed, training, lambda one: one.step > 0)
    service = room.service()
    assert service.training(training).state is TrainState.interrupted
    record = next(one for one in service.files.load() if one.training.id == training)
    killed.close()
    service.files.save(record)  # in place of what the closed one has written since
    service.resume(training)
    assert wait(service, training).state is TrainState.done


def test_a_server_that_was_killed_when_the_version_was_there_already_tells_so_after_its_start(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    killed = room.service()
    training = killed.submit(request()).id
    wait(killed, training, lambda one: one.step > 0)
    record = next(one for one in killed.files.load() if one.training.id == training)
    made = wait(killed, training)
    killed.files.save(record)  # the server did not come to write that it has ended
    found = room.service().training(training)
    assert (found.state, found.version, found.figures) == (TrainState.done, made.version, {"aorta": 0.75})
    assert found.message == made.message


def test_what_another_training_has_made_is_not_taken_for_that_of_one_that_was_interrupted(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    killed = room.service()
    first = killed.submit(request()).id
    wait(killed, first, lambda one: one.step > 0)
    record = next(one for one in killed.files.load() if one.training.id == first)
    killed.cancel(first)
    wait(killed, first)
    second = killed.submit(request()).id
    assert wait(killed, second).state is TrainState.done
    killed.files.save(record)  # as if the first one had not been cancelled, but gone on after the second
    service = room.service()
    assert service.training(first).state is TrainState.interrupted
    assert service.training(second).state is TrainState.done


def test_a_training_of_a_model_that_is_not_served_any_more_cannot_go_on(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    first = room.service()
    training = first.submit(request()).id
    first.close()
    record = first.files.load()[0]
    first.files.save(record.model_copy(update={"training": record.training.model_copy(update={"model": "other"})}))
    service = room.service()
    assert service.training(training).state is TrainState.interrupted
    with pytest.raises(Unknown, match="unknown model"):
        service.resume(training)


def test_only_who_has_started_a_training_may_end_it(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    service = room.service()
    room.busy = True
    training = service.submit(request(), Asker.named("ann")).id
    with pytest.raises(Forbidden):
        service.cancel(training, Asker.named("ben"))
    assert service.training(training, Asker.named("ann")).mine is True
    assert service.cancel(training, Asker.named("ann")).state is TrainState.cancelled


def test_what_cannot_be_learnt_is_refused_with_the_reason(room: Room) -> None:
    service = room.service()
    with pytest.raises(Conflict, match="submit labels first"):
        service.submit(request())
    room.label("ct_1", {1: None, 9: "aorta", 12: None})
    liver = service.library.models[service.library.name(None)].labels[1]
    with pytest.raises(JobError, match=r"no final label holds bladder; there are .*aorta.* and ids without a name: 12"):
        service.submit(request(structures=[{"name": "bladder"}]))
    with pytest.raises(Conflict, match=f"knows {liver} already; take kind tune"):
        service.submit(request(structures=[{"name": liver}]))
    with pytest.raises(Unknown, match="ct_9"):
        service.submit(request(images=["ct_9"]))
    with pytest.raises(JobError, match="without commas"):
        service.submit(request(structures=[{"name": "aorta, thoracic"}]))
    with pytest.raises(Unknown, match="unknown model"):
        service.submit(request(model="other"))
    assert service.trainings().trainings == []


def test_a_name_that_looks_like_an_option_is_a_name(room: Room) -> None:
    room.label("ct_1", {9: "--tune"})
    service = room.service()
    done = wait(service, service.submit(request(structures=[{"name": "--tune", "colour": [1, 2, 3]}])).id)
    assert (done.state, done.structures) == (TrainState.done, ["--tune"])
    assert service.versions(done.model).versions[1].kind == "structure"


def test_a_label_without_a_name_is_learnt_by_its_number(room: Room) -> None:
    room.label("ct_1", {12: None})
    service = room.service()
    done = wait(service, service.submit(request(structures=[{"name": "bladder", "label": 12}])).id)
    assert done.state is TrainState.done and done.structures == ["bladder"]


def test_labels_that_number_a_structure_differently_are_learnt_as_one(room: Room) -> None:
    room.label("ct_1", {1: None, 9: "aorta"})
    room.label("ct_2", {9: "aorta"})
    room.label("ct_3", {9: "stomach", 11: "Aorta"})
    service = room.service()
    known = service.library.models[service.library.name(None)].labels
    training = service.submit(request()).id
    choice = choose(request(), known, LabelReader().look(room.labels, known))
    listed = json.loads(service.files.write_data(training, choice, known).read_text())
    names = {int(index): name for index, name in listed["labels"].items()}
    found = [np.unique(np.asarray(nibabel.load(one["label"]).dataobj)).tolist() for one in listed["training"]]
    assert names[9] == "aorta" and found == [[0, 1, 9], [0, 9], [0, 9]]
    assert [one["labelled"] for one in listed["training"]] == [[known[1], "aorta"], ["aorta"], ["aorta"]]
    copy = Path(listed["training"][2]["label"])
    written = copy.stat().st_mtime_ns
    again = json.loads(service.files.write_data(training, choice, known).read_text())
    assert again == listed and copy.stat().st_mtime_ns == written  # so that what was stopped goes on


def test_a_number_that_a_client_calls_differently_from_the_model_counts_if_it_names_all_that_is_there(
    room: Room,
) -> None:
    room.label("ct_1", {1: "aorta"})
    room.label("ct_2", {1: "aorta", 2: None})
    service = room.service()
    known = service.library.models[service.library.name(None)].labels
    told = {one.name: one.images for one in service.labels().structures}
    assert told == {"aorta": ["ct_1"], known[1]: ["ct_2"], known[2]: ["ct_2"]}


def test_what_labels_hold_is_told_with_names_and_images(room: Room) -> None:
    room.label("ct_1", {1: None, 9: "aorta"})
    room.label("ct_2", {9: "aorta", 12: None})
    (room.folder / "label_ct_3.nii.gz").write_bytes(b"damaged")
    room.labels.append(LabelledImage("ct_3", room.folder / "ct_3.nii.gz", room.folder / "label_ct_3.nii.gz", {}))
    service = room.service()
    told = service.labels()
    assert told.images == ["ct_1", "ct_2"]
    found = [(one.name, one.label, one.known, one.images) for one in told.structures]
    liver = service.library.models[told.model].labels[1]
    assert found == [
        (liver, 1, True, ["ct_1"]),
        ("aorta", 9, False, ["ct_1", "ct_2"]),
        (None, 12, False, ["ct_2"]),
    ]


def test_a_full_disk_refuses_a_training_and_keeps_nothing_of_it(room: Room) -> None:
    room.label("ct_1", {9: "aorta"})
    service = room.service()
    (room.folder / "trainings").write_text("no folder can be made here")
    with pytest.raises(JobError) as caught:
        service.submit(request())
    assert caught.value.status == 507 and service.trainings().trainings == []
    os.unlink(room.folder / "trainings")
    assert wait(service, service.submit(request()).id).state is TrainState.done
