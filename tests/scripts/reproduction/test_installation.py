"""A copy takes the place of the bundle only if it is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reproduction.installation import comparison, install
from reproduction.scoring import MODES

from monai_semgan.errors import SemganError
from tests.conftest import SHIPPED_BUNDLE
from tests.scripts.folder_bytes import contents

PATIENTS = ["ct_00", "ct_21", "ct_15", "ct_12"]


def measured(**dice: float) -> dict[str, dict[str, Any]]:
    """Studies of the validation patients with a mean Dice by mode."""
    patients = [{"patient": name} for name in PATIENTS]
    return {mode: {"patients": patients, "dice": {"mean": value}} for mode, value in dice.items()}


def test_better_is_no_mode_below_the_record_and_one_above() -> None:
    record = json.loads((SHIPPED_BUNDLE / "models" / "model.json").read_text())
    same = {m: record["accuracy"]["ct"]["methods"][m]["dice"]["mean"] for m in MODES}
    assert not comparison(measured(**same), record)["better"]
    better = comparison(measured(**{**same, "preview": 0.99}), record)
    assert better["better"]
    assert better["reason"] == f"mean Dice above the record's: preview 0.9900, {same['preview']:.4f}"
    mixed = comparison(measured(**{**same, "preview": 0.99, "invert": 0.3}), record)
    assert not mixed["better"]
    assert mixed["reason"] == f"mean Dice below the record's: invert 0.3000, {same['invert']:.4f}"


def test_a_better_copy_takes_the_place_of_the_bundle(tmp_path: Path) -> None:
    copy, bundle = tmp_path / "out" / "bundle", tmp_path / "shipped"
    for folder, text in ((copy, "new"), (bundle, "old")):
        folder.mkdir(parents=True)
        (folder / "model").write_text(text)
    (bundle / "left over").write_text("old")
    good = {"finished": True, "comparison": {"better": True, "reason": "mean Dice above the record's"}}
    with pytest.raises(SemganError, match="nothing to install yet"):
        install(copy, bundle, {"finished": False})
    install(copy, bundle, good)
    assert contents(bundle) == {"model": b"new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "shipped"]
