"""What a reader should know of a result comes with it, as data and in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.evaluation.calibration import organ_priors, priors_to_dict
from monai_semgan.inference.examination import covered_slices, examine
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.volume import Volume
from monai_semgan.outputs.description import describe
from monai_semgan.outputs.report.content import uncertainty_curve
from monai_semgan.outputs.report.pictures import curve_svg
from monai_semgan.quality.features import organ_shapes
from tests.inference.test_segmentation import BrightnessStudent
from tests.phantoms import grid, labels_at, patient, points_of

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    """Knows the phantom's organs by brightness, and where they lie; learnt from CT."""
    loaded = load_bundle(tiny_bundle, "cpu")
    object.__setattr__(loaded.preprocessing, "size", 64)
    object.__setattr__(loaded.preprocessing, "pixel_mm", 6.0)
    loaded.network.student = BrightnessStudent()
    affine, shape = grid((4.0, 4.0, 6.0), codes="RAS")
    stack = labels_at(points_of(affine, shape)).transpose(2, 0, 1)
    priors = priors_to_dict(organ_priors([organ_shapes(stack, affine, loaded.labels)] * 3))
    domain = {"weights": {"preview": {"intercept": 3.0, "place": 1.0}}, "priors": priors}
    return replace(loaded, settings={**loaded.settings, "domain": domain})


def facts(scan: Volume, bundle: Bundle, mirror: bool = False, **options: Any) -> dict[str, Any]:
    """What is told of a preview."""
    found, names = segment(scan, bundle, **options), dict(bundle.labels)
    return describe(found, scan, bundle, names, examine(found, scan, bundle, names, mirror=mirror))


