"""What a server tells of its models before any of them is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

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
