"""A header that swaps right and left is noticed, whatever the labels look like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.evaluation.calibration import organ_priors, priors_to_dict
from monai_semgan.inference.examination import examine
from monai_semgan.inference.mirror import MirrorScores, mirror_check, mirror_scores, why_not
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.volume import Volume
from monai_semgan.outputs.description import describe
from monai_semgan.quality.features import organ_shapes
from tests.inference.test_segmentation import BrightnessStudent
from tests.phantoms import grid, labels_at, patient, points_of

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    """Knows the phantom's organs by brightness, and where they lie."""
    loaded = load_bundle(tiny_bundle, "cpu")
    object.__setattr__(loaded.preprocessing, "size", 64)
    object.__setattr__(loaded.preprocessing, "pixel_mm", 6.0)
    loaded.network.student = BrightnessStudent()
    affine, shape = grid((4.0, 4.0, 6.0), codes="RAS")
    stack = labels_at(points_of(affine, shape)).transpose(2, 0, 1)
    priors = priors_to_dict(organ_priors([organ_shapes(stack, affine, loaded.labels)] * 3))
    domain = {"weights": {"preview": {"intercept": 3.0, "place": 1.0}}, "priors": priors}
    return replace(loaded, settings={**loaded.settings, "domain": domain})


@pytest.mark.parametrize("codes", ["LAS", "RPI", "SAL", "PSR"])
def test_right_and_left_in_the_header_are_checked_whatever_the_storage(codes: str, bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0), codes=codes))
    lying = Volume(scan.array, MIRROR @ scan.affine)
    right, wrong = (mirror_scores(bundle, bundle.preprocessing(volume)) for volume in (scan, lying))
    assert right is not None and not right.suspicious and right.stored < right.mirrored
    assert wrong is not None and wrong.suspicious


def test_the_anatomy_check_says_it_first(bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0)))
    lying = Volume(scan.array, MIRROR @ scan.affine)
    first = examine(segment(lying, bundle), lying, bundle, bundle.labels).checks[0]
    assert not first.ok and "looks mirrored" in first.finding


def test_a_model_without_one_sided_organs_or_without_calibration_says_nothing(bundle: Bundle) -> None:
    prepared = bundle.preprocessing(patient(*grid((4.0, 4.0, 6.0))))
    without = {name: value for name, value in bundle.settings.items() if name != "domain"}
    assert mirror_scores(replace(bundle, settings=without), prepared) is None
    kidneys = {2: "right kidney", 3: "left kidney"}
    assert mirror_scores(replace(bundle, labels=kidneys), prepared) is None


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_few_slices_tell_neither_domain_nor_sides_and_say_so(count: int, bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0)))
    low = Volume(scan.array[:, :, 15 : 15 + count], scan.affine)
    found = segment(low, bundle)
    assert found.domain is not None and found.domain.score is None
    assert any(note.startswith("Out-of-domain score: cannot tell. Not checked: ") for note in found.notes)
    sides = examine(found, low, bundle, bundle.labels).checks[0]
    assert sides.name == "sides of the body" and sides.ok is None and f"{count} slice" in sides.finding
    names = dict(bundle.labels)
    facts = describe(found, low, bundle, names)
    assert facts["domain"] is None and len(facts["doubt_per_slice"]) == count


def test_every_reason_not_to_check_sides_is_told(bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0)))
    without = replace(bundle, settings={name: v for name, v in bundle.settings.items() if name != "domain"})
    first = examine(segment(scan, without), scan, without, bundle.labels).checks[0]
    assert first.verdict == "not checked" and "no calibration" in first.finding
    kidneys = replace(bundle, labels={2: "right kidney", 3: "left kidney"})
    assert "one side only" in why_not(kidneys, bundle.preprocessing(scan))


def test_a_guessed_mr_may_be_a_ct_that_is_not_in_hu(bundle: Bundle) -> None:
    scan = patient(*grid((4.0, 4.0, 6.0)), seed=1)
    eight_bits = Volume(((np.clip(scan.array, -125, 275) + 125) / 400 * 255).round(), scan.affine)
    foreign = replace(bundle, modalities=("CT",))
    assert any("MR (or a CT that is not in HU)" in note for note in segment(eight_bits, foreign).notes)
    assert not any("not in HU" in note for note in segment(eight_bits, foreign, modality="MR").notes)


def test_a_slight_difference_is_not_told() -> None:
    assert mirror_check(MirrorScores(0.30, 0.295)).ok
    assert not mirror_check(MirrorScores(0.30, 0.20)).ok
