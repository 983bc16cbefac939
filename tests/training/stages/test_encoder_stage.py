"""The encoder learns to find latents, the generator's label heads learn with it, and a resumed run is the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.data.slice_set import SliceSet
from monai_semgan.errors import SemganError
from monai_semgan.networks import LatentEncoder, build_student
from monai_semgan.networks.weights import load_weights, part, save_weights, with_prefix
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.run_files import write_json
from monai_semgan.training.stages.encoder_settings import EncoderSettings
from tests.training.phantoms import train, write_patients
from tests.training.stages.encoder_phantoms import (
    ENCODER,
    encoder_stage,
    phantom_slices,
    tiny_generator,
    write_generator,
)


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_generator(tmp_path_factory.mktemp("weights") / "generator.pt")


@pytest.fixture(scope="module")
def slices(datalist: Path, tmp_path_factory: pytest.TempPathFactory) -> SliceSet:
    return phantom_slices(datalist, tmp_path_factory.mktemp("cache"))


class StopAfterSeven:
    """A person who stops the run at its seventh look."""

    def __init__(self) -> None:
        self.calls = 0

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        pass

    def should_stop(self) -> bool:
        self.calls += 1
        return self.calls >= 7


@pytest.mark.parametrize("extra", [{}, {"render_size": 16}, {"refinement_passes": 2}, {"spatial_size": 0}])
def test_the_encoder_finds_latents_that_render_the_image(
    datalist: Path, tmp_path: Path, generator_file: Path, extra: dict[str, Any]
) -> None:
    settings = {**ENCODER, **extra, "generated_fraction": 1.0, "contrast_probability": 0.2, "mixing": 0.0}
    (result,) = train(
        "encoder", datalist, tmp_path, steps=120, init=generator_file, ema_images=100, learning_rate=3e-3, **settings
    )
    assert result.finished and {"dice", "l1"} <= result.metrics.keys()
    generator = tiny_generator().eval()
    spatial = 0 if "spatial_size" in extra else 8
    passes = extra.get("refinement_passes", 1)
    encoder = LatentEncoder(1, 8, 16, (8, 8, 16, 16), refinement_passes=passes, spatial_channels=spatial).eval()
    encoder.load_state_dict(part(load_weights(tmp_path / "model.pt"), "encoder"))
    with torch.no_grad():
        image = generator(torch.randn(32, 16, generator=torch.Generator().manual_seed(1)), truncation=0.8).image
        image = image.clamp(-1, 1)
        latent = encoder.encode(image, generator)
        found = generator.synthesis(latent.w_plus, latent.spatial).image
        mean = generator.synthesis(generator.broadcast(generator.mean_latent[None])).image
    assert (latent.spatial is None) == ("spatial_size" in extra)
    assert (found - image).abs().mean() < 0.8 * (mean - image).abs().mean()


def test_the_encoder_needs_a_generator(datalist: Path, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="needs a generator"):
        train("encoder", datalist, tmp_path, steps=1, **ENCODER)


def test_a_generator_for_smaller_pictures_is_refused(datalist: Path, tmp_path: Path, generator_file: Path) -> None:
    with pytest.raises(SemganError, match="makes 32 pixels, not 64"):
        train("encoder", datalist, tmp_path, steps=1, init=generator_file, **{**ENCODER, "size": 64})


def test_label_heads_learn_from_real_labels(datalist: Path, tmp_path: Path, generator_file: Path) -> None:
    settings = {**ENCODER, "ema_images": 100, "learning_rate": 4e-3, "contrast_probability": 0.2, "geometry": 0.1}
    settings |= {"generated_fraction": 0.125, "labelled_fraction": 0.75}
    (result,) = train("encoder", datalist, tmp_path, steps=120, init=generator_file, **settings)
    assert result.metrics["dice_2"] > 0.5, "the heads as they were given never label this organ"


@pytest.mark.parametrize("tune", ["labels", "all"])
def test_what_is_not_tuned_stays_as_it_was(slices: SliceSet, tune: str) -> None:
    stage, before = encoder_stage(slices, tune=tune), tiny_generator().state_dict()
    for step in range(2):
        stage.step(step)
    changed = {name for name, tensor in stage.generator.state_dict().items() if not torch.equal(tensor, before[name])}
    averaged = stage.averages["generator"].network.state_dict()
    assert {name for name in averaged if not torch.equal(averaged[name], before[name])} == changed
    assert all(torch.equal(tensor, before[name]) for name, tensor in stage.original.state_dict().items())
    heads = {name for name in before if ".to_label." in name or name == "label_bias"}
    if tune == "labels":
        assert changed == heads
    else:
        assert heads < changed and "blocks.2.conv.conv.weight" in changed
        assert not [name for name in changed if name.startswith("mapping") or "noise" in name]


@pytest.mark.parametrize("extra", [{}, {"tune": "all", "search_steps": 2}])
def test_resumed_training_equals_uninterrupted_training(
    datalist: Path, tmp_path: Path, generator_file: Path, extra: dict[str, Any]
) -> None:
    settings = {**ENCODER, **extra, "steps": 12, "init": generator_file, "pool_refresh": 3, "confidence": 0.4}
    train("encoder", datalist, tmp_path / "whole", **settings)
    (first,) = train("encoder", datalist, tmp_path / "parts", progress=StopAfterSeven(), **settings)
    assert first.cancelled and 0 < first.steps < 12
    (second,) = train("encoder", datalist, tmp_path / "parts", resume=True, **settings)
    assert second.finished and second.steps == 12
    whole, parts = (torch.load(tmp_path / d / "encoder" / "checkpoint.pt")["stage"] for d in ("whole", "parts"))
    for kind in ("networks", "averages"):
        assert whole[kind].keys() == {"encoder", "generator"}
        for network in whole[kind]:
            for name, tensor in whole[kind][network].items():
                if kind == "averages" or name != "spatial_scale":  # that of the network itself is not used
                    assert torch.equal(tensor, parts[kind][network][name]), (kind, network, name)


def test_a_run_goes_on_from_half_precision_weights_when_the_checkpoint_is_lost(
    datalist: Path, tmp_path: Path, generator_file: Path
) -> None:
    train("encoder", datalist, tmp_path, steps=4, init=generator_file, **ENCODER)
    (tmp_path / "encoder" / "checkpoint.pt").unlink()
    (result,) = train("encoder", datalist, tmp_path, steps=6, resume=True, init=generator_file, **ENCODER)
    assert result.steps == 6


def test_a_generator_of_other_classes_gets_new_label_heads(
    datalist: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = write_generator(tmp_path / "other.pt", num_classes=2)
    (result,) = train("encoder", datalist, tmp_path / "run", steps=8, init=other, **ENCODER)
    assert result.finished and "knows 2 classes, not 3: its label heads are drawn anew" in caplog.text
    generator = part(load_weights(tmp_path / "run" / "model.pt"), "generator")
    assert generator["label_bias"].shape == (3,) and generator["blocks.0.to_label.weight"].shape[0] == 3
    before = tiny_generator(2).half().state_dict()
    assert torch.equal(generator["blocks.1.conv.conv.weight"], before["blocks.1.conv.conv.weight"].float())


def test_without_tuning_a_generator_of_other_classes_is_refused(datalist: Path, tmp_path: Path) -> None:
    other = write_generator(tmp_path / "other.pt", num_classes=2)
    with pytest.raises(SemganError, match="knows 2 classes, not 3"):
        train("encoder", datalist, tmp_path / "run", steps=1, init=other, tune="none", **ENCODER)


def test_without_any_label_the_generator_stays_as_it_is_until_labels_come(
    tmp_path: Path, generator_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    datalist = write_patients(tmp_path / "patients", training=2, unlabelled=0)
    whole = datalist.read_text()
    content = json.loads(whole)
    content["training"] = [{k: v for k, v in entry.items() if k != "label"} for entry in content["training"]]
    datalist.write_text(json.dumps(content))
    settings = {**ENCODER, "init": generator_file}
    (result,) = train("encoder", datalist, tmp_path / "run", steps=3, **settings)
    assert result.finished and "no labelled slices" in caplog.text
    assert not part(load_weights(tmp_path / "run" / "encoder" / "weights.pt"), "generator")
    datalist.write_text(whole)
    (result,) = train("encoder", datalist, tmp_path / "run", steps=6, resume=True, more_labels=True, **settings)
    tuned = part(load_weights(tmp_path / "run" / "encoder" / "weights.pt"), "generator")
    assert result.steps == 6 and not torch.equal(tuned["label_bias"], tiny_generator().state_dict()["label_bias"])


def test_later_stages_take_the_tuned_generator(datalist: Path, tmp_path: Path, generator_file: Path) -> None:
    train("encoder", datalist, tmp_path, steps=3, init=generator_file, **ENCODER)
    tuned = part(load_weights(tmp_path / "encoder" / "weights.pt"), "generator")
    assert not torch.equal(tuned["label_bias"], tiny_generator().state_dict()["label_bias"])
    save_weights(tmp_path / "gan" / "weights.pt", with_prefix(tiny_generator().state_dict(), "generator"))
    student = {key: value for key, value in ENCODER.items() if key not in ("channels", "pool_chunk", "pool_chunks")}
    student |= {"channels": (8, 16, 16), "pool_chunk": 4, "pairs": "always"}
    (result,) = train("student", datalist, tmp_path, steps=1, **student)
    assert result.finished
    combined = part(load_weights(tmp_path / "model.pt"), "generator")
    assert all(torch.equal(combined[name], tensor) for name, tensor in tuned.items())
    assert "plausible_pairs" in json.loads((tmp_path / "student" / "record.json").read_text())["details"]


def test_later_stages_know_how_the_tuned_generator_upsamples(
    datalist: Path, tmp_path: Path, generator_file: Path
) -> None:
    write_json(generator_file.parent / "record.json", {"network": {"resample_filter": [1, 1]}})
    train("encoder", datalist, tmp_path, steps=1, init=generator_file, **ENCODER)
    (generator_file.parent / "record.json").unlink()
    student = {key: value for key, value in ENCODER.items() if key not in ("channels", "pool_chunk", "pool_chunks")}
    train("student", datalist, tmp_path, steps=1, channels=(8, 16, 16), pool_chunk=4, **student)
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["network"]["resample_filter"] == [1, 1]


def test_an_encoder_to_w_plus_alone_is_gone_on_with(datalist: Path, tmp_path: Path, generator_file: Path) -> None:
    settings = {**ENCODER, "generated_fraction": 0.5}
    train("encoder", datalist, tmp_path / "old", steps=3, init=generator_file, spatial_size=0, **settings)
    sources = (generator_file, tmp_path / "old" / "encoder")
    train("encoder", datalist, tmp_path / "new", steps=1, init=sources, learning_rate=1e-9, **settings)
    old, new = (part(load_weights(tmp_path / d / "encoder" / "weights.pt"), "encoder") for d in ("old", "new"))
    assert "to_spatial.weight" in new and "to_spatial.weight" not in old
    assert all(torch.allclose(new[name], tensor, atol=1e-3) for name, tensor in old.items())


def test_the_averaged_networks_teach_late(slices: SliceSet) -> None:
    stage = encoder_stage(slices, consistency_from=0.5, confidence=0.0)
    assert "sure" not in stage.step(0) and "sure_pixels" not in stage.details()
    stage.set_rate(0.5)
    assert float(stage.step(1)["sure"]) == 1.0 == stage.details()["sure_pixels"]


def always(index: int) -> dict[str, torch.Tensor]:
    """Weights of a student that is sure of one class everywhere."""
    weights = with_prefix(build_student(1, 3, (4, 8)).state_dict(), "student")
    weights["student.model.2.1.conv.unit0.conv.weight"].zero_()
    weights["student.model.2.1.conv.unit0.conv.bias"].copy_(9.0 * torch.eye(3)[index])
    return weights


@pytest.mark.parametrize(("teacher", "late"), [("student", 0.0), ("both", 0.0), ("both", 0.5)])
def test_a_student_of_other_weights_teaches_from_the_first_step_on(slices: SliceSet, teacher: str, late: float) -> None:
    stage = encoder_stage(slices, initial=always(2), teacher=teacher, consistency_from=0.5, confidence=0.6)
    stage.set_rate(late)
    taught = stage.batch(0).label[: stage.batches.shares.generated]
    sure = (taught == 2).float().mean()
    assert sure == 1.0 if late == 0.0 else 0.0 < sure < 1.0, "of both, each has a say"
    assert "sure" in stage.step(0)


def test_random_samples_of_the_tuned_generator_keep_their_image(slices: SliceSet) -> None:
    latents = tiny_generator().styles(torch.randn(16, 16, generator=torch.Generator().manual_seed(1)))

    def drift(weight: float) -> float:
        stage = encoder_stage(slices, tune="all", own_weight=weight, learning_rate=3e-3)
        for step in range(30):
            stage.step(step)
        with torch.no_grad():
            before, after = (g.synthesis(latents).image for g in (stage.original, stage.generator))
        return float((before - after).abs().mean())

    assert drift(5.0) < 0.7 * drift(0.0)


def test_a_run_of_latents_of_other_parts_is_not_gone_on_with(slices: SliceSet) -> None:
    alone, spatial = encoder_stage(slices, spatial_size=0), encoder_stage(slices)
    for stage, state in ((alone, spatial.state_dict()), (spatial, alone.state_dict())):
        with pytest.raises(SemganError, match="begun with latents of other parts; choose spatial_size as in that run"):
            stage.load_state_dict(state)


def test_a_search_inside_training_changes_the_label_loss_and_leaves_no_gradient_off(slices: SliceSet) -> None:
    plain, searching = encoder_stage(slices), encoder_stage(slices, search_steps=2, search_rate=0.5)
    searching.load_state_dict(plain.state_dict())
    losses = [stage.step(0) for stage in (plain, searching)]
    assert losses[0]["reconstruction"] == losses[1]["reconstruction"] and losses[0]["label"] != losses[1]["label"]
    assert {n for n, p in searching.generator.named_parameters() if p.requires_grad} == {
        n for n, p in plain.generator.named_parameters() if p.requires_grad
    }


def test_gradients_of_both_networks_are_averaged_and_clipped_together(
    slices: SliceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = encoder_stage(slices)

    def enlarge(self: Workers, parameters: list[torch.nn.Parameter]) -> None:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad *= 1000.0

    monkeypatch.setattr(Workers, "average_gradients", enlarge)
    stage.step(0)
    norms = [p.grad.norm() for network in stage.networks.values() for p in network.parameters() if p.grad is not None]
    assert torch.stack(norms).norm() == pytest.approx(5.0, rel=1e-3)


def test_saved_weights_tell_the_spread_of_the_spatial_part(
    datalist: Path, tmp_path: Path, generator_file: Path
) -> None:
    train("encoder", datalist, tmp_path, steps=6, init=generator_file, learning_rate=3e-3, **ENCODER)
    state = part(load_weights(tmp_path / "encoder" / "weights.pt"), "encoder")
    encoder = LatentEncoder(1, 8, 16, (8, 8, 16, 16), spatial_channels=8).eval()
    encoder.load_state_dict(state)
    with torch.no_grad():
        images = phantom_slices(datalist, tmp_path / "cache").batch(range(24))[0]
        spatial = encoder.encode(images, tiny_generator()).spatial
    assert spatial is not None
    measured = spatial.movedim(1, 0).flatten(1).std(1).clamp_min(1e-3)
    assert torch.allclose(state["spatial_scale"], measured, rtol=0.05, atol=1e-4)
    assert (measured < 1.0).all(), "not the value that it begins with"


def test_the_sheet_shows_inputs_targets_and_renderings(slices: SliceSet) -> None:
    assert encoder_stage(slices).image_grid().shape == (4 * 34, 8 * 32, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tune": "heads"}, "none or labels or all"),
        ({"spatial_size": 12}, "power of two"),
        ({"confidence": 1.5}, "from 0 to 1"),
        ({"search_rate": 0.0}, "positive"),
    ],
)
def test_settings_without_sense_are_named(datalist: Path, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SemganError, match=words):
        train("encoder", datalist, tmp_path, steps=1, **{**ENCODER, **change})


@pytest.mark.parametrize("channels", [(8, 8), (8, 12, 16), (0, 8, 8)])
def test_channels_that_make_no_encoder_are_refused(channels: tuple[int, ...]) -> None:
    with pytest.raises(SemganError, match="channels cannot be .*; give 3 or more multiples of 8"):
        EncoderSettings(channels=channels)
