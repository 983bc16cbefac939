"""A model learns a structure that it has never heard of, and forgets nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.load import load_bundle
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from monai_semgan.learning.labelled_entries import labelled_entries
from monai_semgan.learning.learn_settings import LearnSettings
from monai_semgan.learning.new_structures import NewStructure
from monai_semgan.learning.structure_learning import LearntStructures, learn_structures
from monai_semgan.organs import find_organ
from monai_semgan.utils.progress import NullProgress
from tests.learning.quiet_bundle import quiet, teach
from tests.phantoms import dice

QUICK = LearnSettings(budget="10m", steps=60, learning_rate=1e-2, contrast_probability=0.0, average_slices=100)
TUMOUR = NewStructure("odd tumour", colour=(1, 2, 3))


@pytest.fixture(scope="module")
def old(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quiet(tiny_bundle, tmp_path_factory.mktemp("old") / "bundle")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return teach(tmp_path_factory.mktemp("taught") / "scans", 3)


@pytest.fixture(scope="module")
def learnt(old: Path, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> LearntStructures:
    work = tmp_path_factory.mktemp("work")
    return learn_structures(old, labelled_entries(scans), work, [TUMOUR], QUICK)


def test_it_is_found_in_a_scan_that_the_score_stands_on(learnt: LearntStructures) -> None:
    assert learnt.record.figures["odd tumour"] > 0.6
    assert learnt.record.held_out == ("scan2",) and "one scan" in learnt.record.note


@pytest.mark.parametrize("mode", ["preview", "encoder", "invert", "refine"])
def test_what_the_model_knew_is_equal_to_the_voxel_in_every_mode(
    mode: str, old: Path, learnt: LearntStructures, scans: Path
) -> None:
    before, after = (segment(scans / "scan0.nii.gz", bundle, mode).label for bundle in (old, learnt.folder))
    assert len(np.unique(before)) > 1, "the old model finds something"
    assert np.array_equal(np.where(after == 5, 0, after), before)
    assert (after == 5).any()


def test_a_second_structure_leaves_the_first_as_it_is(learnt: LearntStructures, scans: Path, tmp_path: Path) -> None:
    teach(tmp_path / "kidneys", 1, {2: 1})
    cyst = NewStructure("odd cyst")
    twice = learn_structures(learnt.folder, labelled_entries(tmp_path / "kidneys"), tmp_path, [cyst], QUICK)
    before, after = (segment(scans / "scan0.nii.gz", bundle).label for bundle in (learnt.folder, twice.folder))
    assert (after == 6).any()
    assert np.array_equal(np.where(after == 6, 0, after), before)
    assert load_bundle(twice.folder).labels[6] == "odd cyst"


def test_name_colour_and_code_travel_in_the_bundle(learnt: LearntStructures) -> None:
    bundle = load_bundle(learnt.folder)
    assert bundle.labels[5] == "odd tumour" and bundle.network.added_counts == (1,)
    organ = find_organ("odd tumour", 5)
    assert organ.colour == (1, 2, 3) and organ.kind.scheme == "99SEMGAN" and organ.kind.meaning == "Odd tumour"
    settings = learnt.folder / "models" / "settings.json"
    if settings.exists():
        assert json.loads(settings.read_text())["labels"]["5"] == "odd tumour"


def test_the_old_weights_are_the_same_and_the_digest_tells_the_models_apart(
    old: Path, learnt: LearntStructures
) -> None:
    weights = (old / "models" / "model.pt").read_bytes()
    assert (learnt.folder / "models" / "model.pt").read_bytes() == weights
    assert weights_digest(old) != weights_digest(learnt.folder)
    assert (learnt.folder / "models" / "added.pt").stat().st_size < 1_000_000


def test_a_bundle_without_the_weights_of_its_head_says_so(learnt: LearntStructures, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(learnt.folder, broken)
    (broken / "models" / "added.pt").unlink()
    with pytest.raises(SemganError, match=r"added\.pt: the weights of structures that were added .* missing"):
        load_bundle(broken)


def test_the_same_seed_teaches_the_same_with_any_number_of_threads(old: Path, scans: Path, tmp_path: Path) -> None:
    few, usual = LearnSettings(steps=3, held_out=0), torch.get_num_threads()
    entries, volume = labelled_entries(scans), read_volume(scans / "scan1.nii.gz")
    probabilities = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made = learn_structures(old, entries, tmp_path / str(threads), [TUMOUR], few)
            assert torch.get_num_threads() == threads
            probabilities.append(segment(volume, made.folder).probabilities)
    finally:
        torch.set_num_threads(usual)
    assert torch.equal(*probabilities)


def test_without_held_out_scans_nothing_is_claimed(old: Path, scans: Path, tmp_path: Path) -> None:
    entries = labelled_entries(scans)[:1]
    made = learn_structures(old, entries, tmp_path, [TUMOUR], LearnSettings(steps=2))
    assert made.record.figures == {} and made.record.images == ("scan0",)
    assert "nobody has measured" in made.record.note


def test_a_structure_that_was_hardly_learnt_is_told(old: Path, scans: Path, tmp_path: Path) -> None:
    made = learn_structures(old, labelled_entries(scans), tmp_path, [TUMOUR], LearnSettings(steps=1))
    assert made.record.figures["odd tumour"] < 0.2
    assert "odd tumour was hardly learnt: give more time" in made.record.note


def test_no_figure_is_told_of_a_head_that_had_no_time(old: Path, scans: Path, tmp_path: Path) -> None:
    made = learn_structures(old, labelled_entries(scans), tmp_path, [TUMOUR], LearnSettings(budget=0.1))
    assert (made.record.figures, made.record.held_out) == ({}, ())
    assert "not measured" in made.record.note and "give more" in made.record.note


class _Impatient(NullProgress):
    """Wants to stop once learning has begun."""

    def __init__(self) -> None:
        self.begun = False

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        self.begun |= message == "learning"

    def should_stop(self) -> bool:
        return self.begun


def test_it_can_be_cancelled_and_leaves_nothing(old: Path, scans: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        learn_structures(old, labelled_entries(scans), tmp_path, [TUMOUR], QUICK, progress=_Impatient())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("structure", "said"),
    [
        (NewStructure("Spleen"), "knows 'spleen' already; make it better with --tune"),
        (NewStructure("odd tumour", 77), "shows odd tumour (id 77)"),
    ],
)
def test_mistakes_are_told_in_one_line(
    structure: NewStructure, said: str, old: Path, scans: Path, tmp_path: Path
) -> None:
    with pytest.raises(SemganError) as caught:
        learn_structures(old, labelled_entries(scans), tmp_path, [structure], QUICK)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_student_alone_learns_too(student_bundle: Path, scans: Path, tmp_path: Path) -> None:
    alone = quiet(student_bundle, tmp_path / "alone")
    made = learn_structures(alone, labelled_entries(scans), tmp_path, [TUMOUR], QUICK)
    found = segment(scans / "scan0.nii.gz", made.folder).label
    truth = read_volume(scans / "scan0_label.nii.gz").array
    assert dice(found == 5, truth == 4) > 0.5
