"""The joint generator renders image and label from one latent."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from monai_semgan.networks import JointGenerator
from monai_semgan.networks.generator import SynthesisBlock
from monai_semgan.networks.layers import ModulatedConv2d, ReadOut, ScaledActivation, StyledConv, kept_kernels
from monai_semgan.networks.weights import load_into, load_weights

TINY = {4: 16, 8: 16, 16: 12, 32: 8, 64: 8, 128: 8, 256: 4, 512: 4}


def tiny(size: int = 32, **options: object) -> JointGenerator:
    torch.manual_seed(0)
    return JointGenerator(size=size, latent_dim=16, channels=TINY, mapping_layers=2, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
@pytest.mark.parametrize("image_channels", [1, 3])
def test_renders_every_size_with_one_or_three_channels(size: int, image_channels: int) -> None:
    generator = tiny(size, image_channels=image_channels, num_classes=3)
    sample = generator(torch.randn(2, 16))
    assert sample.image.shape == (2, image_channels, size, size)
    assert sample.logits.shape == (2, 3, size, size)


@pytest.mark.parametrize("size", [4, 48, 1024])
def test_refuses_a_size_it_cannot_render(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        tiny(size)


def test_rendering_is_the_same_twice_unless_noise_is_asked_for() -> None:
    generator = tiny()
    for block in generator.blocks:
        block.conv.noise_strength.data.fill_(1.0)
    z = torch.randn(2, 16)
    assert torch.equal(generator(z).image, generator(z).image)
    assert not torch.allclose(generator(z, noise=True).image, generator(z, noise=True).image)


def test_noise_leaves_the_trunk_in_bfloat16_and_keeps_no_more_for_the_way_back() -> None:
    generator = tiny()
    latents = generator.styles(torch.randn(2, 16)).detach().requires_grad_()

    def kept_bytes(noise: bool) -> int:
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            with torch.autocast("cpu", torch.bfloat16):
                sample = generator.synthesis(latents, noise=noise)
            del sample
        return sum(sizes.values())

    with torch.autocast("cpu", torch.bfloat16):
        block = generator.blocks[0]
        trunk = block(generator.constant.expand(2, -1, -1, -1), latents[:, :3], noise=True)[0]
    assert trunk.dtype == torch.bfloat16
    assert kept_bytes(True) < 1.15 * kept_bytes(False)


def test_an_image_does_not_depend_on_its_batch() -> None:
    generator = tiny()
    z = torch.randn(5, 16)
    alone, together = generator(z[3:4]), generator(z)
    assert torch.allclose(alone.image[0], together.image[3], atol=1e-5)
    assert torch.allclose(alone.logits[0], together.logits[3], atol=1e-5)


def test_a_truncated_synthesis_equals_a_smaller_generator() -> None:
    large, small = tiny(64), tiny(32)
    small.load_state_dict({k: v for k, v in large.state_dict().items() if k in small.state_dict()})
    latents = large.styles(torch.randn(2, 16))
    expected = small.synthesis(latents[:, : small.num_latents])
    rendered = large.synthesis(latents, size=32)
    assert torch.allclose(rendered.image, expected.image, atol=1e-6)
    assert torch.allclose(rendered.logits, expected.logits, atol=1e-6)


def test_truncation_zero_renders_the_mean_latent() -> None:
    generator = tiny()
    generator.update_mean_latent(64)
    mean = generator.synthesis(generator.broadcast(generator.mean_latent[None]))
    assert torch.allclose(generator(torch.randn(1, 16), truncation=0.0).image, mean.image, atol=1e-6)


def test_style_mixing_takes_the_second_latent_from_the_crossover_on() -> None:
    generator = tiny()
    a, b = torch.randn(2, 1, 16)
    mixed = generator.styles(a, b, torch.tensor([3]))
    assert torch.equal(mixed[:, :3], generator.styles(a)[:, :3])
    assert torch.equal(mixed[:, 3:], generator.styles(b)[:, 3:])


@pytest.mark.parametrize("upsample", [False, True])
def test_scaling_activations_equals_modulating_the_weight_of_each_sample(upsample: bool) -> None:
    torch.manual_seed(0)
    taps = (1, 1) if upsample else None
    conv = ModulatedConv2d(3, 4, 3, 5, resample_filter=taps)
    x, latent = torch.randn(2, 3, 8, 8), torch.randn(2, 5)
    rendered = conv(x, latent)
    for i in range(2):
        style = conv.affine(latent[i : i + 1])[0]
        weight = conv.weight * conv.scale * style[None, :, None, None]
        weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        source = torch.nn.functional.interpolate(x[i : i + 1], scale_factor=2) if upsample else x[i : i + 1]
        expected = torch.nn.functional.conv2d(source, weight, padding=1)
        assert torch.allclose(rendered[i : i + 1], expected, atol=1e-5)


def test_filtered_upsampling_equals_bilinear_interpolation_before_the_convolution() -> None:
    torch.manual_seed(0)
    conv = ModulatedConv2d(3, 4, 3, 5, demodulate=False, resample_filter=(1, 3, 3, 1))
    x, latent = torch.randn(1, 3, 8, 8), torch.randn(1, 5)
    style = conv.affine(latent)[0]
    source = torch.nn.functional.interpolate(
        x * style[None, :, None, None], scale_factor=2, mode="bilinear", align_corners=False
    )
    expected = torch.nn.functional.conv2d(source, conv.weight * conv.scale, padding=1)
    inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    assert torch.allclose(conv(x, latent)[inner], expected[inner], atol=1e-5)


def test_both_heads_send_gradients_to_the_latents() -> None:
    generator = tiny()
    latents = generator.styles(torch.randn(1, 16)).detach().requires_grad_()
    sample = generator.synthesis(latents)
    for output in sample:
        (gradient,) = torch.autograd.grad(output.square().mean(), latents, retain_graph=True)
        assert (gradient.abs().sum((0, 2)) > 0).all()


def reference_block(block: SynthesisBlock, x: torch.Tensor, latents: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Compute a block by the formulas as they are written: weights modulated for every sample, one at a time."""

    def modulated(layer: ModulatedConv2d, x: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        rows = []
        for one, style in zip(x, layer.affine(latent), strict=True):
            weight = layer.weight * layer.scale * style[None, :, None, None]
            if layer.demodulate:
                weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + 1e-8)
            if layer.upsample:
                wide = F.conv_transpose2d(one[None], weight.transpose(0, 1).flip(2, 3), stride=2)
                low_pass = layer.filter.expand(wide.shape[1], 1, -1, -1)
                rows.append(F.conv2d(wide, low_pass, padding=layer.filter_padding, groups=wide.shape[1]))
            else:
                rows.append(F.conv2d(one[None], weight, padding=layer.padding))
        return torch.cat(rows)

    def styled(layer: StyledConv, x: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        return 2**0.5 * F.leaky_relu(modulated(layer.conv, x, latent) + layer.bias[None, :, None, None], 0.2)

    x = styled(block.up, x, latents[:, 0]) if block.upsample else x
    x = styled(block.conv, x, latents[:, 1])
    return x, modulated(block.to_image, x, latents[:, 2]), modulated(block.to_label, x, latents[:, 2])


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1)])
def test_a_block_computes_what_the_formulas_say_and_so_do_its_gradients(taps: tuple[int, ...]) -> None:
    generator = tiny(resample_filter=taps)
    for parameter in generator.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    latents = torch.randn(3, 3, 16, requires_grad=True)
    for block, width in zip(generator.blocks[:2], (16, 16), strict=True):
        x = torch.randn(3, width, 4, 4, requires_grad=True)
        inputs = [x, latents, *(p for name, p in block.named_parameters() if "noise" not in name)]
        found, expected = block(x, latents), reference_block(block, x, latents)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
        weights = [torch.randn_like(one) for one in expected]
        gradients = [torch.autograd.grad(parts, inputs, weights, allow_unused=True) for parts in (found, expected)]
        for one, other in zip(*gradients, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1)])
