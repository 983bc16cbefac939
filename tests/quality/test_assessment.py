from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.bundle.load import load_bundle
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.calibration import fit_weights, organ_priors
from monai_semgan.evaluation.calibration_samples import Sample
from monai_semgan.evaluation.corruptions import CORRUPTIONS
from monai_semgan.inference.segmentation import domain_model
from monai_semgan.quality.assessment import CANNOT_TELL, LEAST_MM, DomainModel, assess_domain
from monai_semgan.quality.features import FEATURES, OrganShape

MODEL = DomainModel({"preview": {"intercept": 3.0, "doubt": 10.0, "missing": 6.0}}, {}, (0.2, 0.4))
AFFINE = np.diag([3.0, 3.0, 20.0, 1.0])
LOW = np.diag([3.0, 3.0, 5.0, 1.0])
PARTS = DomainModel({**MODEL.weights, "preview part": {"intercept": 3.0, "doubt": 10.0}}, {}, (0.2, 0.4))


def blob(sureness: float) -> torch.Tensor:
    """Probabilities `(D, 2, H, W)` of a block."""
    inside = torch.zeros(6, 20, 20)
    inside[1:5, 4:16, 4:16] = 1
    organ = inside * sureness + (1 - inside) * (1 - sureness) / 10
    return torch.stack([1 - organ, organ], 1)


def test_the_less_sure_the_result_the_higher_the_score() -> None:
    found = [assess_domain(MODEL, blob(s), AFFINE, {1: "liver"}, "preview") for s in (0.99, 0.8, 0.55)]
    scores = [a.score for a in found if a is not None]
    assert scores == sorted(scores) and 0 <= scores[0] < 0.2 and found[0] is not None
    assert found[0].verdict == "in domain" and found[0].per_slice.shape == (6,)


def test_nothing_found_is_out_of_domain_and_says_what_to_do() -> None:
    found = assess_domain(MODEL, blob(0.1), AFFINE, {1: "liver"}, "preview")
    assert found is not None and found.verdict == "out of domain" and "orientation" in found.advice
    assert json.loads(json.dumps(found.to_dict()))["expected_dice"]["liver"] < 0.1


def test_a_kind_of_result_without_weights_is_not_assessed() -> None:
    assert assess_domain(MODEL, blob(0.9), AFFINE, {1: "liver"}, "invert") is None


def test_unknown_signs_in_a_bundle_are_named() -> None:
    with pytest.raises(SemganError, match="smell"):
        DomainModel({"preview": {"intercept": 1.0, "smell": 2.0}})


def test_the_fit_finds_the_sign_that_matters() -> None:
    rng = np.random.default_rng(0)
    samples = []
    for i in range(300):
        organ_features = dict(zip(FEATURES, rng.uniform(0, 1, len(FEATURES)), strict=True))
        samples.append(
            Sample(
                str(i),
                "clean",
                "preview",
                "liver",
                organ_features,
                float(1 / (1 + np.exp(6 * organ_features["doubt"] - 3))),
            )
        )
    weights = fit_weights(samples)
    assert weights["doubt"] > 3 and all(weights[name] < 0.7 for name in FEATURES if name != "doubt")
    assert min(weights[name] for name in FEATURES) >= 0


def test_priors_need_three_volumes() -> None:
    volume = {
        "liver": OrganShape(1500.0, np.array([70.0, 0.0, 0.0])),
        "spleen": OrganShape(200.0, np.array([-90.0, 0, 0])),
    }
    assert organ_priors([volume, volume]) == {}
    prior = organ_priors([volume, volume, volume])["liver"]
    assert prior.offset_mm[0] == pytest.approx(80) and prior.log_ml[0] == pytest.approx(np.log(1500))


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_spoiled_scans_stay_slices(name: str) -> None:
    image = torch.rand(4, 1, 32, 32) * 2 - 1
    label = torch.randint(0, 3, (4, 32, 32), dtype=torch.uint8)
    spoiled, moved = CORRUPTIONS[name](image, label, torch.Generator().manual_seed(0))
    assert spoiled.shape == image.shape and float(spoiled.abs().max()) <= 1
    assert moved.shape == label.shape and torch.equal(moved.unique(), label.unique())
    assert name == "clean" or not torch.equal(spoiled, image)


