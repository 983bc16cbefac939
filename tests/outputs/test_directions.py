"""Pictures of a result say where their edges lie in the patient, in whatever plane its slices were cut."""

from __future__ import annotations

import re

import pytest

from monai_semgan.outputs.directions import axis_ends, plane_across
from monai_semgan.outputs.report.pictures import curve_svg
from monai_semgan.slicing.planning import plan_slices
from tests.phantoms import grid, patient

BY_SPACING = [
    ((4, 4, 12), "axial", [("R", "L"), ("P", "A"), ("F", "H")]),
    ((4, 12, 4), "coronal", [("R", "L"), ("F", "H"), ("P", "A")]),
    ((12, 4, 4), "sagittal", [("A", "P"), ("F", "H"), ("R", "L")]),
]


@pytest.mark.parametrize(("spacing", "name", "ends"), BY_SPACING, ids=["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("codes", ["LAS", "PIR"])
def test_every_edge_of_a_stack_has_its_letter(spacing: tuple, name: str, ends: list, codes: str) -> None:
    geometry = plan_slices(patient(*grid(spacing, codes=codes, degrees=(8.0, -6.0, 5.0))), plane="stored")
    assert axis_ends(geometry) == ends
    assert plane_across(geometry, 2) == name
    assert {plane_across(geometry, axis) for axis in range(3)} == {"axial", "coronal", "sagittal"}


def test_slices_halfway_between_the_planes_have_three_names_and_six_letters() -> None:
    affine, shape = grid((2, 2, 10), degrees=(40.0, -40.0, 0.0), field=(100, 100, 100))
    geometry = plan_slices(patient(affine, shape), plane="stored")
    assert sorted(letter for ends in axis_ends(geometry) for letter in ends) == list("AFHLPR")
    assert len({plane_across(geometry, axis) for axis in range(3)}) == 3


def test_a_curve_over_coronal_slices_runs_from_the_back_to_the_front() -> None:
    text = curve_svg([0.1, 0.2, 0.3], [0, 1, 2], 2, "doubt", ("back", "front"))
    assert re.findall(r">(\w+), slice \d<", text) == ["back", "front"]
