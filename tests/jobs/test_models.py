"""What a server tells of its models before any of them is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Mode
from monai_semgan.jobs.models import served_models
from tests.conftest import SHIPPED_BUNDLE

pytestmark = pytest.mark.label


def test_the_shipped_model_tells_its_measured_dice_and_steps() -> None:
    (model,) = served_models([None]).values()
    modes = {mode.name: mode for mode in model.info.modes}
    record = json.loads((SHIPPED_BUNDLE / "models" / "model.json").read_text())["dice"]
    measured = next(methods for where, methods in record.items() if where.startswith("CT validation"))
    assert modes[Mode.preview].dice["CT"] == measured["preview"]["mean"]
    assert set(modes[Mode.refine].dice) == {"CT", "MR"}
    settings = json.loads((SHIPPED_BUNDLE / "configs" / "inference.json").read_text())
    assert modes[Mode.invert].steps == settings["invert"]["steps"] and modes[Mode.preview].steps is None
    assert model.info.modalities == ["CT"] and model.info.bytes > 1_000_000


def test_every_structure_tells_how_well_it_is_found(tiny_bundle: Path, tmp_path: Path) -> None:
    dice = {
        "CT validation": {"preview": {"liver": 0.94, "Kidney_right": 0.9, "mean": 0.92}, "refine": {"spleen": 0.5}},
        "MRI report volumes": {"preview": {"liver": 0.8, "spleen": None}},
    }
    (model,) = served_models([bundle_with(dice, tiny_bundle, tmp_path)]).values()
    told = {label.name: label.dice for label in model.info.labels}
    assert told == {"liver": {"CT": 0.94, "MR": 0.8}, "right kidney": {"CT": 0.9}, "left kidney": {}, "spleen": {}}


def test_models_of_one_name_are_told_apart_and_the_first_is_the_default(tiny_bundle: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_bundle, tmp_path / "other")
    names = list(served_models([tiny_bundle, other]))
    assert len(names) == 2 and names[1] == f"{names[0]} (other)"
    with pytest.raises(SemganError, match="another bundle has this name"):
        served_models([tiny_bundle, other, other])


def test_a_bundle_without_weights_is_no_model(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    (copy / "models" / "model.pt").unlink()
    with pytest.raises(SemganError, match="no weights"):
        served_models([copy])
    with pytest.raises(SemganError, match="no such bundle"):
        served_models([tmp_path / "nowhere"])


def bundle_with(dice: dict[str, Any], tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of a bundle with these measured figures."""
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    (copy / "models" / "model.json").write_text(json.dumps({"dice": dice}))
    return copy


def test_refining_the_shipped_model_is_told_to_gain_nothing() -> None:
    (model,) = served_models([None]).values()
    modes = {mode.name: mode for mode in model.info.modes}
    for mode in (Mode.invert, Mode.refine):
        told, preview = modes[mode], modes[Mode.preview].dice
        assert told.gain == {name: pytest.approx(value - preview[name], abs=1e-4) for name, value in told.dice.items()}
        assert told.worth_it is False and all(value < 0.01 for value in told.gain.values())
    assert modes[Mode.preview].gain == {} and modes[Mode.preview].worth_it is None


@pytest.mark.parametrize(
    ("preview", "refine", "gain", "worth_it"),
    [
        ({"CT": 0.8, "MR": 0.5}, {"CT": 0.8, "MR": 0.6}, {"CT": 0.0, "MR": 0.1}, True),
        ({"CT": 0.8, "MR": 0.5}, {"CT": 0.805, "MR": 0.5}, {"CT": 0.005, "MR": 0.0}, False),
        ({"CT": 0.8, "MR": 0.5}, {"CT": 0.7}, {"CT": -0.1}, False),
        ({"CT": 0.8}, {"MR": 0.9}, {}, None),
        ({"CT": 0.8}, {}, {}, None),
        ({}, {"CT": 0.9}, {}, None),
    ],
)
def test_what_refining_gains_is_told_where_it_was_measured(
    preview: dict[str, float],
    refine: dict[str, float],
    gain: dict[str, float],
    worth_it: bool | None,
    tiny_bundle: Path,
    tmp_path: Path,
) -> None:
    dice: dict[str, Any] = {}
    for mode, means in (("preview", preview), ("refine", refine)):
        for modality, mean in means.items():
            dice.setdefault(f"{modality} validation", {})[mode] = {"mean": mean}
    (model,) = served_models([bundle_with(dice, tiny_bundle, tmp_path)]).values()
    told = next(mode for mode in model.info.modes if mode.name is Mode.refine)
    assert told.gain == pytest.approx(gain) and told.worth_it is worth_it


@pytest.mark.parametrize("dice", [None, [], "many", {"CT": None}, {"CT": {"refine": 0.9, "preview": None}}])
def test_figures_that_are_none_are_left_out(dice: Any, tiny_bundle: Path, tmp_path: Path) -> None:
    (model,) = served_models([bundle_with(dice, tiny_bundle, tmp_path)]).values()
    assert all(mode.dice == {} and mode.gain == {} and mode.worth_it is None for mode in model.info.modes)
