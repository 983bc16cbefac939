"""The student learns, from unlabelled slices too, resumes exactly, and survives being killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.errors import SemganError
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.networks import JointGenerator, LatentEncoder
from monai_semgan.networks.weights import load_weights, save_weights, with_prefix
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.datasets import pack_slices
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.more_classes import CLASS_AXES
from monai_semgan.training.pretrained import BILINEAR, build_generator
from monai_semgan.training.stages.stage import StageContext
from monai_semgan.training.stages.stage_registry import TrainedGenerator
from monai_semgan.training.stages.student_stage import StudentSettings, StudentStage
from monai_semgan.utils.progress import NullProgress
from tests.training.phantoms import TINY, train, write_patients

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16, 16), "generated_fraction": 0.0}


def stage(
    datalist: Path, tmp_path: Path, weights: Mapping[str, torch.Tensor] | None = None, classes: int = 3, **settings: Any
) -> StudentStage:
    """A student on the phantoms, outside of any loop."""
    preprocessing = Preprocessing(size=32, pixel_mm=10.0, num_classes=classes)
    slices = build_slice_set(load_datalist(datalist).training, preprocessing, tmp_path / "cache")
    device, weights = torch.device("cpu"), weights or {}
    context = StageContext(slices, None, device, Workers(device), size=32, num_classes=classes, initial=weights)
    context.mixed_precision = False
    torch.manual_seed(0)
    chosen = StudentSettings(**{"batch_size": 4, "channels": (8, 16, 16), "generated_fraction": 0.0, **settings})
    trained = lambda: TrainedGenerator(build_generator(weights, 32, classes), BILINEAR, 16)  # noqa: E731
    return StudentStage.build(context, chosen, trained)[0]


def inverting_weights() -> dict[str, torch.Tensor]:
    """A generator that is sure of its labels, and an encoder with a spatial part."""
    torch.manual_seed(0)
    generator = JointGenerator(32, 16, 1, 3, {4: 16, 8: 16, 16: 8, 32: 8}, mapping_layers=2)
    generator.label_bias.data[2] = 50.0
    encoder = LatentEncoder(1, 8, 16, (8, 8, 16, 16), spatial_channels=8)
    return with_prefix(generator.state_dict(), "generator") | with_prefix(encoder.state_dict(), "encoder")


def same_weights(first: Path, second: Path) -> bool:
    """Whether two runs have trained the same student, and the same average of it, bit for bit."""
    one, two = (torch.load(run / "student" / "checkpoint.pt")["stage"] for run in (first, second))
    return all(
        torch.equal(tensor, two[kind]["student"][name])
        for kind in ("networks", "averages")
        for name, tensor in one[kind]["student"].items()
    )


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    generator = JointGenerator(32, 16, 1, 3, {4: 16, 8: 16, 16: 8, 32: 8}, mapping_layers=2)
    path = tmp_path_factory.mktemp("weights") / "generator.pt"
    save_weights(path, with_prefix(generator.state_dict(), "generator"))
    return path


def test_the_student_learns_to_segment_phantoms(datalist: Path, tmp_path: Path) -> None:
    (result,) = train("student", datalist, tmp_path, steps=250, learning_rate=5e-3, ema_images=40, **STUDENT)
    assert result.finished and result.steps == 250
    assert result.metrics["dice"] > 0.7


def test_a_run_leaves_weights_record_sheet_and_combined_model(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=3, **{**STUDENT, "tensorboard": True, "log_every": 1})
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["data"]["labelled"] == ["p0", "p1"] and record["data"]["validation"] == ["p3"]
    assert record["images"] == 12 and record["step"] == 3 and record["finished"]
    assert record["versions"]["torch"] == torch.__version__
    assert str(datalist.parent) not in json.dumps(record), "a record must not tell where the data lie"
    assert list((tmp_path / "student" / "sheets").glob("*.png"))
    assert list((tmp_path / "student" / "tb").iterdir())
    model = load_weights(tmp_path / "model.pt")
    assert model.keys() == load_weights(tmp_path / "student" / "weights.pt").keys()
    assert all(name.startswith("student.") for name in model)


@pytest.mark.parametrize("kind", ["generated pairs", "unlabelled slices", "a rendering that teaches"])
def test_resumed_training_equals_uninterrupted_training(
    datalist: Path, tmp_path: Path, generator_file: Path, kind: str
) -> None:
    settings = {**STUDENT, "confidence": 0.0, "unlabelled_fraction": 0.5}
    if kind == "generated pairs":
        settings |= {"generated_fraction": 0.5, "pairs": "always", "init": generator_file, "consistency": False}
        settings |= {"pool_chunk": 4, "pool_refresh": 3, "pool_chunks": 2}
    if kind == "a rendering that teaches":
        save_weights(tmp_path / "inverting.pt", inverting_weights())
        settings |= {"init": tmp_path / "inverting.pt", "teacher": "both"}
    train("student", datalist, tmp_path / "whole", steps=12, **settings)

    class StopAfterSeven:
        def __init__(self) -> None:
            self.calls = 0

        def update(self, done: int, total: int, message: str = "", **values: float) -> None:
            pass

        def should_stop(self) -> bool:
            self.calls += 1
            return self.calls >= 7

    (first,) = train("student", datalist, tmp_path / "parts", steps=12, progress=StopAfterSeven(), **settings)
    assert first.cancelled and not first.finished and 0 < first.steps < 12
    (second,) = train("student", datalist, tmp_path / "parts", steps=12, resume=True, **settings)
    assert second.finished and second.steps == 12
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


def test_a_second_run_in_the_same_folder_needs_resume(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=1, **STUDENT)
    with pytest.raises(SemganError, match="--resume"):
        train("student", datalist, tmp_path, steps=1, **STUDENT)


def test_resuming_with_other_settings_names_the_setting(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=1, **STUDENT)
    with pytest.raises(SemganError, match="seed 0, not 5"):
        train("student", datalist, tmp_path, steps=2, resume=True, seed=5, **STUDENT)


def test_a_finished_run_resumed_does_nothing(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=2, **STUDENT)
    before = load_weights(tmp_path / "student" / "weights.pt")
    (result,) = train("student", datalist, tmp_path, steps=2, resume=True, **STUDENT)
    after = load_weights(tmp_path / "student" / "weights.pt")
    assert result.finished and all(torch.equal(before[k], after[k]) for k in before)


def test_a_run_goes_on_from_half_precision_weights_when_the_checkpoint_is_lost(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=4, **STUDENT)
    (tmp_path / "student" / "checkpoint.pt").unlink()
    (result,) = train("student", datalist, tmp_path, steps=6, resume=True, **STUDENT)
    assert result.steps == 6


def test_labels_of_more_volumes_than_asked_for_are_not_used(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=1, labelled=1, **STUDENT)
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["data"]["labelled"] == ["p0"]


def test_packed_slices_train_the_same_student_as_the_volumes(datalist: Path, tmp_path: Path) -> None:
    preprocessing = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
    packed = pack_slices(datalist, tmp_path / "packed", preprocessing, NullProgress())
    for source, out in ((datalist, "volumes"), (packed, "slices")):
        train("student", source, tmp_path / out, steps=3, labelled=1, **STUDENT)
    volumes, slices = (load_weights(tmp_path / out / "model.pt") for out in ("volumes", "slices"))
    assert all(torch.equal(volumes[name], slices[name]) for name in volumes)
    with pytest.raises(SemganError, match="holds slices with pixel_mm 10.0, not 5.0"):
        train("student", packed, tmp_path / "other", steps=1, **{**STUDENT, "pixel_mm": 5.0})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labelled": 0}, "labelled"),
        ({"wrong_setting": 1}, "unknown setting"),
        ({"learning_rate": "high"}, "cannot be 'high'"),
        ({"contrast": 1}, "contrast"),
        ({"steps": 0}, "too few"),
        ({"confidence": 1.5}, "confidence"),
        ({"channels": [8]}, r"channels cannot be \[8\]; give 2 or more positive numbers"),
        ({"teacher": "nobody"}, "give self or rendering or both"),
    ],
)
def test_mistakes_are_told_in_one_line(datalist: Path, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SemganError, match=words) as caught:
        train("student", datalist, tmp_path, **{"steps": 1, **STUDENT, **change})
    assert "\n" not in str(caught.value)


def test_a_generator_of_other_classes_is_refused(datalist: Path, tmp_path: Path, generator_file: Path) -> None:
    with pytest.raises(SemganError, match="3 classes"):
        train("student", datalist, tmp_path, steps=1, init=generator_file, **{**STUDENT, "num_classes": 2})


def test_what_the_teacher_is_not_sure_of_stays_unknown(datalist: Path, tmp_path: Path) -> None:
    class Half(torch.nn.Module):
        """Sure of class 1 on one half of the slice, of nothing on the other."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(image), 3, *image.shape[2:])
            logits[:, 1, :, :16] = 5.0
            return logits

    student = stage(datalist, tmp_path)
    student.averages["student"].network = Half()
    student.set_rate(0.5)
    label = student.batch(step=0)[1][: student.batches.unlabelled]
    assert bool((label[:, :, :16] == 1).all()) and bool((label[:, :, 16:] == UNLABELLED).all())
    student.update_averages = lambda step: None  # type: ignore[method-assign]
    assert float(student.step(0)["sure"]) == 0.5


