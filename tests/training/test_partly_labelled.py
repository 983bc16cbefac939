"""Labels count only for what they know: one organ in this scan, another one in that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.label_checks import unseen_classes
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.data.slice_set import SliceSet
from monai_semgan.errors import SemganError
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.datasets import hide_labels
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.stages.gan_settings import GanSettings
from monai_semgan.training.stages.gan_stage import GanStage
from monai_semgan.training.stages.stage import StageContext
from monai_semgan.training.stages.student_stage import StudentSettings, StudentStage
from monai_semgan.training.validation import patient_dice
from tests.training.phantoms import write_patients
from tests.training.stages.encoder_phantoms import encoder_stage

COARSE = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
NAMES = {"1": "liver", "2": "spleen"}


def partial_list(folder: Path) -> Path:
    """A list of patients each of whose labels shows one organ, and of one with a whole label to be scored on."""
    path = write_patients(folder, training=4, unlabelled=0, validation=1)
    content = json.loads(path.read_text()) | {"labels": NAMES}
    for number, entry in enumerate(content["training"]):
        known = ("liver", "spleen")[number % 2]
        file = folder / entry["label"]
        whole = nibabel.load(file)
        label = np.asanyarray(whole.dataobj)
        only = np.where(label == {"liver": 1, "spleen": 2}[known], label, 0)
        nibabel.save(nibabel.Nifti1Image(only.astype(np.uint8), whole.affine), file)
        entry["labelled"] = [known]
    path.write_text(json.dumps(content))
    return path


def slices_of(path: Path) -> SliceSet:
    return build_slice_set(load_datalist(path).training, COARSE)


def student(slices: SliceSet, **settings: Any) -> StudentStage:
    device = torch.device("cpu")
    context = StageContext(slices, None, device, Workers(device), size=32, num_classes=3, mixed_precision=False)
    torch.manual_seed(0)
    chosen = {"batch_size": 8, "channels": (8, 16, 16), "generated_fraction": 0.0, "contrast": False, "ema_images": 50}
    return StudentStage(context, StudentSettings(**{**chosen, **settings}), None)


def test_a_student_learns_both_organs_from_labels_that_show_one_each(tmp_path: Path) -> None:
    path, steps = partial_list(tmp_path), 400
    stage = student(slices_of(path), consistency_from=0.7, learning_rate=5e-3)
    for step in range(steps):
        stage.set_rate(step / steps)
        stage.step(step)
    scored = build_slice_set(load_datalist(path).validation, COARSE)
    (found,) = patient_dice(stage.segment, scored, torch.device("cpu"), 3, batch=32).values()
    assert min(found) > 0.7


def test_once_it_has_learnt_its_own_labels_fill_what_is_unknown(tmp_path: Path) -> None:
    stage = student(slices_of(partial_list(tmp_path)), consistency_from=0.5)
    stage.teach = lambda image: torch.full_like(image[:, 0], 2).long()  # type: ignore[method-assign]
    known = stage.batches.known(0)
    assert known is not None and 0 < known[:, 2].sum() < len(known)
    before = stage.batch(0)[1]
    stage.set_rate(0.6)
    after = stage.batch(0)[1]
    assert torch.equal(before[known[:, 2]], after[known[:, 2]])
    assert not (after[~known[:, 2]] == 0).any() and torch.equal(after == 1, before == 1)


def test_which_classes_are_known_travels_with_the_slices(tmp_path: Path) -> None:
    slices = slices_of(partial_list(tmp_path))
    loaded = SliceSet.load(slices.save(tmp_path / "packed"))
    for found in (slices, loaded, slices.to("cpu")):
        assert found.partly_labelled == (0, 1, 2, 3) and len(found.fully_labelled_indices) == 0
        rows = found.known_classes([0, 8])
        assert rows.tolist() == [[True, True, False], [True, False, True]]
    assert slices.select([1, 2]).known_classes([0, 8]).tolist() == [[True, False, True], [True, True, False]]
    assert hide_labels(slices, 1).partly_labelled == (0,)


def test_only_what_a_label_knows_is_scored_also_in_packed_slices(tmp_path: Path) -> None:
    slices = slices_of(partial_list(tmp_path))
    everywhere = lambda image: torch.nn.functional.one_hot(image[:, 0].long() * 0 + 1, 3).permute(0, 3, 1, 2).float()  # noqa: E731
    for found in (slices, SliceSet.load(slices.save(tmp_path / "packed"))):
        scores = patient_dice(everywhere, found, torch.device("cpu"), 3, batch=8)
        unscored = [[score != score for score in scores[f"p{number}"]] for number in range(4)]
        assert unscored == [[False, True], [True, False]] * 2


def test_what_a_label_shows_beyond_what_it_knows_is_not_learnt(tmp_path: Path) -> None:
    path = write_patients(tmp_path, training=1, unlabelled=0)
    content = json.loads(path.read_text()) | {"labels": NAMES}
    content["training"][0]["labelled"] = ["liver"]
    path.write_text(json.dumps(content))
    assert slices_of(path).labels.unique().tolist() == [0, 1]


def test_labels_that_show_more_than_they_are_said_to_know_are_told(tmp_path: Path) -> None:
    path = partial_list(tmp_path)
    assert unseen_classes(slices_of(path)) == []
    content = json.loads(path.read_text())
    content["training"][0]["labelled"] = ["spleen"]
    path.write_text(json.dumps(content))
    (told,) = unseen_classes(slices_of(path))
    assert f'{Path(content["training"][0]["label"]).name} shows liver, which its "labelled" does not name' in told
    for entry in content["training"]:
        entry["labelled"] = ["spleen"]
    path.write_text(json.dumps(content))
    unseen, hidden = unseen_classes(slices_of(path))
    assert 'in label files, but in none whose "labelled" names it' in unseen and "(and 1 more)" in hidden


def test_files_of_a_folder_are_what_it_knows(tmp_path: Path) -> None:
    path = write_patients(tmp_path, training=2, unlabelled=0)
    content = json.loads(path.read_text()) | {"labels": NAMES}
    entry = content["training"][1]
    (tmp_path / "organs").mkdir()
    whole = nibabel.load(tmp_path / entry["label"])
    mask = (np.asanyarray(whole.dataobj) == 2).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(mask, whole.affine), tmp_path / "organs" / "spleen.nii.gz")
    entry["label"] = "organs"
    path.write_text(json.dumps(content))
    slices = slices_of(path)
    assert slices.partly_labelled == (1,)
    assert slices.known_classes([8]).tolist() == [[True, False, True]]
    assert slices.labels[slices.volume_slices(1)].unique().tolist() == [0, 2]


def test_the_joint_discriminator_sees_whole_labels_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = partial_list(tmp_path)
    content = json.loads(path.read_text())
    del content["training"][2]["labelled"]
    path.write_text(json.dumps(content))
    stage = GanStage(_context(slices_of(path)), _tiny_gan())
    drawn = torch.cat([stage.labelled.batch(step) for step in range(20)])
    assert set(stage.context.slices.volume_index[drawn].tolist()) == {2}
    assert "takes no labels of 3 volumes, which know some classes only" in caplog.text


def test_a_gan_without_any_whole_label_says_why_it_cannot_begin(tmp_path: Path) -> None:
    slices = slices_of(partial_list(tmp_path))
    with pytest.raises(SemganError, match="needs labels that know every class.*train the student alone"):
        GanStage(_context(slices), _tiny_gan())


def test_the_encoder_is_not_punished_for_what_labels_do_not_know(tmp_path: Path) -> None:
    stage = encoder_stage(slices_of(partial_list(tmp_path)), tune="labels", generated_fraction=0.25)
    batch = stage.batch(0)
    assert batch.known is not None and batch.known.shape == (8, 3)
    assert batch.known[:2].all() and not batch.known[2:].all()
    assert all(torch.isfinite(value) for value in stage.step(0).values())


def test_a_label_that_knows_none_of_the_classes_is_refused(tmp_path: Path) -> None:
    path = partial_list(tmp_path)
    content = json.loads(path.read_text()) | {"labels": {**NAMES, "9": "aorta"}}
    content["training"][0]["labelled"] = ["aorta"]
    path.write_text(json.dumps(content))
    with pytest.raises(SemganError, match=r"knows aorta alone, and none of the labels to learn \(liver, spleen\)"):
        slices_of(path)


def _context(slices: SliceSet) -> StageContext:
    device = torch.device("cpu")
    return StageContext(slices, None, device, Workers(device), size=32, num_classes=3, mixed_precision=False)


def _tiny_gan() -> GanSettings:
    channels = {4: 16, 8: 16, 16: 16, 32: 8}
    return GanSettings(batch_size=4, latent_dim=16, channels=channels, joint_channels=8, quality_images=64)
