"""The student is MONAI's residual U-Net: names, initial values, results and gradients are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from monai.networks.nets import UNet
from torch import nn

from monai_semgan.networks import build_student

SIZES = [(1, 5, (8, 16, 24, 32, 32)), (3, 4, (8, 8)), (1, 6, (4, 8, 8))]


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """A network whose initial values depend on nothing else."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build()


@pytest.fixture(params=SIZES, ids=["one image channel", "colour, two levels", "three levels"])
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """Our network, MONAI's, and images."""
    channels: Sequence[int]
    image_channels, classes, channels = request.param
    theirs = seeded(
        lambda: UNet(2, image_channels, classes, channels, (2,) * (len(channels) - 1), num_res_units=2, norm="instance")
    )
    ours = seeded(lambda: build_student(image_channels, classes, channels))
    return ours, theirs, torch.randn(3, image_channels, 64, 32, generator=torch.Generator().manual_seed(1))


def test_names_and_initial_values_are_those_of_monai(pair: tuple[nn.Module, nn.Module, torch.Tensor]) -> None:
    ours, theirs, _ = pair
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.parametrize("training", [False, True])
def test_results_are_those_of_monai_to_rounding(
    pair: tuple[nn.Module, nn.Module, torch.Tensor], training: bool
) -> None:
    ours, theirs, images = pair
    for batch in (images, images[:1]):
        torch.testing.assert_close(ours.train(training)(batch), theirs.train(training)(batch), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_monai_to_rounding(pair: tuple[nn.Module, nn.Module, torch.Tensor]) -> None:
    ours, theirs, images = pair
    for network in (ours, theirs):
        network(images).square().mean().backward()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None and other.grad is not None
        assert torch.allclose(mine.grad, other.grad, rtol=1e-3, atol=1e-6), name


def test_under_autocast_grey_values_and_labels_keep_their_precision() -> None:
    student = seeded(lambda: build_student(1, 5, (8, 16, 16))).eval()
    seen: dict[str, torch.dtype] = {}
    for name in ("model.0", "model.1.submodule", "model.2"):
        module = student.get_submodule(name)
        module.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output.dtype}))
    steps = torch.linspace(0.9, 0.91, 64).expand(1, 1, 64, 64)  # all the same in bfloat16
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = student(steps)
    assert seen == {"model.0": torch.float32, "model.1.submodule": torch.bfloat16, "model.2": torch.float32}
    differ = (logits - student(steps)).abs()  # some .05 where all of it is bfloat16; processors without it round more
    assert differ.mean() < 0.01 and differ.max() < 0.2


def test_training_under_autocast_is_in_bfloat16_throughout() -> None:
    student = build_student(1, 5, (8, 16, 16)).train()
    with torch.autocast("cpu", torch.bfloat16):
        assert student(torch.zeros(2, 1, 32, 32)).dtype == torch.bfloat16


def test_a_scripted_student_gives_the_same_logits() -> None:
    student = build_student(1, 5, (4, 8, 8)).eval()
    image = torch.randn(2, 1, 32, 32)
    assert torch.allclose(torch.jit.script(student)(image), student(image), atol=1e-6)


def test_one_level_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two levels"):
        build_student(channels=(8,))
