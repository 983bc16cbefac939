"""The plan of a reproduction is what the record of the bundle tells."""

from __future__ import annotations

import json

import pytest
from reproduction.training_plan import read_plan

from tests.conftest import SHIPPED_BUNDLE


def test_the_plan_is_the_shipped_record_with_the_generator_first() -> None:
    plan = read_plan(SHIPPED_BUNDLE, "25m")
    records = json.loads((SHIPPED_BUNDLE / "models" / "model.json").read_text())["training"]
    assert [one.stage for one in plan] == ["gan", "encoder", "student"]
    assert plan[0].budget == "25m" and plan[0].settings["latent_dim"] == 256 and plan[0].settings["size"] == 128
    for training in plan[1:]:
        pieces = [one for one in records if one["stage"] == training.stage]
        assert training.settings == pieces[-1]["settings"]
        batch = training.settings["batch_size"]
        assert training.steps == pytest.approx(sum(one["images"] for one in pieces) / batch, abs=1)
    assert {one.settings["num_classes"] for one in plan} == {12}
