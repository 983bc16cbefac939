"""Networks are rebuilt from weights alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks import ImageDiscriminator, JointGenerator, LatentEncoder
from monai_semgan.networks.weights import save_weights, with_prefix
from monai_semgan.training.engine.run_files import gather_weights, save_weight_files, write_json
from monai_semgan.training.pretrained import (
    BILINEAR,
    build_generator,
    build_image_discriminator,
    told_filter,
    trained_filter,
    trained_spatial_size,
    with_spatial_part,
)

CHANNELS = {4: 12, 8: 8, 16: 8, 32: 4}


def generator_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return with_prefix(JointGenerator(32, 16, 1, 3, CHANNELS, mapping_layers=2).state_dict(), "generator")


def test_a_generator_is_rebuilt_whatever_its_width_and_depth() -> None:
    torch.manual_seed(0)
    original = JointGenerator(32, 16, 3, 4, CHANNELS, mapping_layers=3)
    rebuilt = build_generator(with_prefix(original.state_dict(), "generator"), 32, 4)
    z = torch.randn(2, 16)
    assert rebuilt is not None and torch.equal(rebuilt(z).logits, original(z).logits)


def test_a_smaller_size_cuts_the_upper_resolutions_off() -> None:
    state = generator_state()
    large, small = build_generator(state, 32, 3), build_generator(state, 16, 3)
    assert large is not None and small is not None
    latents = torch.randn(2, large.num_latents, 16)
    rendered = small.synthesis(latents[:, : small.num_latents]).image
    assert rendered.shape == (2, 1, 16, 16)
    assert torch.allclose(rendered, large.synthesis(latents, size=16).image, atol=1e-5)


def test_the_filter_is_told_by_record_or_bundle(tmp_path: Path) -> None:
    plain, recorded, bundle = tmp_path / "plain", tmp_path / "run" / "gan", tmp_path / "bundle" / "models"
    for folder in (plain, recorded, bundle):
        save_weights(folder / "weights.pt", generator_state())
    write_json(recorded / "record.json", {"network": {"resample_filter": [1, 1]}})
    write_json(tmp_path / "bundle" / "configs" / "inference.json", {"generator_def": {"resample_filter": [1, 2, 1]}})
    assert trained_filter([plain]) == BILINEAR
    assert trained_filter([recorded]) == trained_filter([tmp_path / "run"]) == (1, 1)
    assert trained_filter([bundle / "weights.pt"]) == (1, 2, 1)


def test_the_filter_of_a_tuned_generator_is_told_by_its_encoder(tmp_path: Path) -> None:
    for tune in ("none", "labels"):
        folder = tmp_path / tune / "encoder"
        save_weights(folder / "weights.pt", generator_state())
        write_json(folder / "record.json", {"network": {"resample_filter": [1, 1], "tune": tune}})
    assert trained_filter([tmp_path / "labels"]) == (1, 1)
    assert trained_filter([tmp_path / "none"]) == BILINEAR, "an encoder that tuned none holds none"


def test_the_size_of_the_spatial_part_is_told_by_record_or_bundle(tmp_path: Path) -> None:
    recorded, bundle = tmp_path / "run" / "encoder", tmp_path / "bundle" / "models"
    for folder in (recorded, bundle):
        save_weights(folder / "weights.pt", generator_state())
    write_json(recorded / "record.json", {"network": {"spatial_size": 8}})
    write_json(tmp_path / "bundle" / "configs" / "inference.json", {"encoder_def": {"spatial_size": 32}})
    assert trained_spatial_size([recorded], 128) == trained_spatial_size([tmp_path / "run"], 128) == 8
    assert trained_spatial_size([bundle / "weights.pt"], 128) == 32
    assert [trained_spatial_size([tmp_path], size) for size in (128, 16)] == [16, 8], "where nothing tells"


def test_an_encoder_to_w_plus_alone_gets_a_spatial_part_that_does_nothing() -> None:
    plain = LatentEncoder(1, 8, 16, (8, 8, 16, 16))
    spatial = LatentEncoder(1, 8, 16, (8, 8, 16, 16), spatial_channels=8)
    weights = {**generator_state(), **with_prefix(plain.state_dict(), "encoder")}
    completed = with_spatial_part(weights, spatial)
    spatial.load_state_dict({name[8:]: tensor for name, tensor in completed.items() if name.startswith("encoder.")})
    generator = build_generator(weights, 32, 3)
    assert generator is not None
    latent, image = spatial.encode(torch.randn(2, 1, 32, 32), generator), torch.randn(2, 1, 32, 32)
    assert latent.spatial is not None and not latent.spatial.any()
    assert torch.equal(spatial.encode(image, generator).w_plus, plain.encode(image, generator).w_plus)
    whole = with_prefix(spatial.state_dict(), "encoder")
    assert with_spatial_part(whole, spatial).keys() == whole.keys() and not with_spatial_part({}, spatial)


def test_any_classes_are_taken_where_that_is_asked_for() -> None:
    with pytest.raises(SemganError, match="knows 3 classes, not 14"):
        build_generator(generator_state(), 32, 14)
    generator = build_generator(generator_state(), 32, None)
    assert generator is not None and generator.num_classes == 3


def test_a_generator_of_grey_values_is_none_of_colours() -> None:
    with pytest.raises(SemganError, match="images of 1 channels, not 3; use weights that were trained on such images"):
        build_generator(generator_state(), 32, 3, image_channels=3)
    assert build_generator(generator_state(), 32, 3, image_channels=1) is not None


def test_the_image_discriminator_is_rebuilt_for_its_own_size_only() -> None:
    original = ImageDiscriminator(32, 1, CHANNELS).eval()
    state = with_prefix(original.state_dict(), "image_discriminator")
    rebuilt = build_image_discriminator(state, 32)
    image = torch.randn(2, 1, 32, 32)
    assert rebuilt is not None and torch.equal(rebuilt(image), original(image))
    assert build_image_discriminator(state, 64) is None and build_image_discriminator({}, 32) is None


def test_large_weights_are_split_and_gathered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_semgan.training.engine.run_files.WEIGHT_FILE_LIMIT", 8 * 1024)
    state = generator_state()
    paths = save_weight_files(tmp_path, "weights", state)
    assert len(paths) > 1
    gathered = gather_weights(tmp_path)
    assert gathered.keys() == state.keys()


def test_a_shorter_set_of_files_leaves_no_old_ones_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_semgan.training.engine.run_files.WEIGHT_FILE_LIMIT", 8 * 1024)
    save_weight_files(tmp_path, "weights", generator_state())
    monkeypatch.setattr("monai_semgan.training.engine.run_files.WEIGHT_FILE_LIMIT", 2**20)
    save_weight_files(tmp_path, "weights", {"student.x": torch.ones(3)})
    assert gather_weights(tmp_path).keys() == {"student.x"}


@pytest.mark.parametrize("kind", ["missing", "empty", "text"])
def test_what_holds_no_weights_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "source"
    if kind == "empty":
        path.mkdir()
    elif kind == "text":
        path.write_text(json.dumps({}))
    with pytest.raises(SemganError) as caught:
        gather_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_filter_is_told_by_a_record_and_by_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "run" / "gan").mkdir(parents=True)
    (tmp_path / "run" / "gan" / "record.json").write_text('{"network": {"resample_filter": [1, 1]}}')
    (tmp_path / "bare").mkdir()
    assert told_filter([tmp_path / "run"]) == (1, 1) and told_filter([tmp_path / "bare" / "weights.pt"]) == ()
    assert trained_filter([tmp_path / "bare" / "weights.pt"]) == (1, 3, 3, 1)
