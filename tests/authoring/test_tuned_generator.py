"""A bundle takes the generator that was trained with its encoder, and the size of the latent's spatial part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.authoring.create import create_bundle
from monai_semgan.authoring.fill import fill_bundle
from monai_semgan.networks import LatentEncoder
from monai_semgan.networks.weights import load_weights, part, save_weights, with_prefix

ORGANS = ["liver", "right kidney", "left kidney", "spleen"]


def add_to_encoder(run: Path, tune: str) -> None:
    """Let the encoder of a run have a generator of its own, with another bias, and a spatial part of 8 pixels."""
    path = run / "encoder" / "weights.pt"
    generator = part(load_weights(run / "gan" / "weights.pt"), "generator")
    generator["label_bias"] = generator["label_bias"] + 1.0
    state = part(load_weights(path), "encoder")
    channels = [int(state["stem.weight"].shape[0])]
    while (name := f"stages.{len(channels) - 1}.0.conv0.weight") in state:
        channels.append(int(state[name].shape[0]))
    count, _, grid, _ = state["templates"].shape
    dim, spatial = int(state["hidden.weight"].shape[0]), int(generator["blocks.1.conv.bias"].shape[0])
    encoder = LatentEncoder(1, count, dim, channels, grid, spatial_channels=spatial, spatial_size=8)
    kept = {} if tune == "none" else with_prefix(generator, "generator")
    save_weights(path, {**with_prefix(encoder.state_dict(), "encoder"), **kept})
    record: dict[str, Any] = json.loads((run / "encoder" / "record.json").read_text())
    record["network"] |= {"tune": tune, "spatial_size": 8}
    (run / "encoder" / "record.json").write_text(json.dumps(record))


@pytest.mark.parametrize("order", [("",), ("encoder", "gan", "student"), ("gan", "student", "encoder")])
def test_the_generator_of_the_encoder_wins_over_that_of_the_gan(
    run_folder: Path, tmp_path: Path, order: tuple[str, ...]
) -> None:
    add_to_encoder(run_folder, "labels")
    folder = fill_bundle(create_bundle(tmp_path / "mine", ORGANS), [run_folder / stage for stage in order])
    given, filled = (load_weights(p) for p in (run_folder / "gan" / "weights.pt", folder / "models" / "model.pt"))
    assert torch.allclose(filled["generator.label_bias"], given["generator.label_bias"] + 1.0, atol=1e-3)
    definition = json.loads((folder / "configs" / "inference.json").read_text())["encoder_def"]
    assert definition["spatial_size"] == 8 and definition["spatial_channels"] > 0


def test_without_tuning_the_last_generator_named_is_taken(run_folder: Path, tmp_path: Path) -> None:
    add_to_encoder(run_folder, "none")
    folder = fill_bundle(create_bundle(tmp_path / "mine", ORGANS), [run_folder / "encoder", run_folder])
    given, filled = (load_weights(p) for p in (run_folder / "gan" / "weights.pt", folder / "models" / "model.pt"))
    assert torch.equal(filled["generator.label_bias"], given["generator.label_bias"])


def test_parts_of_an_older_source_do_not_linger(run_folder: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    for stage in ("gan", "encoder", "student"):
        for path in (run_folder / stage).iterdir():
            (older / stage).mkdir(parents=True, exist_ok=True)
            (older / stage / path.name).write_bytes(path.read_bytes())
    path = older / "encoder" / "weights.pt"
    save_weights(path, {**load_weights(path), "encoder.no_more": torch.zeros(1)})
    folder = fill_bundle(create_bundle(tmp_path / "mine", ORGANS), [older, run_folder])
    filled, given = (load_weights(p) for p in (folder / "models" / "model.pt", run_folder / "encoder" / "weights.pt"))
    assert {name for name in filled if name.startswith("encoder.")} == given.keys()
