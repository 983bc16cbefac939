"""What a run was trained on is part of it: other data are refused by name, or begin a new run that remembers them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.networks.weights import load_weights
from monai_semgan.training.data_print import FILE, DataPrint, ScanFigures, _scan_figures
from monai_semgan.training.planning.plan_use import plan_training
from monai_semgan.training.training_settings import TrainSettings
from tests.training.phantoms import TINY, phantom, train, write_patients

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16), "generated_fraction": 0.0}
GAN: dict[str, Any] = {
    **TINY,
    "channels": {4: 8, 8: 8, 16: 8, 32: 8},
    "latent_dim": 8,
    "joint_channels": 8,
    "quality_images": 16,
}


@pytest.fixture
def listed(datalist: Path, tmp_path: Path) -> Path:
    """A copy of the data list that a test may change."""
    shutil.copytree(datalist.parent, tmp_path / "data")
    return tmp_path / "data" / datalist.name


def content(listed: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(listed.read_text())
    return found


def add_patient(listed: Path, number: int, section: str = "training") -> None:
    """A further labelled patient in the list."""
    hu, label = phantom(number)
    affine = np.diag([-5.0, 5.0, 5.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(hu.astype(np.float32), affine), listed.parent / f"image_{number}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label, affine), listed.parent / f"label_{number}.nii.gz")
    entry = {"image": f"image_{number}.nii.gz", "label": f"label_{number}.nii.gz", "patient": f"p{number}"}
    changed = content(listed)
    changed[section].append({**entry, "modality": "CT"})
    listed.write_text(json.dumps(changed))


def correct_label(path: Path) -> None:
    """Erase a corner of an organ on a single slice, as a reader who corrects it."""
    image: Any = nibabel.load(path)
    label = np.asarray(image.dataobj).copy()
    organ = np.argwhere(label[:, :, 5] == 1)
    label[organ[: len(organ) // 3, 0], organ[: len(organ) // 3, 1], 5] = 0
    nibabel.save(nibabel.Nifti1Image(label, image.affine), path)


def step_of(out: Path) -> int:
    return int(json.loads((out / "student" / "record.json").read_text())["step"])


def test_a_label_file_corrected_between_two_commands_is_noticed(listed: Path, tmp_path: Path) -> None:
    train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    correct_label(listed.parent / "label_0.nii.gz")
    words = "the label of p0 is another one now, since the student was trained; .* --out .* --from RUN"
    with pytest.raises(SemganError, match=words) as caught:
        train("student", listed, tmp_path / "run", steps=2, resume=True, **STUDENT)
    assert "\n" not in str(caught.value) and step_of(tmp_path / "run") == 1
    (result,) = train("student", listed, tmp_path / "new", steps=1, from_run=tmp_path / "run", **STUDENT)
    assert result.finished


def test_another_image_under_the_same_name_is_noticed(listed: Path, tmp_path: Path) -> None:
    train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    hu, _ = phantom(77)
    affine = np.diag([-5.0, 5.0, 5.0, 1.0])
    nibabel.save(nibabel.Nifti1Image((hu + 20).astype(np.float32), affine), listed.parent / "image_2.nii.gz")
    with pytest.raises(SemganError, match="the image of p2 is another one now"):
        train("student", listed, tmp_path / "run", steps=2, resume=True, **STUDENT)


def test_the_same_scans_at_another_place_under_other_names_are_the_same(listed: Path, tmp_path: Path) -> None:
    train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    shutil.copytree(listed.parent, tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere" / listed.name
    changed = content(moved)
    for entry in (*changed["training"], *changed["validation"]):
        for kind in ("image", "label"):
            if kind in entry:
                new = entry[kind].replace(".nii.gz", ".nii")
                nibabel.save(nibabel.load(moved.parent / entry[kind]), moved.parent / new)
                entry[kind] = new
    moved.write_text(json.dumps(changed))
    (result,) = train("student", moved, tmp_path / "run", steps=2, resume=True, **STUDENT)
    assert result.steps == 2


def test_the_stages_of_a_run_are_trained_on_the_same_patients(listed: Path, tmp_path: Path) -> None:
    train("gan", listed, tmp_path / "run", steps=1, **GAN)
    add_patient(listed, 9)
    with pytest.raises(
        SemganError, match='patient p9 of "training" was not in the data list, since the gan was trained'
    ):
        train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    assert not (tmp_path / "run" / "student").exists()


def test_the_stages_of_a_run_are_trained_on_the_same_labels(listed: Path, tmp_path: Path) -> None:
    train("gan", listed, tmp_path / "run", steps=1, **GAN)
    correct_label(listed.parent / "label_1.nii.gz")
    with pytest.raises(SemganError, match="the label of p1 is another one now, since the gan was trained"):
        train("student", listed, tmp_path / "run", steps=1, **STUDENT)


@pytest.mark.parametrize("other", [{"pixel_mm": 8.0}, {"num_classes": 2}, {"size": 64}])
def test_the_stages_of_a_run_have_the_same_slices(listed: Path, tmp_path: Path, other: dict[str, Any]) -> None:
    train("gan", listed, tmp_path / "run", steps=1, **GAN)
    with pytest.raises(SemganError, match="was trained with (pixel_mm|num_classes|size)"):
        train("student", listed, tmp_path / "run", steps=1, **{**STUDENT, **other})


def test_a_new_run_from_an_old_one_takes_weights_and_settings_and_remembers_the_patients(
    listed: Path, tmp_path: Path
) -> None:
    train("student", listed, tmp_path / "old", steps=3, window=(-50.0, 250.0), **STUDENT)
    add_patient(listed, 9)
    own = ("size", "pixel_mm", "num_classes", "channels")
    rest = {name: value for name, value in STUDENT.items() if name not in own}
    (result,) = train(
        "student", listed, tmp_path / "new", steps=1, from_run=tmp_path / "old", learning_rate=1e-12, **rest
    )
    assert result.finished
    settings = json.loads((tmp_path / "new" / "settings.json").read_text())
    assert settings["window"] == [-50.0, 250.0] and settings["size"] == 32 and settings["pixel_mm"] == 10.0
    old, new = (load_weights(tmp_path / run / "student" / "weights.pt") for run in ("old", "new"))
    assert all(torch.allclose(old[name], new[name], atol=1e-3) for name in old), "it begins with the old weights"
    kept = json.loads((tmp_path / "new" / FILE).read_text())
    assert kept["sections"]["training"] == ["p0", "p1", "p2", "p9"]
    assert [one["sections"]["training"] for one in kept["ancestors"]] == [["p0", "p1", "p2"]]


def test_patients_whom_an_ancestor_was_trained_on_are_not_scored(listed: Path, tmp_path: Path) -> None:
    train("student", listed, tmp_path / "first", steps=1, **STUDENT)
    changed = content(listed)
    add_patient(listed, 9)
    train("student", listed, tmp_path / "second", steps=1, from_run=tmp_path / "first", **STUDENT)
    changed["training"], changed["validation"] = changed["training"][1:], [changed["training"][0]]
    listed.write_text(json.dumps(changed))
    words = 'patient p0 is in "validation", the weights to begin with were trained on them; move them to "training"'
    for earlier in ("first", "second"):
        with pytest.raises(SemganError, match=words):
            train("student", listed, tmp_path / "third", steps=1, from_run=tmp_path / earlier, **STUDENT)
    assert not (tmp_path / "third" / "student").exists()


def test_the_validation_that_an_earlier_run_has_taken_from_the_list_is_kept(tmp_path: Path) -> None:
    listed = write_patients(tmp_path / "data", training=6, unlabelled=1, validation=0)
    train("student", listed, tmp_path / "old", steps=1, fold="2/3", **STUDENT)
    add_patient(listed, 9)
    train("student", listed, tmp_path / "new", steps=1, from_run=tmp_path / "old", **STUDENT)
    old, new = (json.loads((tmp_path / run / FILE).read_text())["sections"] for run in ("old", "new"))
    assert sorted(new["validation"]) == sorted(old["validation"]) and "p9" in new["training"]


def test_a_later_stage_that_begins_with_other_weights_remembers_whom_they_saw(
    listed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "second"
    train("student", listed, out, steps=1, **STUDENT)
    other = write_patients(tmp_path / "other", training=3, unlabelled=1, validation=1)
    content = json.loads(other.read_text())
    for number, entry in enumerate([*content["validation"], *content["training"]]):  # p3 is validated on in the second
        entry["patient"] = "p3" if number == 1 else f"q{number}"
    other.write_text(json.dumps(content))
    train("student", other, tmp_path / "first", steps=1, **STUDENT)
    caplog.clear()
    for _ in range(2):
        train("student", listed, out, resume=True, init=tmp_path / "first", steps=1, **STUDENT)
    assert "patient p3" in caplog.text and "trained on them: their scores say nothing" in caplog.text
    ancestors = json.loads((out / "data.json").read_text())["ancestors"]
    assert [one["sections"]["training"] for one in ancestors] == [["p3", "q2", "q3"]]


def test_weights_of_init_that_saw_a_patient_of_the_validation_are_told_of(
    listed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train("student", listed, tmp_path / "first", steps=1, **STUDENT)
    changed = content(listed)
    changed["training"], changed["validation"] = changed["training"][1:], [changed["training"][0]]
    listed.write_text(json.dumps(changed))
    train("student", listed, tmp_path / "second", steps=1, init=tmp_path / "first", **STUDENT)
    assert 'patient p0 is in "validation", the weights to begin with were trained on them' in caplog.text


def test_a_run_without_a_print_of_its_data_gets_one_and_is_held_to_it(listed: Path, tmp_path: Path) -> None:
    train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    (tmp_path / "run" / FILE).unlink()
    train("student", listed, tmp_path / "run", steps=2, resume=True, **STUDENT)
    correct_label(listed.parent / "label_0.nii.gz")
    with pytest.raises(SemganError, match="the label of p0 is another one now"):
        train("student", listed, tmp_path / "run", steps=3, resume=True, **STUDENT)


def test_one_stage_may_begin_with_a_run_of_several(listed: Path, tmp_path: Path) -> None:
    train("gan", listed, tmp_path / "old", steps=1, **GAN)
    train("student", listed, tmp_path / "old", steps=1, **STUDENT)
    rest = {name: value for name, value in STUDENT.items() if name != "channels"}
    train("student", listed, tmp_path / "new", steps=1, from_run=tmp_path / "old", **rest)
    record = json.loads((tmp_path / "new" / "student" / "record.json").read_text())
    assert record["settings"]["channels"] == [8, 16]


@pytest.mark.parametrize(
    ("earlier", "words"), [("nothing", "is no run with weights"), ("run", "cannot be trained from itself")]
)
def test_a_run_to_begin_with_has_weights_and_is_another(listed: Path, tmp_path: Path, earlier: str, words: str) -> None:
    train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    with pytest.raises(SemganError, match=words):
        train("student", listed, tmp_path / "run", steps=2, resume=True, from_run=tmp_path / earlier, **STUDENT)


def test_the_command_line_begins_with_an_earlier_run(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("student", listed, tmp_path / "old", steps=2, **STUDENT)
    add_patient(listed, 9)
    command = ["train", "student", "--data", str(listed), "--steps", "1", "--quiet", "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "new"), "--from", str(tmp_path / "old")]) == 0
    record = json.loads((tmp_path / "new" / "student" / "record.json").read_text())
    assert record["settings"]["channels"] == [8, 16] and record["settings"]["size"] == 32
    assert main([*command, "--out", str(tmp_path / "new2"), "--from", str(tmp_path / "gone")]) == 2
    assert "gone: is no run with weights; give the folder of a run in --from" in capsys.readouterr().err


def test_a_few_pixels_that_another_processor_rounds_otherwise_are_no_other_scan() -> None:
    images = torch.randint(0, 255, (20, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(20, 64, 64, dtype=torch.uint8)
    labels[4:16, 20:40, 20:40] = 1
    before = _scan_figures(images, labels, 3)
    images[3, 0, 10:12, 10] += 1
    labels[5, 20, 20] = 0
    assert before.differs(_scan_figures(images, labels, 3)) == ""
    labels[7, 20:24, 20:24] = 2
    assert before.differs(_scan_figures(images, labels, 3)) == "label"


def test_a_scan_with_another_number_of_slices_is_another_scan() -> None:
    assert ScanFigures([1.0, 2.0]).differs(ScanFigures([1.0, 2.0, 3.0])) == "image"


def test_a_print_is_read_as_it_was_written(tmp_path: Path) -> None:
    scan = ScanFigures([1.5, 2.25], [[3, 0], [4, 1]])
    whole = DataPrint({"training": ["Zoë", "b"]}, ["b"], {"Zoë": scan}, [{"sections": {}, "labelled": []}])
    whole.save(tmp_path)
    assert DataPrint.load(tmp_path) == whole
    DataPrint({}, []).save(tmp_path)
    assert DataPrint.load(tmp_path) == DataPrint({}, [], {}, [])


def test_all_stages_of_a_list_without_labels_are_refused_and_the_plan_says_so(listed: Path, tmp_path: Path) -> None:
    known = content(listed)
    for section in known.values():
        for entry in section if isinstance(section, list) else []:
            entry.pop("label", None)
    listed.write_text(json.dumps(known))
    with pytest.raises(SemganError, match="no training scan is labelled; add labels to the data list, or give weights"):
        train("all", listed, tmp_path / "run", steps=1, **TINY)
    plan, _ = plan_training(listed, tmp_path / "planned", TrainSettings(size=32))
    assert [doubt for doubt in plan.doubts if "no training scan is labelled" in doubt]
    assert not [doubt for doubt in plan.doubts if "all are needed" in doubt or 'add "validation"' in doubt]


def test_a_bundle_is_not_taken_for_the_folder_of_a_run(listed: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    (tmp_path / "bundle" / "configs" / "metadata.json").write_text("{}")
    for act in (
        lambda: train("student", listed, tmp_path / "bundle", steps=1, **TINY),
        lambda: plan_training(listed, tmp_path / "bundle", TrainSettings(size=32)),
    ):
        with pytest.raises(SemganError, match="is a bundle, not the folder of a run; choose another --out"):
            act()
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["configs"]