def by_code(told: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Findings by their code."""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in told["findings"]:
        found.setdefault(finding["code"], []).append(finding)
    return found


@pytest.mark.parametrize("codes", ["LAS", "RAS", "PSR"])
def test_a_whole_scan_of_a_modality_that_was_learnt_has_no_findings(codes: str, bundle: Bundle) -> None:
    told = facts(patient(*grid((3.0, 3.0, 5.0), codes=codes)), bundle, mirror=True)
    assert told["findings"] == [] and told["domain"]["verdict"] == "in domain"


@pytest.mark.parametrize("codes", ["LAS", "RAS", "PSR"])
def test_a_mirrored_header_is_a_warning_about_the_whole_body(codes: str, bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0), codes=codes))
    found = by_code(facts(Volume(scan.array, MIRROR @ scan.affine), bundle, mirror=True))
    (mirrored,) = found["mirrored_header"]
    assert mirrored["level"] == "warning" and mirrored["labels"] == [] and "looks mirrored" in mirrored["text"]


@pytest.mark.parametrize("codes", ["LAS", "RAS", "PSR"])
def test_organs_on_the_wrong_sides_are_a_warning_about_both(codes: str, bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0), codes=codes))
    found = by_code(facts(Volume(scan.array, MIRROR @ scan.affine), bundle))
    (finding,) = (finding for finding in found["sides_swapped"] if finding["labels"] == [1, 4])
    assert finding["level"] == "warning" and "liver" in finding["text"] and "spleen" in finding["text"]


@pytest.mark.parametrize("codes", ["LAS", "RAS", "SPL"])
def test_a_scan_that_ends_in_the_liver_cuts_it_off_and_does_not_call_it_small(codes: str, bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0), codes=codes))
    axis = next(i for i, code in enumerate(codes) if code in "SI")
    levels = points_of(scan.affine, scan.array.shape)[..., 2]
    inside = labels_at(points_of(scan.affine, scan.array.shape)) == 1
    middle = float(np.median(levels[inside]))
    kept = np.flatnonzero(np.moveaxis(levels, axis, 0)[:, 0, 0] < middle)
    start = np.eye(4)
    start[axis, 3] = kept[0]
    part = Volume(np.take(scan.array, kept, axis=axis), scan.affine @ start)
    found = by_code(facts(part, bundle))
    assert 1 in [label for finding in found["cut_by_edge"] for label in finding["labels"]]
    assert not [f for f in found.get("implausible_volume", []) if f["labels"] == [1]]


def test_a_range_of_slices_that_ends_in_the_liver_cuts_it_off(bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0)))
    where = points_of(scan.affine, scan.array.shape)
    levels = where[..., 2][labels_at(where) == 1]
    low, high = float(np.median(levels)), float(levels.max()) + 30
    told = facts(scan, bundle, slice_range_mm=(low, high))
    found = by_code(told)
    (cut,) = (finding for finding in found["cut_by_edge"] if finding["labels"] == [1])
    assert "slices that were computed" in cut["text"]
    assert not [f for f in found.get("implausible_volume", []) if f["labels"] == [1]]


@pytest.mark.parametrize("codes", ["LAS", "PSR", "SAR"])
@pytest.mark.parametrize("tilt", [0.0, 8.0])
def test_a_whole_scan_is_covered_however_it_lies(codes: str, tilt: float, bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0), codes=codes, degrees=(tilt, 0.0, 0.0)))
    assert covered_slices(bundle.preprocessing(scan).geometry, scan) is None


def test_a_modality_that_was_not_learnt_is_told_with_the_reason_why_the_score_may_say_in_domain(
    bundle: Bundle,
) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0), codes="LPI"), "MR")
    told = facts(scan, replace(bundle, modalities=("CT",)), modality="MR")
    (finding,) = by_code(told)["modality_unlearnt"]
    assert finding["level"] == "warning" and "learnt from CT" in finding["text"] and finding["labels"] == []
    assert (told["domain"]["verdict"] == "in domain") == ("not at the modality" in finding["text"])
    if told["domain"]["verdict"] == "in domain":
        assert "looks like what the model knows" not in told["domain"]["advice"]
        assert "learnt from CT" in told["domain"]["advice"]
    note = next(note for note in told["notes"] if "has learnt from" in note)
    assert note == finding["text"]


def test_an_mr_that_is_called_ct_is_told_so_first_and_not_that_its_sides_are_wrong(bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0)), "MR")
    lying = Volume(scan.array, MIRROR @ scan.affine)
    for volume in (scan, lying):  # one of the two looks mirrored, which says nothing without HU
        told = facts(volume, bundle, mirror=True, modality="CT")
        first = told["findings"][0]
        assert (first["code"], first["level"]) == ("not_in_hu", "warning") and "Give its modality" in first["text"]
        assert "mirrored_header" not in by_code(told)
        assert told["notes"].count(first["text"]) == 1
        assert "not_in_hu" not in by_code(facts(volume, bundle, mirror=True, modality="MR"))


def test_an_in_domain_ct_read_as_mr_says_both_in_one_breath(bundle: Bundle) -> None:
    sure = {"weights": {"preview": {"intercept": 9.0}}, "priors": bundle.settings["domain"]["priors"]}
    settled = replace(bundle, modalities=("CT",), settings={**bundle.settings, "domain": sure})
    told = facts(patient(*grid((4.0, 4.0, 6.0)), "MR"), settled, modality="MR")
    assert told["domain"]["verdict"] == "in domain"
    (finding,) = by_code(told)["modality_unlearnt"]
    assert "in domain, but it looks at the organs" in finding["text"]
    assert "the scan looks like what the model knows" not in told["domain"]["advice"].lower()


def test_organs_that_are_expected_to_be_wrong_are_named_with_the_dice(bundle: Bundle) -> None:
    for intercept, level in ((0.6, "info"), (-1.0, "warning")):
        domain = {"weights": {"preview": {"intercept": intercept}}, "priors": bundle.settings["domain"]["priors"]}
        doubtful = replace(bundle, settings={**bundle.settings, "domain": domain})
        told = facts(patient(*grid((4.0, 4.0, 6.0))), doubtful)
        found = by_code(told)["low_expected_dice"]
        assert [finding["labels"] for finding in found] == [[1], [2], [3], [4]]
        assert {finding["level"] for finding in found} == {level}
        dice = told["domain"]["expected_dice"]["liver"]
        assert f"{dice:.2f}" in found[0]["text"] and "liver" in found[0]["text"]


def test_nothing_found_is_one_warning_and_one_missing_organ_an_info(bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0)))
    empty = Volume(np.full_like(scan.array, -1000.0), scan.affine)
    found = by_code(facts(empty, bundle))
    assert found["nothing_found"][0]["level"] == "warning" and "not_found" not in found
    one = scan.array.copy()
    one[labels_at(points_of(scan.affine, scan.array.shape)) == 4] = 40.0
    missing = by_code(facts(Volume(one, scan.affine), bundle)).get("not_found", [])
    assert [finding["labels"] for finding in missing] in ([[4]], [])


def test_warnings_come_first(bundle: Bundle) -> None:
    domain = {"weights": {"preview": {"intercept": 0.6}}, "priors": bundle.settings["domain"]["priors"]}
    doubtful = replace(bundle, settings={**bundle.settings, "domain": domain})
    scan = patient(*grid((4.0, 4.0, 6.0)))
    levels = [one["level"] for one in facts(Volume(scan.array, MIRROR @ scan.affine), doubtful)["findings"]]
    assert levels == sorted(levels, key=lambda level: level != "warning") and len(set(levels)) == 2


def test_doubt_is_null_where_nothing_was_found_in_description_and_report(bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0)))
    found = segment(scan, bundle)
    told = json.loads(json.dumps(describe(found, scan, bundle, dict(bundle.labels)), allow_nan=False))
    empty = ~(found.probabilities.argmax(1) > 0).flatten(1).any(1).numpy()
    assert empty.any() and not empty.all()
    assert [value is None for value in told["doubt_per_slice"]] == empty.tolist()
    curve = uncertainty_curve(found)
    assert curve is not None and [value is None for value in curve.values] == empty.tolist()
    assert found.domain is not None
    assert [value is None for value in found.domain.to_dict()["per_slice"]] == empty.tolist()
    drawn = curve_svg(curve.values, curve.slices, len(curve.values) - 1, "doubt")
    assert "nan" not in drawn and drawn.count("<polyline") >= 1


@pytest.mark.parametrize(
    ("values", "stretches"),
    [((None, None), 0), ((0.1, None, 0.2), 2), ((None, 0.1, 0.2, None, None, 0.3), 2), ((0.0, 0.0), 1)],
)
def test_a_curve_has_gaps_where_it_is_not_defined(values: tuple[float | None, ...], stretches: int) -> None:
    drawn = curve_svg(values, range(len(values)), len(values) - 1, "doubt")
    assert drawn.count("<polyline") == stretches and "None" not in drawn and "nan" not in drawn
