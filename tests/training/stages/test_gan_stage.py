"""The joint GAN learns images with labels, resumes exactly, and respects what cuts its gradients."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.errors import SemganError
from monai_semgan.networks.weights import load_weights
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.loop import LoopSettings, StageLoop
from monai_semgan.training.engine.run_files import gather_weights
from monai_semgan.training.engine.schedule import Schedule, Stopwatch
from monai_semgan.training.stages.gan_settings import GanSettings
from monai_semgan.training.stages.gan_stage import GanStage
from monai_semgan.training.stages.stage import StageContext
from monai_semgan.utils.progress import NullProgress
from tests.training.phantoms import TINY, train

GAN: dict[str, Any] = {
    **TINY,
    "latent_dim": 16,
    "channels": {4: 16, 8: 16, 16: 16, 32: 8},
    "joint_channels": 8,
    "quality_images": 64,
}


def stage(
    datalist: Path, tmp_path: Path, weights: Mapping[str, torch.Tensor] | None = None, **settings: Any
) -> GanStage:
    """A GAN stage on the phantoms, outside of any loop."""
    preprocessing = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
    slices = build_slice_set(load_datalist(datalist).training, preprocessing, tmp_path / "cache")
    device = torch.device("cpu")
    context = StageContext(slices, None, device, Workers(device), size=32, num_classes=3, initial=weights or {})
    torch.manual_seed(0)
    known = {name: GAN[name] for name in ("batch_size", "latent_dim", "channels", "joint_channels", "quality_images")}
    return GanStage(context, GanSettings(**{**known, **settings}))


def test_training_brings_generated_slices_closer_to_real_ones(datalist: Path, tmp_path: Path) -> None:
    untrained = stage(datalist, tmp_path).evaluate(final=True)["frechet"]
    train("gan", datalist, tmp_path, steps=120, ema_images=100, **GAN)
    trained = stage(datalist, tmp_path, gather_weights(tmp_path / "gan")).evaluate(final=True)["frechet"]
    assert trained < 0.5 * untrained


def test_checks_use_fewer_images_when_there_is_little_time_and_tell_how_many(datalist: Path, tmp_path: Path) -> None:
    gan = stage(datalist, tmp_path)
    assert gan.evaluate(final=True)["frechet_images"] == 64
    gan.check_seconds = 0.0
    assert gan.evaluate(final=True)["frechet_images"] == 16 == gan.details()["quality_images"]
    assert gan.evaluate(final=False) == {}, "there is another check at the end"


def test_checks_come_out_of_the_time_budget(datalist: Path, tmp_path: Path) -> None:
    gan = stage(datalist, tmp_path)
    loop = StageLoop(gan, tmp_path, Schedule(budget=1000.0), {}, {}, NullProgress(), LoopSettings(tensorboard=False))
    loop.watch = Stopwatch(950.0)
    assert loop.finished, "the last 50 s are for checks"
    loop.checks.run(1, 950.0, False)
    assert 14.0 < gan.check_seconds < 15.1, "scores take their part of it, pictures the rest"
    loop.checks.seconds["checks"] = 30.0
    assert not loop.checks.run(2, 950.0, False)
    loop.checks.run(3, 950.0, True)
    assert 11.0 < gan.check_seconds < 12.1
    assert len(loop.checks.history) == 2, "the second check had no time left and was skipped"


@pytest.mark.parametrize("extra", [{}, {"path_weight": 1.0, "joint_loss": "logistic", "noise": False}])
def test_resumed_training_equals_uninterrupted_training(datalist: Path, tmp_path: Path, extra: dict[str, Any]) -> None:
    settings = {**GAN, **extra, "r1_interval": 4, "checkpoint_steps": 1, "mixed_precision": True}
    train("gan", datalist, tmp_path / "whole", steps=20, **settings)

    class StopEarly:
        calls = 0

        def update(self, done: int, total: int, message: str = "", **values: float) -> None:
            pass

        def should_stop(self) -> bool:
            self.calls += 1
            return self.calls >= 9

    (first,) = train("gan", datalist, tmp_path / "parts", steps=20, progress=StopEarly(), **settings)
    assert 0 < first.steps < 16 and first.cancelled
    train("gan", datalist, tmp_path / "parts", steps=20, resume=True, **settings)
    whole, parts = (torch.load(tmp_path / d / "gan" / "checkpoint.pt")["stage"] for d in ("whole", "parts"))
    for network, state in whole["networks"].items():
        for name, tensor in state.items():
            assert torch.equal(tensor, parts["networks"][network][name]), f"{network}.{name}"
    assert whole["extra"] == parts["extra"]


def test_weights_are_split_into_small_files_with_prefixes(datalist: Path, tmp_path: Path) -> None:
    train("gan", datalist, tmp_path, steps=1, **GAN)
    for stem, prefix in (
        ("weights", "generator"),
        ("image_discriminator", "image_discriminator"),
        ("joint_discriminator", "joint_discriminator"),
    ):
        path = tmp_path / "gan" / f"{stem}.pt"
        assert path.stat().st_size <= 16 * 2**20
        assert {name.split(".")[0] for name in load_weights(path)} == {prefix}
    assert load_weights(tmp_path / "gan" / "weights.pt")["generator.mean_latent"].abs().sum() > 0


def test_a_run_goes_on_from_half_precision_files_alone(datalist: Path, tmp_path: Path) -> None:
    train("gan", datalist, tmp_path, steps=20, **GAN)
    strengths = json.loads((tmp_path / "gan" / "record.json").read_text())["extra"]["strengths"]
    (tmp_path / "gan" / "checkpoint.pt").unlink()
    (result,) = train("gan", datalist, tmp_path, steps=21, resume=True, **GAN)
    assert result.steps == 21
    after = json.loads((tmp_path / "gan" / "record.json").read_text())
    assert after["extra"]["strengths"] == strengths and after["images"] == 21 * 4


def test_another_run_can_begin_with_all_three_networks(datalist: Path, tmp_path: Path) -> None:
    train("gan", datalist, tmp_path / "first", steps=2, **GAN)
    train("gan", datalist, tmp_path / "second", steps=1, init=tmp_path / "first", learning_rate=1e-9, **GAN)
    first, second = (load_weights(tmp_path / d / "gan" / "image_discriminator.pt") for d in ("first", "second"))
    assert all(torch.allclose(first[name], second[name], atol=1e-3) for name in first)


def test_the_joint_discriminator_reaches_the_generator_through_the_labels_only(datalist: Path, tmp_path: Path) -> None:
    gan = stage(datalist, tmp_path, augment=0.0)
    source = torch.Generator().manual_seed(0)
    fake = gan.generator.synthesis(gan.latents(source))
    fake.image.retain_grad()
    fake.logits.retain_grad()
    pair = gan._pair_view(fake.image.detach(), fake.logits.softmax(1), 0.5, source)
    gan.joint_loss.generator(gan.joint_discriminator(*pair)).backward()
    assert fake.image.grad is None and fake.logits.grad is not None and fake.logits.grad.abs().sum() > 0
    assert all(block.to_image.weight.grad is None for block in gan.generator.blocks)
    assert gan.generator.constant.grad is not None, "the trunk learns from labels, too"


def test_a_run_begun_on_a_gpu_goes_on_on_a_processor_as_if_it_had_begun_there(datalist: Path, tmp_path: Path) -> None:
    begun, resumed = stage(datalist, tmp_path), stage(datalist, tmp_path)
    begun.step(0)
    state = copy.deepcopy(begun.state_dict())
    for optimiser in state["optimisers"].values():
        optimiser["param_groups"][0]["fused"] = True
        for moments in optimiser["state"].values():
            for name, value in moments.items():
                if value.ndim == 4:
                    moments[name] = value.contiguous(memory_format=torch.channels_last)
    resumed.load_state_dict(state)
    for gan in (begun, resumed):
        torch.manual_seed(1)
        gan.step(1)
    for name, network in begun.networks.items():
        for here, there in zip(network.parameters(), resumed.networks[name].parameters(), strict=True):
            torch.testing.assert_close(here, there)


def test_training_without_any_label_is_refused(datalist: Path, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="labelled"):
        train("gan", datalist, tmp_path, steps=1, labelled=0, **GAN)


def test_all_stages_run_one_after_the_other(datalist: Path, tmp_path: Path) -> None:
    settings = {**GAN, "pool_chunk": 4, "pool_chunks": 2}
    settings["gan_channels"] = settings.pop("channels")
    settings |= {"encoder_channels": (8, 8, 16, 16), "student_channels": (8, 16, 16)}
    results = train("all", datalist, tmp_path, steps=2, **settings)
    assert [result.stage for result in results] == ["gan", "encoder", "student"]
    prefixes = {name.split(".")[0] for name in load_weights(tmp_path / "model.pt")}
    assert prefixes == {"generator", "encoder", "student"}
    again = train("all", datalist, tmp_path, steps=2, resume=True, **settings)
    assert all(result.finished and result.steps == 2 for result in again)
