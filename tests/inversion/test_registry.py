"""Objectives from outside the package: registered by name, used by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.inversion.objectives import registry
from monai_semgan.inversion.objectives.base import ReconstructionObjective
from monai_semgan.inversion.objectives.registry import OBJECTIVES, build_objective, register_objective


class Squares(ReconstructionObjective):
    """Mean squared difference of grey values."""

    calls = 0

    def prepare(self, target):
        return {"target": target}

    def __call__(self, image, state, index, probabilities=None):
        Squares.calls += 1
        return (image.float() - state["target"][index]).square().mean((1, 2, 3))


@pytest.fixture
def mine() -> Iterator[None]:
    Squares.calls = 0
    register_objective("mine")(Squares)
    yield
    registry._entries.pop("mine")


def test_a_new_objective_is_known_by_its_name(mine):
    assert isinstance(build_objective("mine"), Squares) and "mine" in OBJECTIVES


def test_the_command_line_inverts_with_an_objective_from_outside(
    mine, ct_scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    labels = []
    for name in ("mine", "l1"):
        out = tmp_path / f"{name}.nii.gz"
        command = ["segment", str(ct_scan), "-o", str(out), "--bundle", str(tiny_bundle), "--quiet", "--device", "cpu"]
        assert main([*command, "--mode", "invert", "--steps", "2", "--objective", name]) == 0
        labels.append(np.asarray(nibabel.load(out).dataobj))
    assert Squares.calls > 0
    assert labels[0].shape == labels[1].shape


def test_segment_inverts_with_an_objective_from_outside(mine, ct_scan: Path, tiny_bundle: Path) -> None:
    import monai_semgan as sg

    found = sg.segment(sg.read_volume(ct_scan), sg.load_bundle(tiny_bundle, "cpu"), "invert", steps=2, objective="mine")
    assert found.inversion is not None and found.inversion.objective == "mine"


def test_an_objective_may_ask_for_the_feature_extractor():
    try:
        made = []
        register_objective("featured", needs_features=True)(lambda features: made.append(features) or Squares())
        build_objective("featured", len)
        assert made == [len]
        with pytest.raises(ValueError, match="feature extractor"):
            build_objective("featured")
    finally:
        registry._entries.pop("featured")


@pytest.mark.parametrize("name", ["mind", "auto"])
def test_a_taken_name_is_refused_in_one_line_and_stays_what_it_was(name):
    before = dict(OBJECTIVES)
    with pytest.raises(SemganError, match=f"'{name}'.*Squares is taken.*another name") as caught:
        register_objective(name)(Squares)
    assert "\n" not in str(caught.value) and dict(OBJECTIVES) == before


def test_registering_again_replaces_as_a_notebook_needs(mine):
    again = type("Squares", (Squares,), {"__qualname__": "Squares", "__module__": __name__})
    register_objective("mine")(again)
    assert type(build_objective("mine")) is again
