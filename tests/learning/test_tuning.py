"""A model that is trained on gets better at what the labels show, and keeps what it knew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.model_versions import VersionStore
from monai_semgan.data.datalist import Entry
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.learning import tuning
from monai_semgan.learning.labelled_entries import labelled_entries
from monai_semgan.learning.learn_settings import LearnSettings
from monai_semgan.learning.new_structures import NewStructure
from monai_semgan.learning.structure_learning import learn_structures
from monai_semgan.learning.tuning import TunedModel, refuse, tune
from monai_semgan.learning.tuning_check import TuningFigures
from monai_semgan.learning.tuning_data import TunedClasses, held_out_of, look_at, look_at_all
from monai_semgan.learning.tuning_settings import TuneSettings
from monai_semgan.organs import find_organ
from monai_semgan.training.engine.schedule import CLOCKS
from monai_semgan.utils.progress import NullProgress
from tests.learning.quiet_bundle import quiet, teach
from tests.phantoms import dice

TUMOUR = "odd tumour"
QUICK = TuneSettings(
    structures=[NewStructure(TUMOUR, 9, (1, 2, 3))], budget="10m", steps=80, learning_rate=1e-2, largest_loss=1.0
)
ORGANS = {1: 1, 2: 2, 3: 3, 4: 4}


class StopAt(NullProgress):
    """A user who wants the end after so many reports of steps."""

    def __init__(self, reports: int) -> None:
        self.left = reports

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        self.left -= message == "learning"

    def should_stop(self) -> bool:
        return self.left <= 0


@pytest.fixture(scope="module")
def old(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quiet(tiny_bundle, tmp_path_factory.mktemp("old") / "bundle")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """The spleen of the phantom under another name and id, and nothing else."""
    return labelled_entries(teach(tmp_path_factory.mktemp("taught") / "scans", 3, {4: 9}))


@pytest.fixture(scope="module")
def tuned(old: Path, scans: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> TunedModel:
    before = weights_digest(old)
    made = tune(old, scans, tmp_path_factory.mktemp("work"), QUICK, parent=3)
    assert weights_digest(old) == before
    return made


def test_a_new_structure_is_found_in_the_scan_that_was_held_out(tuned: TunedModel, scans: list[Entry]) -> None:
    assert load_bundle(tuned.folder).labels[5] == TUMOUR
    assert find_organ(TUMOUR, 5).colour == (1, 2, 3)
    assert tuned.record.figures[TUMOUR] > 0.5
    found = segment(scans[2].image, tuned.folder).label
    assert dice(found == 5, read_label(scans[2].label or "", read_volume(scans[2].image)).array == 9) > 0.5


def test_what_was_made_of_what_is_told(tuned: TunedModel) -> None:
    record = tuned.record
    assert (record.parent, record.kind, record.structures) == (3, "tune", (TUMOUR,))
    assert (record.images, record.held_out) == (("scan0", "scan1"), ("scan2",))
    assert record.note.startswith("figures on 1 held-out scan; those that no label tells agree with the old result by")
    assert json.loads((tuned.folder / "models" / "model.json").read_text())["tuning"]["scans"] == 2


@pytest.mark.parametrize("mode", ["encoder", "invert", "refine"])
def test_modes_that_render_go_on_without_the_new_structure(tuned: TunedModel, scans: list[Entry], mode: str) -> None:
    assert segment(scans[0].image, tuned.folder, mode).label.max() <= 5


def test_what_renders_finds_the_old_structures_to_the_voxel(tuned: TunedModel, old: Path, scans: list[Entry]) -> None:
    before, after = (segment(scans[0].image, bundle, "encoder").label for bundle in (old, tuned.folder))
    assert len(np.unique(before)) > 1
    assert np.array_equal(before, after)


def test_a_tuned_model_becomes_a_version_that_can_be_tuned_on(
    tuned: TunedModel, old: Path, scans: list[Entry], tmp_path: Path
) -> None:
    store = VersionStore(tmp_path / "versions", old)
    first = store.use(store.add(tuned.folder, replace(tuned.record, parent=0)).number)
    again = tune(first.folder, scans, tmp_path / "work", replace(QUICK, steps=2), parent=1)
    assert load_bundle(again.folder).labels == load_bundle(first.folder).labels
    assert again.record.structures == (TUMOUR,)


def test_a_new_structure_that_had_no_time_to_be_learnt_is_named(old: Path, scans: list[Entry], tmp_path: Path) -> None:
    made = tune(old, scans, tmp_path, replace(QUICK, steps=1))
    assert made.record.figures[TUMOUR] < 0.2 and f"{TUMOUR} was hardly learnt" in made.record.note


def test_unlabelled_scans_are_rehearsed_on_beside_the_labelled_ones(
    old: Path, scans: list[Entry], tmp_path: Path
) -> None:
    unlabelled = replace(scans[2], label=None)
    made = tune(old, scans[:2], tmp_path, replace(QUICK, steps=3), replay=[unlabelled])
    data = json.loads((made.folder.parent / "student" / "record.json").read_text())["data"]
    assert (data["labelled"], data["unlabelled"], data["validation"]) == (["scan0", "scan1"], ["scan2"], [])
    assert made.record.images == ("scan0", "scan1")


def test_structures_that_the_model_knows_get_better(old: Path, tmp_path: Path) -> None:
    entries = labelled_entries(teach(tmp_path / "scans", 3, ORGANS))
    free = replace(QUICK, structures=(), steps=200, known_rate=1.0, keep_weight=0.01, generated_fraction=0.0)
    better = tune(old, entries, tmp_path / "work", free)
    assert better.figures.after["liver"] > better.figures.before["liver"] + 0.3
    assert better.figures.lost < 0
    assert "old structures Dice" in better.record.note
    assert not better.refusal
    assert load_bundle(better.folder).labels == load_bundle(old).labels


def test_the_weight_of_what_was_known_holds_the_old_structures(
    old: Path, scans: list[Entry], tuned: TunedModel, tmp_path: Path
) -> None:
    careless = tune(old, scans, tmp_path, replace(QUICK, keep_weight=0.0, generated_fraction=0.0))
    kept, lost = (np.mean(list(one.figures.agreement.values())) for one in (tuned, careless))
    assert kept > lost


def test_structures_that_were_added_as_heads_become_classes_of_the_model(
    old: Path, scans: list[Entry], tmp_path: Path
) -> None:
    quick = LearnSettings(budget="10m", steps=40, learning_rate=1e-2, contrast_probability=0.0, average_slices=100)
    added = learn_structures(old, scans, tmp_path / "head", [NewStructure(TUMOUR, 9)], quick).folder
    entries = labelled_entries(teach(tmp_path / "kidneys", 1, {2: 2}))
    made = tune(added, entries, tmp_path / "work", replace(QUICK, structures=(), steps=160, known_rate=0.3))
    bundle = load_bundle(made.folder)
    assert bundle.labels[5] == TUMOUR and bundle.network.added_count == 0
    assert made.record.structures == ("right kidney",)
    before, after = (segment(scans[0].image, one).label for one in (added, made.folder))
    assert dice(before == 5, after == 5) > 0.5


def test_a_training_that_is_stopped_goes_on_where_it_was(old: Path, scans: list[Entry], tmp_path: Path) -> None:
    with pytest.raises(Cancelled, match="same command"):
        tune(old, scans, tmp_path, QUICK, progress=StopAt(1))
    (run,) = tmp_path.iterdir()
    step = json.loads((run / "student" / "record.json").read_text())["step"]
    assert 0 < step < 80
    made = tune(old, scans, tmp_path, QUICK)
    assert made.steps == 80 and made.folder.parent == run


class Trained(Exception):
    """The training would begin now."""


def time_of_training(
    old: Path, scans: list[Entry], work: Path, patch: pytest.MonkeyPatch, held_up: float, passing: float
) -> float:
    """Seconds that a training of ten minutes has.

    Args:
        held_up: seconds that whoever takes the news holds the work up each time.
        passing: seconds that go by whenever the time is asked for.
    """
    now, found = [0.0], []

    def clock() -> float:
        now[0] += passing
        return now[0]

    class Parent(NullProgress):
        def update(self, done: int, total: int, message: str = "", **values: float) -> None:
            now[0] += held_up

    def train(*arguments: object) -> None:
        found.append(next(one for one in arguments if isinstance(one, TuneSettings)).seconds)
        raise Trained

    patch.setitem(CLOCKS, "wall", clock)
    patch.setattr(tuning, "_train", train)
    with pytest.raises(Trained):
        tune(old, scans, work, replace(QUICK, steps=None), progress=Parent())
    return float(found[0])


def test_time_in_which_jobs_go_first_is_no_time_of_learning(
    old: Path, scans: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert time_of_training(old, scans, tmp_path, monkeypatch, held_up=200.0, passing=0.0) == 600.0


def test_half_of_the_time_is_training_however_long_it_takes_to_look_at_the_scans(
    old: Path, scans: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert time_of_training(old, scans, tmp_path, monkeypatch, held_up=0.0, passing=400.0) == 300.0


def test_whoever_cancels_while_scans_are_looked_at_is_obeyed_at_once(
    old: Path, scans: list[Entry], tmp_path: Path
) -> None:
    looked: list[str] = []

    class Impatient(NullProgress):
        def update(self, done: int, total: int, message: str = "", **values: float) -> None:
            looked.append(message)

        def should_stop(self) -> bool:
            return True

    with pytest.raises(Cancelled):
        tune(old, scans, tmp_path, QUICK, progress=Impatient())
    assert looked == ["looking at scan"]


def test_a_version_whose_old_structures_are_worse_is_refused_in_one_line(tuned: TunedModel) -> None:
    worse = TuningFigures({"liver": 0.95}, {"liver": 0.94, TUMOUR: 0.9}, {}, 2)
    with pytest.raises(SemganError, match=r"lose 0\.010 Dice on average; the model stays as it was"):
        refuse(replace(tuned, refusal=worse.refusal(0.005)))
    assert not worse.refusal(0.02)


def test_a_version_that_has_forgotten_what_no_label_tells_is_refused() -> None:
    assert "0.700" in TuningFigures({}, {TUMOUR: 0.9}, {"liver": 0.9, "spleen": 0.5}, 1).refusal(0.005)
    assert not TuningFigures({}, {TUMOUR: 0.9}, {"liver": 0.97, "spleen": 0.98}, 1).refusal(0.005)


def test_a_label_that_is_said_to_know_some_structures_tells_nothing_of_the_others(scans: list[Entry]) -> None:
    classes = TunedClasses({1: "liver", 2: "spleen"}, (TUMOUR,), {TUMOUR: 9})
    assert look_at(scans[0], classes).known == {3}
    told = replace(scans[0], names=((1, "liver"), (9, TUMOUR)), labelled=("liver", TUMOUR))
    assert look_at(told, classes).known == {1, 3}


def test_a_label_that_shows_no_new_structure_is_refused(scans: list[Entry]) -> None:
    classes = TunedClasses({1: "liver"}, (TUMOUR,), {TUMOUR: 7})
    with pytest.raises(SemganError, match="no label shows odd tumour"):
        look_at_all(scans, classes, NullProgress())
    with pytest.raises(SemganError, match="no label shows a structure of the model"):
        look_at_all(scans, TunedClasses({1: "liver"}), NullProgress())


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ({"old": {1: "liver", 3: "spleen"}}, "gaps"),
        ({"old": {1: "liver"}, "new": ("Liver",)}, "knows Liver already"),
    ],
)
def test_classes_that_cannot_be_are_refused(classes: dict[str, object], told: str) -> None:
    with pytest.raises(SemganError, match=told):
        TunedClasses(**classes)  # type: ignore[arg-type]


def test_an_id_cannot_mean_two_structures() -> None:
    with pytest.raises(SemganError, match="the id 1 means liver and aorta"):
        _ = TunedClasses({1: "liver"}, ("aorta",), {"aorta": 1}).assumed


@pytest.mark.parametrize(("count", "learnt", "held"), [(None, 2, 1), (0, 3, 0), (2, 1, 2)])
def test_the_last_patients_are_held_out(scans: list[Entry], count: int | None, learnt: int, held: int) -> None:
    first, last = held_out_of(scans, count)
    assert (len(first), len(last)) == (learnt, held)
    assert [*first, *last] == scans


def test_two_patients_are_both_learnt_from_unless_one_is_asked_for(scans: list[Entry]) -> None:
    assert len(held_out_of(scans[:2], None)[1]) == 0
    with pytest.raises(SemganError, match="leave none to learn from"):
        held_out_of(scans[:2], 2)


def test_scans_of_a_patient_stay_together(scans: list[Entry]) -> None:
    same = [replace(one, patient=name) for one, name in zip(scans, ("a", "b", "b"), strict=True)]
    assert held_out_of(same, 1) == ([same[0]], [same[1], same[2]])
