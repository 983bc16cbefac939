"""Weights for parts of a body are fitted to stacks cut out of whole scans, without further inference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.calibration import fit_kinds
from monai_semgan.evaluation.calibration_samples import PART_PLACES, Sample, collect, part_places
from monai_semgan.inference.slice_modes import preview, preview_settings
from monai_semgan.io.reading import read_volume
from monai_semgan.quality.assessment import LEAST_MM, PART_SIGNS
from monai_semgan.quality.features import FEATURES, quality_features
from tests.inference.test_segmentation import BrightnessStudent
from tests.phantoms import save_datalist, save_patient


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    loaded = load_bundle(tiny_bundle, "cpu")
    object.__setattr__(loaded.preprocessing, "size", 64)
    object.__setattr__(loaded.preprocessing, "pixel_mm", 6.0)
    loaded.settings["preview"] = {"smoothing_mm": 6.0}
    loaded.network.student = BrightnessStudent()
    return loaded


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    saved = [save_patient(tmp_path, "anna", spacing=(6.0, 6.0, 6.0))]
    return list(load_datalist(save_datalist(tmp_path, training=saved)).training)


def sample(kind: str, features: dict[str, float], dice: float) -> Sample:
    return Sample("p", "clean", "preview", "liver", dict.fromkeys(FEATURES, 0.0) | features, dice, "p", kind == "part")


@given(st.integers(1, 300), st.floats(0.5, 60), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_parts_lie_in_the_scan_are_lower_than_whole_ones_and_are_the_same_again(
    slices: int, distance: float, seed: int
) -> None:
    affine = np.diag([3.0, 3.0, distance, 1.0])
    first, again = (list(part_places(slices, affine, np.random.default_rng(seed))) for _ in range(2))
    assert first == again and len({(where.start, where.stop) for where in first}) == len(first)
    counts = [where.stop - where.start for where in first]
    assert all(where.start >= 0 and where.stop <= slices for where in first)
    assert all(count * distance < LEAST_MM and count < slices for count in counts)
    assert all(counts.count(count) <= PART_PLACES for count in counts)
    assert bool(first) == (slices > 1 and distance < LEAST_MM)


def test_parts_take_no_further_inference_and_are_judged_as_a_scan_of_these_slices_alone(
    bundle: Bundle, entries: list[Entry]
) -> None:
    seen = []
    bundle.network.student.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    samples = list(collect(bundle, entries, {}, ["clean"]))
    volume = read_volume(entries[0].image)
    prepared = bundle.preprocessing(volume)
    assert sum(seen) == len(prepared.image)
    parts, whole = ([s for s in samples if bool(s.height_mm) == wanted] for wanted in (True, False))
    assert len(whole) == 4 and {s.kind for s in parts} == {"preview part"} and {s.kind for s in whole} == {"preview"}
    affine = prepared.geometry.grid_affine
    for some in (*whole, *parts[::5]):
        count = round(some.height_mm / float(np.linalg.norm(affine[:3, 2]))) or len(prepared.image)
        first = some.first_slice
        geometry, image = prepared.geometry.part(first, count), prepared.image[first : first + count]
        alone = preview(bundle, replace(prepared, image=image, geometry=geometry), preview_settings(bundle))
        expected = quality_features(alone, geometry.grid_affine, bundle.labels, {})
        assert some.organ_features == pytest.approx(expected[some.organ], abs=1e-5)


def test_parts_are_weighed_by_their_own_signs_and_whole_scans_by_theirs() -> None:
    rng = np.random.default_rng(0)
    doubt = rng.uniform(0, 1, 200)
    parts = [sample("part", {"doubt": d, "missing": 1.0, "place": 4.0}, float(1 - d)) for d in doubt]
    whole = [sample("whole", {"place": 4 * d}, float(1 - d)) for d in doubt]
    weights = fit_kinds([*parts, *whole])
    assert list(weights) == ["preview", "preview part"] and set(weights["preview part"]) == {"intercept", *PART_SIGNS}
    assert weights["preview part"]["doubt"] > 3 and weights["preview"]["place"] > 0.7
    assert weights["preview"] == fit_kinds(whole)["preview"], "parts change nothing of whole scans"
    assert set(fit_kinds(whole)) == {"preview"}


def test_nothing_to_learn_from_is_told() -> None:
    with pytest.raises(SemganError, match="no organ to learn from"):
        fit_kinds([])


def test_organs_that_were_not_found_in_a_part_teach_nothing(bundle: Bundle, entries: list[Entry]) -> None:
    class Blind(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.cat([torch.ones_like(image)] + [torch.zeros_like(image)] * 4, 1)

    bundle.network.student = Blind()
    samples = list(collect(bundle, entries, {}, ["clean"]))
    assert len(samples) == 4 and not any(s.height_mm for s in samples)