def test_gradients_can_be_differentiated_again(taps: tuple[int, ...]) -> None:
    """The regularisation of path lengths asks for it."""
    generator = tiny(8, resample_filter=taps, num_classes=3)
    latents = generator.styles(torch.randn(2, 16)).detach().requires_grad_()
    x = torch.randn(2, 16, 4, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(ScaledActivation.apply, three_maps())
    weight = torch.randn(2, 3, 16, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(ReadOut.apply, (x, weight))
    image = generator.synthesis(latents).image
    (slope,) = torch.autograd.grad(image.square().sum(), latents, create_graph=True)
    slope.square().sum().backward()
    assert generator.blocks[1].up.conv.weight.grad.abs().sum() > 0


def three_maps() -> tuple[torch.Tensor, ...]:
    """A map, its factors and offsets, away from the kink of the activation."""
    x = torch.randn(2, 4, 3, 3, dtype=torch.double).sign() * (1 + torch.rand(2, 4, 3, 3, dtype=torch.double))
    factor = 1 + torch.rand(2, 4, 1, 1, dtype=torch.double)
    return tuple(one.requires_grad_() for one in (x, factor, 0.1 * torch.rand(1, 4, 1, 1, dtype=torch.double)))


def test_the_trunk_stays_in_bfloat16_and_with_channels_last_there_and_back() -> None:
    generator = tiny()
    latents = generator.styles(torch.randn(2, 16)).detach().requires_grad_()
    maps: list[torch.Tensor] = []
    slopes: list[torch.Tensor] = []

    def watch(_: object, __: object, output: tuple[torch.Tensor, ...]) -> None:
        maps.append(output[0])
        output[0].register_hook(slopes.append)

    for block in generator.blocks:
        block.register_forward_hook(watch)
    with torch.autocast("cpu", torch.bfloat16):
        sample = generator.synthesis(latents)
    (sample.image.sum() + sample.logits.sum()).backward()
    assert len(maps) == len(slopes) == len(generator.blocks)
    for one in maps + slopes:
        assert one.dtype == torch.bfloat16
        assert one.is_contiguous(memory_format=torch.channels_last)


def test_kept_kernels_give_the_same_and_are_forgotten_at_the_end() -> None:
    generator = tiny().requires_grad_(False)
    latents = generator.styles(torch.randn(2, 16))
    plain = generator.synthesis(latents).image
    with kept_kernels(generator):
        assert all(torch.equal(generator.synthesis(latents).image, plain) for _ in range(2))
    for parameter in generator.parameters():
        parameter.mul_(1.1)
    changed = generator.synthesis(latents).image
    assert not torch.allclose(changed, plain)
    with kept_kernels(generator):
        assert torch.equal(generator.synthesis(latents).image, changed)


def test_kernels_that_are_learnt_are_not_kept() -> None:
    generator = tiny()
    latents = generator.styles(torch.randn(2, 16)).detach()
    with kept_kernels(generator):
        for _ in range(2):
            generator.synthesis(latents).image.sum().backward()
    assert generator.blocks[1].up.conv.weight.grad is not None


def test_the_head_start_generator_reproduces_its_check_file() -> None:
    """Needs the head start, a folder named by SEMGAN_HEAD_START (see docs/training.md)."""
    folder = os.environ.get("SEMGAN_HEAD_START")
    if not folder:
        pytest.skip("SEMGAN_HEAD_START is not set")
    state = load_weights(Path(folder) / "generator_ema.pt")
    generator = JointGenerator(resample_filter=(1, 1))
    load_into(generator, {block_name(name): value for name, value in state.items()})
    check = np.load(Path(folder) / "check.npz")
    with torch.no_grad():
        w = generator.mapping(torch.from_numpy(check["z"]))
        sample = generator(torch.from_numpy(check["z"]))
    assert np.abs(w.numpy() - check["w"]).max() < 1e-2
    assert np.abs(sample.image.numpy() - check["image"]).max() < 2e-2
    logits = check["logits"].astype(np.float32)
    assert np.abs(sample.logits.numpy() - logits).max() < 1e-2 * np.abs(logits).max()
    assert (sample.logits.numpy().argmax(1) == logits.argmax(1)).mean() > 0.999


def block_name(name: str) -> str:
    """Rename an entry of the prototype, which numbers its convolutions through: 0 at 4x4, then two a resolution."""
    name = re.sub(r"^mapping\.", "mapping_net.", name)
    name = re.sub(r"^to_(image|label)\.(\d+)\.", r"blocks.\2.to_\1.", name)
    layer = re.match(r"^layers\.(\d+)\.(.*)$", name)
    if layer is None:
        return name
    index = int(layer[1])
    return f"blocks.{(index + 1) // 2}.{'up' if index % 2 else 'conv'}.{layer[2]}"
