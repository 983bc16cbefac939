"""Configurations are resolved without MONAI where they are plain, and by MONAI where they are not."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from monai_semgan.bundle.config import BeyondPlain, PlainConfig
from monai_semgan.bundle.load import SECTIONS, load_bundle
from monai_semgan.networks import InversionSegmenter
from tests.conftest import tiny_config

PLAIN: dict[str, Any] = {
    "size": 32,
    "slices": {"_target_": "monai_semgan.Preprocessing", "size": "@size", "percentiles": [1, "@top"]},
    "top": 90.5,
    "name": "liver @ left, 5 % $",
    "same": "@slices#size",
    "same_new": "@slices::percentiles::1",
    "attribute": "$@slices.percentiles",
    "path": "$@name + '/models/a.pt'",
    "nested": {"list": [{"a": "@size"}, None, True], "object": {"_target_": "fractions.Fraction", "numerator": 3}},
    "part": "@nested#object",
}


def by_monai(config: dict[str, Any], name: str) -> Any:
    """What MONAI makes of a section."""
    return ConfigParser(copy.deepcopy(config)).get_parsed_content(name)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_sections_are_what_monai_makes_of_them(name: str) -> None:
    found = PlainConfig(PLAIN).get(name)
    assert found == by_monai(PLAIN, name) and type(found) is type(by_monai(PLAIN, name))


def test_the_shipped_configuration_is_plain_and_gives_the_network_that_monai_builds() -> None:
    config = tiny_config()
    networks = []
    for build in (PlainConfig(config).get, lambda name: by_monai(config, name)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            networks.append(build("network_def"))
    ours, theirs = networks
    assert isinstance(ours, InversionSegmenter) and list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    for name in ("slices", *(name for name in SECTIONS if name in config)):
        assert PlainConfig(config).get(name) == by_monai(config, name)


def test_an_object_that_several_sections_name_is_built_once() -> None:
    network = PlainConfig(tiny_config())
    assert network.get("network_def").generator is network.get("generator_def")
    assert PlainConfig(PLAIN).get("part") is not PlainConfig(PLAIN).get("part")
    plain = PlainConfig(PLAIN)
    assert plain.get("part") is plain.get("nested")["object"] is plain.get("nested#object")


@pytest.mark.parametrize(
    "value",
    [
        "$1 + 1",
        "$@size * 2",
        "$@slices.to_dict()",
        "$@slices.__class__",
        "@nowhere",
        "@slices#nothing",
        "@##size",
        "%size",
        "@value",
        {"_target_": "UNet", "spatial_dims": 2},
        {"_target_": "monai_semgan.Preprocessing", "_disabled_": True},
        {"_target_": "monai_semgan.NoSuchClass"},
        {"_target_": "$@slices"},
    ],
    ids=str,
)
def test_what_needs_more_of_the_language_is_left_to_monai(value: Any) -> None:
    with pytest.raises(BeyondPlain):
        PlainConfig({**PLAIN, "value": value}).get("value")


def test_modules_that_may_register_something_are_left_to_monai() -> None:
    PlainConfig({"imports": ["$import torch", "$from monai_semgan import label_names"]})
    with pytest.raises(BeyondPlain):
        PlainConfig({"imports": ["$import torch", "$import my_objectives"]})


def test_a_bundle_whose_configuration_computes_something_loads(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plug_in_of_a_bundle.py").write_text("HALF = 16\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    path = bundle / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["imports"].append("$import plug_in_of_a_bundle")
    config["slices"]["size"] = "$plug_in_of_a_bundle.HALF * 2"
    path.write_text(json.dumps(config))
    assert load_bundle(bundle, "cpu").preprocessing.size == 32
    assert sys.modules.pop("plug_in_of_a_bundle").HALF == 16
