"""The inferer as MONAI's engines, a server or the command line use it."""

# ruff: noqa: F811
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from monai.data import MetaTensor

from monai_semgan.errors import SemganError
from monai_semgan.inference.inferer import MODES, SliceInversionInferer
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.networks import InversionSegmenter
from monai_semgan.networks.added_structures import AddedStructures
from tests.inversion.conftest import Case, assert_same_latents, case, network, one_thread  # noqa: F401

SETTINGS = InversionSettings(steps=8, objective="l1", prior_weight=0.0, batch_size=2, mixed_precision=False)


def volume(case: Case) -> torch.Tensor:
    """Slices as one volume `(1, 1, H, W, D)`."""
    return case.slices.permute(1, 2, 3, 0)[None]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_probabilities_on_the_grid_of_the_input(case, mode):
    outputs = SliceInversionInferer(SETTINGS, mode)(volume(case), case.network)
    assert outputs["seg"].shape == (1, 3, 32, 32, 5)
    torch.testing.assert_close(outputs["seg"].sum(1), torch.ones(1, 32, 32, 5))
    assert outputs["uncertainty"].min() >= 0 and outputs["uncertainty"].max() <= 1
    assert ("recon" in outputs) == ("residual" in outputs) == (mode != "preview")
    if mode != "preview":
        assert outputs["recon"].shape == (1, 1, 32, 32, 5) and outputs["residual"].shape == (1, 1, 32, 32, 5)


def test_meta_data_of_the_input_is_passed_on(case):
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    inputs = MetaTensor(volume(case), affine=affine)
    for mode in ("preview", "invert"):
        outputs = SliceInversionInferer(SETTINGS, mode)(inputs, case.network)
        assert all(torch.equal(value.affine, affine) for value in outputs.values())


def test_several_volumes_do_not_touch_each_other(case):
    inferer = SliceInversionInferer(replace(SETTINGS, neighbour_weight=0.1))
    one = inferer(volume(case), case.network)["seg"]
    both = inferer(torch.cat([volume(case), volume(case).flip(-1)]), case.network)["seg"]
    torch.testing.assert_close(both[:1], one)
    torch.testing.assert_close(both[1:].flip(-1), one, atol=1e-3, rtol=0)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("mode", ["invert", "refine"])
def test_callers_may_have_switched_gradients_off(case, context, mode):
    expected = SliceInversionInferer(SETTINGS, mode).invert(volume(case), case.network)
    with context():
        inside = volume(case) * 1.0
        result = SliceInversionInferer(SETTINGS, mode).invert(
            inside, case.network, start=expected.latent.map(lambda p: p * 1.0)
        )
        again = SliceInversionInferer(SETTINGS, mode).invert(inside, case.network)
        assert not torch.is_grad_enabled()
    assert (result.curve[-1] < expected.curve[0]).all()
    torch.testing.assert_close(again.probabilities, expected.probabilities)
    assert not again.probabilities.requires_grad and not again.probabilities.is_inference()