def test_a_pixel_that_is_not_known_has_no_say(datalist: Path, tmp_path: Path) -> None:
    losses = []
    for confidence in (1.0, 0.0):
        student = stage(datalist, tmp_path, confidence=confidence)
        student.set_rate(0.5)
        losses.append(float(student.step(0)["loss"]))
    unsure = stage(datalist, tmp_path, confidence=1.0)
    unsure.set_rate(0.5)
    unknown = unsure.batches.unlabelled
    image, label = unsure.batch(0)
    rest = unsure.loss(unsure.networks["student"](image)[unknown:], label[unknown:, None])
    assert losses[0] == pytest.approx(rest.item(), rel=1e-5) and losses[1] != pytest.approx(losses[0], rel=1e-3)


def test_without_consistency_unlabelled_patients_change_nothing(datalist: Path, tmp_path: Path) -> None:
    labelled = write_patients(tmp_path / "patients", training=2, unlabelled=0)
    settings = {**STUDENT, "steps": 6, "confidence": 0.0}
    for name, source, consistency in (
        ("labelled", labelled, True),
        ("labelled_off", labelled, False),
        ("off", datalist, False),
        ("on", datalist, True),
    ):
        train("student", source, tmp_path / name, consistency=consistency, **settings)
    assert same_weights(tmp_path / "labelled", tmp_path / "labelled_off")
    assert same_weights(tmp_path / "labelled", tmp_path / "off")
    assert not same_weights(tmp_path / "labelled", tmp_path / "on")


