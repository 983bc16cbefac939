"""Generated pairs reach the student only where a short training with them does better than one without."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_semgan.data.slice_set import SliceSet
from monai_semgan.errors import Cancelled
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.networks import JointGenerator
from monai_semgan.networks.weights import load_weights, save_weights, with_prefix
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training import pair_trial
from monai_semgan.training.engine.schedule import Schedule
from monai_semgan.training.pair_pool import Pairs
from monai_semgan.training.pair_trial import TrialScores, TrialSettings, affordable, divide, try_pairs
from monai_semgan.training.stages import pair_decision
from monai_semgan.utils.progress import NullProgress
from tests.training.phantoms import TINY, train

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16), "generated_fraction": 0.5, "pool_chunk": 8, "pool_chunks": 2}
CPU = torch.device("cpu")
SETTINGS = TrialSettings(3, fraction=0.5, steps=40)


def bodies(count: int, seed: int, spread: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Slices (n, 1, 32, 32) and labels (n, 32, 32), both uint8, of bodies with two organs whose places vary."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    images, labels = np.full((count, 32, 32), 20.0), np.zeros((count, 32, 32), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[((y - 16) / 15) ** 2 + ((x - 16) / 15) ** 2 < 1] = 110.0
        for index, value in ((1, 140.0), (2, 140.0)):
            centre = np.array([16, 9 if index == 1 else 23]) + rng.integers(-spread, spread + 1, 2) * [1, 0.5]
            inside = ((y - centre[0]) / 4) ** 2 + ((x - centre[1]) / 4) ** 2 < 1
            label[inside], image[inside] = index, value
    images += rng.normal(0, 6, images.shape)
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8))[:, None], torch.from_numpy(labels)


def patients(*slices: int) -> SliceSet:
    """Labelled patients with so many slices each."""
    parts = [bodies(count, seed) for seed, count in enumerate(slices)]
    images, labels = (torch.cat(kind) for kind in zip(*parts, strict=True))
    index = torch.repeat_interleave(torch.arange(len(slices)), torch.tensor(slices))
    names = tuple(f"p{number}" for number in range(len(slices)))
    nothing: Any = (None,) * len(slices)
    return SliceSet(images, labels, index, names, nothing, nothing, nothing, Preprocessing(size=32, num_classes=3))


def good_pairs() -> Pairs:
    image, label = bodies(128, 99)
    return Pairs(image, label, torch.zeros(len(image), 1, 1))


def test_pairs_like_real_slices_help_where_labels_are_few() -> None:
    scores = try_pairs(patients(2, 2), good_pairs(), SETTINGS, CPU)
    assert scores.helped and scores.with_pairs > scores.without + 0.05


@pytest.mark.parametrize("fault", ["other labels", "noise"])
def test_wrong_pairs_do_not_help(fault: str) -> None:
    image, label, latents = good_pairs()
    if fault == "noise":
        image = torch.randint(0, 256, image.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    wrong = Pairs(image, label.roll(1, 0), latents)
    assert not try_pairs(patients(12, 12), wrong, SETTINGS, CPU).helped


def test_a_trial_gives_the_same_scores_again_and_leaves_the_random_numbers_of_the_run_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    short = TrialSettings(3, steps=3, batch_size=4)
    first = try_pairs(patients(4, 4), good_pairs(), short, CPU)
    assert torch.equal(torch.rand(3), expected)
    assert try_pairs(patients(4, 4), good_pairs(), short, CPU) == first


def test_a_patient_is_never_in_both_halves_of_a_trial() -> None:
    slices = patients(4, 6, 5)
    halves = [set(slices.volume_index[half].tolist()) for half in divide(slices)]
    assert halves == [{0, 2}, {1}]


def test_the_slices_of_a_single_patient_are_divided_by_blocks() -> None:
    first, second = divide(patients(20))
    assert first.tolist() == [*range(8), *range(16, 20)] and second.tolist() == [*range(8, 16)]


def test_unlabelled_slices_take_no_part() -> None:
    slices = patients(4, 4, 4)
    slices.labels[4:8] = UNLABELLED
    assert [half.tolist() for half in divide(slices)] == [[0, 1, 2, 3], [8, 9, 10, 11]]


def test_a_trial_can_be_stopped() -> None:
    with pytest.raises(Cancelled):
        try_pairs(patients(4, 4), good_pairs(), SETTINGS, CPU, should_stop=lambda: True)


def untrained(folder: Path, sure: bool) -> Path:
    """A generator that has learnt nothing, and is sure of nothing or that all is background."""
    torch.manual_seed(0)
    generator = JointGenerator(32, 16, 1, 3, {4: 16, 8: 16, 16: 8, 32: 8}, mapping_layers=2)
    generator.label_bias.data[0] = 50.0 if sure else 0.0
    save_weights(folder / "generator.pt", with_prefix(generator.state_dict(), "generator"))
    return folder / "generator.pt"


@pytest.mark.parametrize(
    ("sure", "told"),
    [
        (False, "generated pairs are left out: none of the generator's labels is plausible"),
        (True, r"generated pairs are left out: Dice 0\.\d+ with them and 0\.\d+ without"),
    ],
)
def test_an_untrained_generator_changes_nothing_and_is_told_of(
    datalist: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    sure: bool,
    told: str,
) -> None:
    monkeypatch.setattr(pair_trial, "LEAST_STEPS", 1)
    train("student", datalist, tmp_path / "with", steps=6, init=untrained(tmp_path, sure), **STUDENT)
    assert re.search(told, caplog.text)
    train("student", datalist, tmp_path / "without", steps=6, **STUDENT)
    one, other = (load_weights(tmp_path / run / "model.pt") for run in ("with", "without"))
    assert all(torch.equal(one[name], other[name]) for name in other)
    pairs = json.loads((tmp_path / "with" / "student" / "record.json").read_text())["details"]["pairs"]
    assert pairs["used"] is False and pairs["plausible"] == float(sure)


def test_pairs_that_help_are_in_the_batches(
    datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pair_trial, "LEAST_STEPS", 1)
    monkeypatch.setattr(pair_decision, "try_pairs", lambda *arguments: TrialScores(0.6, 0.7))
    weights = untrained(tmp_path, sure=True)
    with caplog.at_level(logging.INFO):
        train("student", datalist, tmp_path / "measured", steps=3, init=weights, **STUDENT)
    assert "generated pairs are used: Dice 0.700 with them and 0.600 without" in caplog.text
    train("student", datalist, tmp_path / "always", steps=3, init=weights, **{**STUDENT, "pairs": "always"})
    one, other = (load_weights(tmp_path / run / "model.pt") for run in ("measured", "always"))
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("length", [{"steps": 3}, {"budget": "1s"}])
def test_a_short_training_leaves_pairs_out_rather_than_to_a_guess(
    datalist: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, length: dict[str, Any]
) -> None:
    train("student", datalist, tmp_path / "run", init=untrained(tmp_path, sure=True), **length, **STUDENT)
    assert "left out: the training is too short to measure whether they help" in caplog.text


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (None, 300),
        (Schedule(steps=10_000), 300),
        (Schedule(steps=150), 150),
        (Schedule(steps=99), None),
        (Schedule(budget=600.0), 120),
        (Schedule(budget=300.0), None),
        (Schedule(steps=110, budget=6000.0), 110),
    ],
)
def test_a_trial_takes_a_tenth_of_the_time_at_most(schedule: Schedule | None, steps: int | None) -> None:
    ticks = iter((0.0, 1.0))  # for the eight steps that tell the speed
    shorter = affordable(TrialSettings(3), patients(2, 2), CPU, schedule, lambda: next(ticks))
    assert (shorter.steps if shorter is not None else None) == steps


def test_a_resumed_run_keeps_the_decision(datalist: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = untrained(tmp_path, sure=False)
    train("student", datalist, tmp_path, steps=2, init=weights, **STUDENT)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        train("student", datalist, tmp_path, steps=4, resume=True, init=weights, **STUDENT)
    assert "generated pairs are" not in caplog.text, "it is not measured again"
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["step"] == 4 and record["details"]["pairs"]["used"] is False


def test_a_run_from_before_the_trial_goes_on_with_its_pairs(datalist: Path, tmp_path: Path) -> None:
    weights = untrained(tmp_path, sure=False)
    train("student", datalist, tmp_path, steps=2, init=weights, **{**STUDENT, "pairs": "always"})
    path = tmp_path / "student" / "checkpoint.pt"
    state = torch.load(path)
    del state["settings"]["pairs"]
    torch.save(state, path)
    train("student", datalist, tmp_path, steps=3, resume=True, init=weights, **STUDENT)
    details = json.loads((tmp_path / "student" / "record.json").read_text())["details"]
    assert details["pairs"] == {"used": True, "plausible": None, "without": None, "with_pairs": None}


class StopSoon(NullProgress):
    """Someone who wants the run to end once pairs are being rendered."""

    asked = 0

    def should_stop(self) -> bool:
        self.asked += 1
        return self.asked > 3


@pytest.mark.parametrize("pairs", ["always", "measured"])
def test_a_stop_while_pairs_are_rendered_or_tried_leaves_a_run_that_goes_on(
    datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: str
) -> None:
    monkeypatch.setattr(pair_trial, "LEAST_STEPS", 1)
    weights = untrained(tmp_path, sure=True)
    settings = {**STUDENT, "pairs": pairs, "pool_chunk": 64, "init": weights, "steps": 2}
    (stopped,) = train("student", datalist, tmp_path / "run", progress=StopSoon(), **settings)
    assert stopped.cancelled and not stopped.finished and stopped.steps == 0
    (whole,) = train("student", datalist, tmp_path / "run", resume=True, **settings)
    assert whole.finished and whole.steps == 2
    train("student", datalist, tmp_path / "other", **settings)
    one, other = (load_weights(tmp_path / run / "model.pt") for run in ("run", "other"))
    assert all(torch.equal(one[name], other[name]) for name in other), "pairs were decided on as if never stopped"


def test_the_page_of_a_run_tells_why_pairs_are_left_out(
    datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_trial, "LEAST_STEPS", 1)
    monkeypatch.setattr(pair_decision, "try_pairs", lambda *arguments: TrialScores(0.6, 0.5))
    train("student", datalist, tmp_path / "run", steps=1, init=untrained(tmp_path, sure=True), **STUDENT)
    page = (tmp_path / "run" / "run.html").read_text()
    assert "left out, Dice 0.500 with them and 0.600 without in a short trial" in page