def test_the_network_is_left_as_it_was(case):
    network = case.network.train()
    network.student.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    SliceInversionInferer(SETTINGS).invert(volume(case), network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert network.generator.training and network.training and not network.student.training
    network.eval()


def test_no_gradient_of_a_parameter_is_ever_computed(case, monkeypatch):
    seen = []
    synthesis = case.network.generator.synthesis

    def spy(latents, *rest):
        seen.append(any(p.requires_grad for p in case.network.parameters()))
        return synthesis(latents, *rest)

    monkeypatch.setattr(case.network.generator, "synthesis", spy)
    SliceInversionInferer(SETTINGS).invert(volume(case), case.network)
    assert seen and not any(seen)


def test_the_network_is_left_as_it_was_even_after_an_error(case, monkeypatch):
    def fail(latents, *rest):
        raise RuntimeError("broken")

    monkeypatch.setattr(case.network.generator, "synthesis", fail)
    with pytest.raises(RuntimeError, match="broken"):
        SliceInversionInferer(SETTINGS).invert(volume(case), case.network)
    assert all(parameter.requires_grad for parameter in case.network.parameters())


def test_rendering_is_without_noise(case):
    for block in case.network.generator.blocks:
        block.conv.noise_strength.data.fill_(1.0)
    first, second = (SliceInversionInferer(SETTINGS).invert(volume(case), case.network) for _ in range(2))
    for block in case.network.generator.blocks:
        block.conv.noise_strength.data.fill_(0.0)
    assert torch.equal(first.probabilities, second.probabilities)


def test_when_the_gpu_runs_out_of_memory_the_batch_is_halved_and_the_result_is_the_same(case, monkeypatch):
    settings = replace(SETTINGS, batch_size=5, start="mean")
    expected = SliceInversionInferer(replace(settings, batch_size=1)).invert(volume(case), case.network)
    synthesis = case.network.generator.synthesis

    def small_memory(latents, *rest):
        if latents.shape[0] > 2:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return synthesis(latents, *rest)

    monkeypatch.setattr(case.network.generator, "synthesis", small_memory)
    result = SliceInversionInferer(settings).invert(volume(case), case.network)
    assert result.batch_size == 2
    assert_same_latents(result.latent, expected.latent, 1e-3)


def test_encoder_mode_renders_the_encoders_codes(case):
    result = SliceInversionInferer(SETTINGS, "encoder").invert(volume(case), case.network)
    with torch.no_grad():
        codes = case.network.encode(case.slices)
    assert_same_latents(result.latent, codes)
    assert result.curve.shape == (1, 5)


def test_strokes_pull_the_label_and_always_win(case):
    plain = SliceInversionInferer(SETTINGS).invert(volume(case), case.network, start=case.start)
    strokes = torch.full((5, 32, 32), -1)
    strokes[2, 8:24, 8:24] = 2
    constraints = PixelConstraints(strokes, weight=5.0)
    inferer = SliceInversionInferer(replace(SETTINGS, steps=20))
    result = inferer.invert(volume(case), case.network, start=case.start, constraints=constraints)
    assert (result.label[2, 8:24, 8:24] == 2).all()
    with torch.no_grad():
        rendered, before = (
            case.network.render(r.latent[2:3]).logits.softmax(1)[0, 2, 8:24, 8:24] for r in (result, plain)
        )
    assert rendered.mean() > before.mean() + 0.05


@pytest.mark.parametrize("mode", ["encoder", "invert", "refine"])
def test_strokes_win_in_every_mode_that_inverts(case, mode):
    strokes = torch.full((5, 32, 32), -1)
    strokes[1, 4:8, 4:20] = 2
    strokes[1, 20:24, 4:20] = 0
    found = SliceInversionInferer(SETTINGS, mode)(volume(case), case.network, constraints=PixelConstraints(strokes))
    label = found["seg"].argmax(1)[0].permute(2, 0, 1)
    assert torch.equal(label[strokes >= 0], strokes[strokes >= 0])


def test_strokes_win_over_structures_that_were_added_to_the_model(case):
    heads = AddedStructures(case.network.student.feature_channels, 3, (1,), width=8)
    torch.nn.init.constant_(heads.heads[0].last.bias, 20.0)  # whatever is background becomes the new structure
    network = InversionSegmenter(case.network.generator, case.network.encoder, case.network.student, added=heads).eval()
    strokes = torch.full((5, 32, 32), -1)
    strokes[2, 8:24, 8:24] = 0
    events = []
    result = SliceInversionInferer(SETTINGS).invert(
        volume(case),
        network,
        constraints=PixelConstraints(strokes),
        on_step=lambda event: events.append(event.partial()),
    )
    for found in (result, *(event for event in events if event is not None)):
        assert (found.label[2, 8:24, 8:24] == 0).all()
        assert (found.probabilities.argmax(1)[2, 8:24, 8:24] == 0).all()
        assert (found.label == 3).any() and not (found.label[strokes < 0] == 0).any()


def test_constraints_that_cannot_be_kept_are_refused_in_one_line(case):
    def invert(labels, mode="invert"):
        SliceInversionInferer(SETTINGS, mode)(volume(case), case.network, constraints=PixelConstraints(labels))

    with pytest.raises(SemganError, match=r"constraints of shape \(4, 32, 32\) for slices of shape \(5, 32, 32\)"):
        invert(torch.full((4, 32, 32), -1))
    with pytest.raises(SemganError, match="constraints of class 3; the generator renders 0 to 2"):
        invert(torch.full((5, 32, 32), 3))
    with pytest.raises(SemganError, match="mode preview knows no constraints"):
        invert(torch.full((5, 32, 32), -1), "preview")


def test_refine_listens_to_the_student(case):
    student = torch.zeros(5, 3, 32, 32)
    student[:, 1] = 1.0
    loud = SliceInversionInferer(replace(SETTINGS, label_weight=5.0, student_weight=0.0, steps=20), "refine")
    quiet = SliceInversionInferer(replace(SETTINGS, label_weight=0.0, student_weight=0.0, steps=20), "refine")
    shares = [
        float(inferer.invert(volume(case), case.network, start=case.start, student=student).probabilities[:, 1].mean())
        for inferer in (quiet, loud)
    ]
    assert shares[1] > shares[0] + 0.1
    only = SliceInversionInferer(replace(SETTINGS, student_weight=1.0), "refine")
    assert torch.equal(only.invert(volume(case), case.network, student=student).probabilities, student)


def test_refine_without_student_share_and_guidance_is_invert(case):
    settings = replace(SETTINGS, label_weight=0.0, student_weight=0.0)
    refined = SliceInversionInferer(settings, "refine").invert(volume(case), case.network)
    inverted = SliceInversionInferer(settings, "invert").invert(volume(case), case.network)
    torch.testing.assert_close(refined.probabilities, inverted.probabilities)


def test_the_objective_follows_from_the_modality(case):
    inferer = SliceInversionInferer(replace(SETTINGS, objective="auto", steps=1), modality="CT")
    names = [inferer.invert(volume(case), case.network, modality=name).objective for name in (None, "ct", "MR")]
    assert names[0] == names[1] != names[2]


def test_disagreement_between_start_and_result_is_uncertainty(case):
    inferer = SliceInversionInferer(replace(SETTINGS, steps=40))
    sure = inferer.invert(volume(case), case.network, start=case.latent)
    unsure = inferer.invert(volume(case), case.network, start=case.latent.map(lambda part: part + 0.5))
    assert unsure.uncertainty.mean() > sure.uncertainty.mean()


def test_settings_may_be_written_as_a_mapping_as_in_a_bundle():
    inferer = SliceInversionInferer({"steps": 7, "objective": "mind"}, "refine")
    assert inferer.settings == InversionSettings(steps=7, objective="mind")


def test_an_unknown_mode_or_shape_is_refused(case):
    with pytest.raises(SemganError, match="unknown mode 'magic'"):
        SliceInversionInferer(mode="magic")
    with pytest.raises(SemganError, match=r"\(1, C, H, W, D\)"):
        SliceInversionInferer().invert(case.slices, case.network)
