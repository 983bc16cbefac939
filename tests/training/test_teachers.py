"""A trained encoder and generator label slices for others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_semgan.errors import SemganError
from monai_semgan.networks import InversionSegmenter, JointGenerator, LatentEncoder, build_student
from monai_semgan.networks.weights import with_prefix
from monai_semgan.training.teachers import build_rendering, build_student_teacher

CHANNELS = {4: 16, 8: 16, 16: 8, 32: 8}


def tiny_generator(latent_dim: int = 16) -> JointGenerator:
    torch.manual_seed(0)
    return JointGenerator(32, latent_dim, 1, 3, CHANNELS, mapping_layers=2).eval()


def tiny_encoder(spatial_channels: int, latent_dim: int = 16) -> LatentEncoder:
    """An encoder that has learnt something, of no default size."""
    torch.manual_seed(1)
    encoder = LatentEncoder(1, 8, latent_dim, (8, 8, 16, 16), grid=4, spatial_channels=spatial_channels, spatial_size=8)
    for parameter in encoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return encoder.eval()


@pytest.mark.parametrize("spatial_channels", [0, 16])
def test_the_rendering_is_rebuilt_from_weights_alone(spatial_channels: int) -> None:
    generator, encoder = tiny_generator(), tiny_encoder(spatial_channels)
    rendering = build_rendering(with_prefix(encoder.state_dict(), "encoder"), generator, 8)
    image = torch.randn(2, 1, 32, 32)
    expected = InversionSegmenter(generator, encoder, nn.Identity(), "encoder")(image)
    assert expected.shape == (2, 3, 32, 32) and torch.equal(rendering(image), expected)
    assert not any(parameter.requires_grad for parameter in rendering.parameters())


@pytest.mark.parametrize(("spatial_channels", "latent_dim"), [(7, 16), (0, 32), (8, 32)])
def test_an_encoder_of_another_generator_is_refused(spatial_channels: int, latent_dim: int) -> None:
    weights = with_prefix(tiny_encoder(spatial_channels, latent_dim).state_dict(), "encoder")
    with pytest.raises(SemganError, match="belongs to another generator"):
        build_rendering(weights, tiny_generator(), 16)


def test_weights_without_an_encoder_are_refused() -> None:
    with pytest.raises(SemganError, match="there is no encoder .* set teacher=self"):
        build_rendering(with_prefix(tiny_generator().state_dict(), "generator"), tiny_generator(), 16)


def student_weights(num_classes: int = 3) -> dict[str, torch.Tensor]:
    """A student of no default size, by prefix."""
    torch.manual_seed(2)
    return with_prefix(build_student(1, num_classes, (4, 8, 16)).state_dict(), "student")


def test_a_student_that_teaches_is_rebuilt_from_weights_alone() -> None:
    torch.manual_seed(2)
    image, expected = torch.randn(2, 1, 32, 32), build_student(1, 3, (4, 8, 16)).eval()
    expected.load_state_dict({name.removeprefix("student."): tensor for name, tensor in student_weights().items()})
    teacher = build_student_teacher(student_weights(), 3, torch.device("cpu"))
    assert torch.equal(teacher(image), expected(image))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_student_of_other_classes_does_not_teach() -> None:
    with pytest.raises(SemganError, match="knows 3 classes, not 5, so none can teach; .* set teacher=self"):
        build_student_teacher(student_weights(), 5, torch.device("cpu"))
    with pytest.raises(SemganError, match="there is no student, so none can teach"):
        build_student_teacher({}, 5, torch.device("cpu"))
