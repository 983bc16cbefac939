"""A generator is copied with label heads for the classes of the data, and trained in chosen parts."""

from __future__ import annotations

import pytest
import torch

from monai_semgan.training.stages.label_heads import copy_with_classes, tuned_parameters
from tests.training.stages.encoder_phantoms import tiny_generator


def test_a_copy_for_the_same_classes_renders_the_same() -> None:
    generator = tiny_generator()
    copied, z = copy_with_classes(generator, 3), torch.randn(2, 16)
    assert torch.equal(copied(z).logits, generator(z).logits)
    copied.label_bias.data += 1.0
    assert not torch.equal(copied(z).logits, generator(z).logits), "the original is another"


@pytest.mark.parametrize("classes", [2, 14])
def test_new_label_heads_leave_the_image_alone(classes: int) -> None:
    generator, z = tiny_generator(), torch.randn(2, 16)
    copied = copy_with_classes(generator, classes)
    assert torch.equal(copied(z).image, generator(z).image)
    assert copied(z).logits.shape == (2, classes, 32, 32) and copied.num_classes == classes
    assert generator(z).logits.shape == (2, 3, 32, 32)


def test_gradients_reach_what_is_tuned_and_nothing_else() -> None:
    generator = tiny_generator()
    z = torch.randn(2, 16)
    for tune, reached in (("none", 0), ("labels", 4 * 3 + 1)):
        parameters = tuned_parameters(generator, tune)  # type: ignore[arg-type]
        assert len(parameters) == reached
    sample = generator(z)
    (sample.logits.mean() + sample.image.mean()).backward()
    with_gradient = {name for name, parameter in generator.named_parameters() if parameter.grad is not None}
    assert with_gradient == {name for name, _ in generator.named_parameters() if "label" in name}


def test_with_all_the_mapping_and_the_strengths_of_the_noise_are_left_out() -> None:
    generator = tiny_generator()
    tuned_parameters(generator, "all")
    left_out = {name for name, parameter in generator.named_parameters() if not parameter.requires_grad}
    assert left_out == {name for name, _ in generator.named_parameters() if "mapping" in name or "noise" in name}
    assert len(left_out) == 2 * 2 + 7, "two layers, and a strength for each of the seven convolutions"
