from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.outputs.report.diameters import largest_diameters
from monai_semgan.quality.anatomy import KINDS, check_anatomy
from tests.phantoms import CENTRE, STRUCTURES, grid, labels_at, points_of

ORGANS = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
CODES = st.sampled_from(["LAS", "RAS", "PSR", "ILP", "SRA", "AIL"])


def phantom(codes: str = "LAS", degrees: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    affine, shape = grid((5.0, 5.0, 7.0), codes=codes, degrees=(0.0, degrees, 0.0))
    return labels_at(points_of(affine, shape)), affine


def suspicious(label: np.ndarray, affine: np.ndarray) -> list[str]:
    return [check.name for check in check_anatomy(label, affine, ORGANS).suspicious]


@given(CODES, st.floats(-12, 12))
@settings(max_examples=12, deadline=None)
def test_a_body_is_fine_however_it_is_stored(codes: str, degrees: float) -> None:
    label, affine = phantom(codes, degrees)
    assert suspicious(label, affine) == []


@given(CODES)
@settings(max_examples=6, deadline=None)
def test_a_mirrored_header_is_noticed_however_it_is_stored(codes: str) -> None:
    label, affine = phantom(codes)
    names = suspicious(label, np.diag([-1.0, 1.0, 1.0, 1.0]) @ affine)
    assert "liver right of spleen" in names and "right kidney right of left kidney" in names
    assert not [name for name in names if "above" in name]


def test_a_body_upside_down_is_noticed() -> None:
    label, affine = phantom()
    assert "liver above right kidney" in suspicious(label, np.diag([1.0, 1.0, -1.0, 1.0]) @ affine)


def test_pieces_sizes_and_cut_organs_are_noticed() -> None:
    label, affine = phantom()
    label[np.unravel_index(np.flatnonzero(label == 4)[:1], label.shape)] = 4
    torn = label.copy()
    middle = np.argwhere(torn == 1).mean(0).round().astype(int)
    torn[:, :, middle[2] - 1 : middle[2] + 1][torn[:, :, middle[2] - 1 : middle[2] + 1] == 1] = 0
    assert "liver in one piece" in suspicious(torn, affine)
    assert "liver volume" in suspicious(label, affine @ np.diag([3.0, 3.0, 3.0, 1.0]))
    cut = label[:, :, middle[2] :]
    assert "liver complete" in suspicious(cut, affine)


def test_unknown_organs_are_not_judged() -> None:
    label, affine = phantom()
    names = [check.name for check in check_anatomy(label, affine, {1: "tumour"}).checks]
    assert names == ["tumour in one piece"]


@given(CODES, st.floats(-12, 12))
@settings(max_examples=8, deadline=None)
def test_diameters_are_those_of_the_body_not_of_the_grid(codes: str, degrees: float) -> None:
    label, affine = phantom(codes, degrees)
    axial, largest = largest_diameters(label == 1, affine)  # half axes 55, 60, 45 mm
    assert largest == pytest.approx(120, abs=10) and axial == pytest.approx(120, abs=10) and axial <= largest + 1e-6


def test_thin_and_empty_masks_have_diameters() -> None:
    mask = np.zeros((5, 5, 5), bool)
    assert largest_diameters(mask, np.eye(4)) == (0.0, 0.0)
    mask[1, 1:4, 2] = True
    assert largest_diameters(mask, np.diag([1.0, 2.0, 3.0, 1.0])) == (4.0, 4.0)
    mask[:] = False
    mask[2, 2, :] = True
    assert largest_diameters(mask, np.eye(4)) == (0.0, 4.0)


def verdicts(label: np.ndarray, affine: np.ndarray) -> dict[str, str]:
    return {check.name: check.verdict for check in check_anatomy(label, affine, ORGANS).checks}


@given(CODES, st.integers(0, 20), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_a_few_slices_are_not_called_upside_down_small_or_mirrored(codes: str, first: int, count: int) -> None:
    affine, shape = grid((5.0, 5.0, 7.0), codes=codes)
    label = labels_at(points_of(affine, shape))
    axis = next(i for i, code in enumerate(codes) if code in "SI")
    part = np.take(label, range(first, first + count), axis=axis)
    start = np.eye(4)
    start[axis, 3] = first
    found = verdicts(part, affine @ start)
    assert not [n for n, v in found.items() if v == "suspicious" and not n.endswith("complete")]
    for index, name in ORGANS.items():
        if (part == index).any():
            assert found[f"{name} volume"] in ("ok", "not checked")
        else:
            assert found[f"{name} found"] == "not checked"
    if (part == 1).any() and (part == 2).any():
        assert found["liver above right kidney"] == "not checked"


def test_what_could_not_be_checked_says_why() -> None:
    label, affine = phantom()
    label[label == 4] = 0
    single = label[:, :, [14]]
    findings = {check.name: check.finding for check in check_anatomy(single, affine, ORGANS).checks if check.ok is None}
    assert findings["spleen found"] == "Spleen found: not checked, no spleen was found."
    assert "1 slice only" in findings["liver complete"] and "cuts it off" in findings["liver volume"]
    assert "cuts them off" in findings["liver above right kidney"]


def test_a_whole_scan_is_checked_as_before() -> None:
    assert set(verdicts(*phantom()).values()) == {"ok"}


def kinds(label: np.ndarray, affine: np.ndarray, covered: tuple[int, int] | None = None) -> dict[str, set[str]]:
    """Structures by kind of what was found."""
    found: dict[str, set[str]] = {}
    for check in check_anatomy(label, affine, ORGANS, covered).suspicious:
        found.setdefault(check.kind, set()).update(check.structures)
    return found


@given(CODES, st.sampled_from([0, 1, 2]), st.booleans())
@settings(max_examples=20, deadline=None)
def test_an_organ_at_any_edge_of_the_scan_is_cut_off(codes: str, axis: int, end: bool) -> None:
    affine, shape = grid((5.0, 5.0, 7.0), codes=codes)
    label = labels_at(points_of(affine, shape))
    middle = int(np.argwhere(label == 1).mean(0)[axis].round())
    part = np.take(label, range(middle, shape[axis]) if end else range(middle), axis=axis)
    start = np.eye(4)
    start[axis, 3] = middle if end else 0
    found = kinds(part, affine @ start)
    assert "liver" in found["cut_by_edge"] and "liver" not in found.get("implausible_volume", set())


def test_a_label_that_touches_the_edge_of_its_slices_says_so_in_its_own_words() -> None:
    label, affine = phantom("RAS")
    rows = np.argwhere(label == 1)[:, 0]
    half = label[: int(rows.mean())]
    texts = [check.finding for check in check_anatomy(half, affine, ORGANS).suspicious if check.kind == "cut_by_edge"]
    assert "The liver reaches the edge of the slices: cut off." in texts


@given(st.integers(2, 10))
@settings(max_examples=8, deadline=None)
def test_a_range_of_slices_cuts_organs_as_the_end_of_a_scan_does(count: int) -> None:
    label, affine = phantom("LAS")
    first = int(np.argwhere(label == 1).mean(0)[2])
    kept = np.zeros_like(label)
    kept[:, :, first : first + count] = label[:, :, first : first + count]
    found = kinds(kept, affine, (first, first + count))
    assert "liver" in found["cut_by_edge"] and "liver" not in found.get("implausible_volume", set())
    assert "head_and_feet_swapped" not in found
    texts = [check.finding for check in check_anatomy(kept, affine, ORGANS, (first, first + count)).suspicious]
    assert any("the slices that were computed" in text for text in texts)


def test_each_check_names_its_kind_and_the_organs_it_is_about() -> None:
    label, affine = phantom()
    mirrored = kinds(label, np.diag([-1.0, 1.0, 1.0, 1.0]) @ affine)
    assert mirrored["sides_swapped"] == set(ORGANS.values())
    assert kinds(label, np.diag([1.0, 1.0, -1.0, 1.0]) @ affine)["head_and_feet_swapped"] == set(ORGANS.values())
    assert kinds(label, affine @ np.diag([3.0, 3.0, 3.0, 1.0]))["implausible_volume"] >= {"liver"}
    assert all(check.kind in KINDS for check in check_anatomy(label, affine, ORGANS).checks)


def test_vessels_that_a_scan_shows_a_part_of_are_neither_cut_nor_small_nor_torn() -> None:
    label, affine = phantom()
    names = {5: "aorta", 6: "inferior vena cava", 7: "oesophagus", 8: "portal vein and splenic vein", 9: "stomach"}
    for index in names:
        label[10 * index - 40 : 10 * index - 38, 40, :] = index
    label[:, 40, 5:7] = 0
    label[40:42, 40, [0, -1]] = 0  # the portal vein ends within the body
    found = check_anatomy(label, affine, names)
    told = {check.kind for check in found.suspicious if check.structures[0] != "stomach"}
    assert told <= {"sides_swapped", "head_and_feet_swapped", "in_pieces"}
    assert [c.name for c in found.suspicious if c.kind == "in_pieces"] == [
        "inferior vena cava in one piece",
        "stomach in one piece",
    ]
    assert [c.name for c in found.suspicious if c.kind == "cut_by_edge"] == ["stomach complete"]


@given(CODES)
@settings(max_examples=4, deadline=None)
def test_glands_vessels_and_stomach_are_where_they_belong_however_the_scan_is_stored(codes: str) -> None:
    affine, shape = grid((5.0, 5.0, 7.0), codes=codes)
    points = points_of(affine, shape)
    label = labels_at(points)
    places = {
        "gallbladder": (40.0, 0.0), "stomach": (-40.0, 20.0), "aorta": (-10.0, 0.0), "inferior vena cava": (20.0, 0.0),
        "right adrenal gland": (30.0, 60.0), "left adrenal gland": (-30.0, 60.0),
    }  # fmt: skip
    ids = {name: index for index, name in STRUCTURES.items()}
    for name, (x, z) in places.items():
        inside = np.abs(points - CENTRE - (x, -90.0, z)).max(-1) < 8.0
        label[inside] = ids[name]

    def wrong(*signs: float) -> set[str]:
        found = check_anatomy(label, np.diag([*signs, 1.0]) @ affine, STRUCTURES).suspicious
        return {check.name for check in found if check.kind in ("sides_swapped", "head_and_feet_swapped")}

    fine, mirrored, turned = wrong(1.0, 1.0, 1.0), wrong(-1.0, 1.0, 1.0), wrong(1.0, 1.0, -1.0)
    assert not fine
    assert mirrored >= {
        "inferior vena cava right of aorta", "liver right of stomach", "gallbladder right of spleen",
        "right adrenal gland right of left adrenal gland",
    }  # fmt: skip
    assert turned >= {"right adrenal gland above right kidney", "left adrenal gland above left kidney"}