def test_the_place_of_an_organ_does_not_depend_on_which_organs_were_asked_for() -> None:
    label = torch.zeros(6, 30, 30, dtype=torch.long)
    label[1:5, 2:10, 5:20], label[1:5, 20:28, 5:12] = 1, 2
    p = torch.nn.functional.one_hot(label, 3).permute(0, 3, 1, 2).float()
    weights = {"preview": {"intercept": 3.0, "place": 1.0}}
    prior = {"log_ml": [3.0, 2.0], "offset_mm": [-27.0, 6.0, 0.0], "spread_mm": [5.0, 5.0, 5.0]}
    model = DomainModel(weights, {"liver": prior})
    organs = {1: "liver", 2: "spleen"}
    both = assess_domain(model, p, AFFINE, organs, "preview")
    one = assess_domain(model, p, AFFINE, organs, "preview", [1])
    assert both is not None and one is not None and set(one.organs) == {"liver"}
    assert one.organs["liver"] == both.organs["liver"]


@given(slices=st.integers(1, 60), distance=st.floats(0.5, 12))
@settings(max_examples=30, deadline=None)
def test_a_low_part_of_a_body_has_a_score_of_its_own_or_none_and_is_never_in_domain_unseen(
    slices: int, distance: float
) -> None:
    affine = np.diag([3.0, 3.0, distance, 1.0])
    p = blob(0.9)[2:3].repeat(slices, 1, 1, 1)
    found = assess_domain(MODEL, p, affine, {1: "liver"}, "preview")
    assert found is not None and found.per_slice.shape == (slices,)
    if slices * distance >= LEAST_MM:
        assert found.score is not None and found.verdict != CANNOT_TELL
    else:
        assert found.score is None and found.verdict == CANNOT_TELL and not found.organs
        assert f"{slices} slice" in found.advice and "Not checked" in found.advice
        assert json.loads(json.dumps(found.to_dict()))["score"] is None


def test_organs_that_a_part_does_not_show_do_not_count_there() -> None:
    organs = {1: "liver", 2: "spleen"}
    p = torch.cat([blob(0.99), torch.full((6, 1, 20, 20), 1e-4)], 1)
    part, whole = (assess_domain(PARTS, p, affine, organs, "preview") for affine in (LOW, AFFINE))
    assert part is not None and whole is not None and part.score is not None and whole.score is not None
    assert part.verdict == "in domain" and set(part.organs) == {"liver"} and "liver alone" in part.advice
    assert whole.verdict == "out of domain" and set(whole.organs) == {"liver", "spleen"}
    nothing = assess_domain(PARTS, blob(0.1), LOW, {1: "liver"}, "preview")
    assert nothing is not None and nothing.score is None and "no organ was found" in nothing.advice
    as_whole = assess_domain(PARTS, p, LOW, organs, "preview", as_whole=True)
    assert as_whole is not None and as_whole.score == whole.score


def test_an_unsure_part_is_not_in_domain() -> None:
    found = [assess_domain(PARTS, blob(s), LOW, {1: "liver"}, "preview") for s in (0.99, 0.7, 0.55)]
    scores = [f.score for f in found if f is not None and f.score is not None]
    assert len(scores) == 3 and scores == sorted(scores) and scores[0] < 0.2 < scores[-1]


def test_the_shipped_model_judges_parts_by_signs_that_parts_have() -> None:
    model = domain_model(load_bundle(device="cpu"))
    assert model is not None and set(model.weights["preview part"]) == {"intercept", "doubt", "pieces"}