def test_the_record_tells_who_was_looked_at_without_a_label(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=1, **STUDENT)
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["data"]["unlabelled"] == ["p2"] and record["settings"]["consistency"] is True


@pytest.mark.parametrize(("teacher", "expected"), [("self", 1), ("rendering", 2), ("both", UNLABELLED)])
def test_the_teacher_is_the_student_the_rendering_or_both(
    datalist: Path, tmp_path: Path, teacher: str, expected: int
) -> None:
    class SureOfOne(torch.nn.Module):
        """Another opinion than the rendering, which is sure of class 2."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(image), 3, *image.shape[2:])
            logits[:, 1] = 50.0
            return logits

    student = stage(datalist, tmp_path, inverting_weights(), teacher=teacher)
    student.averages["student"].network = SureOfOne()
    student.set_rate(0.5)
    label = student.batch(step=0)[1][: student.batches.unlabelled]
    assert bool((label == expected).all())


@pytest.mark.parametrize("weights", ["none", "generator alone"])
def test_a_rendering_that_is_not_there_cannot_teach(datalist: Path, tmp_path: Path, weights: str) -> None:
    found = {} if weights == "none" else inverting_weights()
    generator = {name: tensor for name, tensor in found.items() if name.startswith("generator.")}
    with pytest.raises(SemganError, match="--init, or set teacher=self"):
        stage(datalist, tmp_path, generator, teacher="both")


def test_a_student_of_fewer_structures_goes_on_with_more(
    datalist: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train("student", datalist, tmp_path / "one", steps=3, **{**STUDENT, "num_classes": 2})
    weights = load_weights(tmp_path / "one" / "model.pt")
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    before = stage(datalist, tmp_path, weights, classes=2).segment(image)
    caplog.clear()
    after = stage(datalist, tmp_path, weights, classes=3).segment(image)
    assert torch.allclose(after[:, :2], before, atol=1e-5)
    told = "the student in --init knows 1 of the 2 structures: these are kept, the others are learnt anew"
    assert [record.getMessage() for record in caplog.records].count(told) == 1
    (result,) = train("student", datalist, tmp_path / "two", steps=3, init=tmp_path / "one", **STUDENT)
    assert result.finished
    with pytest.raises(SemganError, match="another architecture"):
        fewer = {**STUDENT, "num_classes": 2}
        train("student", datalist, tmp_path / "back", steps=1, init=tmp_path / "two", **fewer)


def test_pairs_of_a_generator_that_knows_fewer_structures_are_left_out(
    datalist: Path, tmp_path: Path, generator_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {**STUDENT, "num_classes": 4, "generated_fraction": 0.5, "init": generator_file}
    train("student", datalist, tmp_path, steps=1, **settings)
    assert "the student does without it" in caplog.text
    details = json.loads((tmp_path / "student" / "record.json").read_text())["details"]
    assert "plausible_pairs" not in details


def known_weights(datalist: Path, tmp_path: Path) -> dict[str, torch.Tensor]:
    """Weights of a student that knows one of the two structures of the phantoms."""
    return with_prefix(stage(datalist, tmp_path, classes=2).networks["student"].state_dict(), "student")


def test_with_a_known_rate_of_zero_the_layers_of_the_classes_alone_learn(datalist: Path, tmp_path: Path) -> None:
    learner = stage(datalist, tmp_path, known_weights(datalist, tmp_path), known_rate=0.0, weight_decay=0.0)
    before = {name: tensor.clone() for name, tensor in learner.networks["student"].state_dict().items()}
    learner.set_rate(0.5)
    learner.step(0)
    after = learner.networks["student"].state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(CLASS_AXES)


def test_a_student_that_is_held_to_what_it_knew_strays_less(datalist: Path, tmp_path: Path) -> None:
    known, losses = known_weights(datalist, tmp_path), []
    for weight in (0.01, 30.0):
        learner = stage(datalist, tmp_path, known, keep_weight=weight, learning_rate=3e-3)
        for step in range(12):
            learner.set_rate(0.5)
            logs = learner.step(step)
        losses.append(float(logs["kept"]))
    assert 0 <= losses[1] < losses[0]


def test_random_images_of_a_generator_with_fewer_structures_are_rehearsed_on(datalist: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = JointGenerator(32, 16, 1, 2, {4: 16, 8: 16, 16: 8, 32: 8}, mapping_layers=2)
    weights = known_weights(datalist, tmp_path) | with_prefix(generator.state_dict(), "generator")
    preprocessing = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
    slices = build_slice_set(load_datalist(datalist).training, preprocessing, tmp_path / "cache")
    device = torch.device("cpu")
    context = StageContext(slices, None, device, Workers(device), size=32, num_classes=3, initial=weights)
    chosen = {"batch_size": 4, "channels": (8, 16, 16), "pairs": "always", "pool_chunk": 4, "pool_chunks": 1}
    settings = StudentSettings(**chosen, generated_fraction=0.5, keep_weight=1.0)  # type: ignore[arg-type]
    found = lambda any_classes=False: TrainedGenerator(generator, BILINEAR, 16)  # noqa: E731
    learner = StudentStage.build(context, settings, found)[0]
    _, label = learner.batch(0)
    assert bool((label[-2:] == UNLABELLED).all()) and not bool((label[:2] == UNLABELLED).all())
    assert torch.isfinite(learner.step(0)["loss"])
