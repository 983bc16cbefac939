"""What is decided from the scans of a list, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.slicing.model_settings import ModelSettings
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.planning.decided_budget import decide_batches, decide_shares
from monai_semgan.training.planning.decided_classes import describe_classes, propose_names
from monai_semgan.training.planning.decided_slices import decide_plane, decide_slices, power_of_two
from monai_semgan.training.planning.decision import Decision
from monai_semgan.training.planning.scan_look import ScanLook
from monai_semgan.training.planning.survey import Survey
from tests.training.planning.looks import liver, scan


def decided(scans: list[ScanLook], view: str = "body", plane: str = "axial", **chosen: float) -> dict[str, Decision]:
    return {one.name: one for one in decide_slices(scans, view, plane, **chosen)}  # type: ignore[arg-type]


def test_three_of_four_bodies_fit_into_the_slices() -> None:
    bodies = [scan(f"p{width}", body_mm=(width, 200.0, 400.0)) for width in (300.0, 320.0, 340.0, 360.0, 500.0)]
    found = decided(bodies)
    assert (found["size"].value, found["pixel_mm"].value) == (128, 2.85)
    assert "360 mm" in found["size"].reason and "1.50 mm" in found["size"].reason


def test_coarse_scans_get_small_slices() -> None:
    coarse = scan(shape=(64, 64, 30), spacing_mm=(4.0, 4.0, 8.0), body_mm=(240.0, 200.0, 240.0))
    found = decided([coarse])
    assert (found["size"].value, found["pixel_mm"].value) == (64, 3.75)


def test_of_size_and_pixel_the_other_one_follows_from_the_users_choice() -> None:
    coarse = scan(shape=(64, 64, 30), spacing_mm=(4.0, 4.0, 8.0), body_mm=(240.0, 200.0, 240.0))
    smaller, coarser = decided([coarse], size=32), decided([coarse], pixel_mm=7.5)
    assert smaller["pixel_mm"].value == 7.5 and "fit into 240 mm" in smaller["pixel_mm"].reason
    assert smaller["size"].value == 64, "what the data would have made it"
    assert coarser["size"].value == 32 and "your pixels have 7.5 mm" in coarser["size"].reason


def test_the_stored_plane_tells_which_extents_count() -> None:
    sagittal = ((0.0, 0.0, 6.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    knee = scan(
        shape=(160, 160, 25), spacing_mm=(1.0, 1.0, 6.0), affine=sagittal, slice_axis=1, body_mm=(120.0, 160.0, 150.0)
    )
    plane, _ = decide_plane([knee], "body")
    assert plane.value == "stored"
    assert decided([knee], plane=plane.value)["pixel_mm"].value == 1.25
    assert decided([scan()], plane="axial")["pixel_mm"].value == 2.7


@given(pixels=st.floats(1.0, 5000.0))
def test_sizes_are_powers_of_two_that_stages_can_do(pixels: float) -> None:
    size = power_of_two(pixels)
    assert size in (32, 64, 128) and (size == 128 or size * 1.25 >= pixels)


def test_soft_organs_keep_the_usual_window() -> None:
    window = decided([scan()])["window"]
    assert (window.value, window.usual) == ((-125.0, 275.0), True)


def test_lungs_and_bones_widen_the_window() -> None:
    lung = liver(grey=(-980.0, -950.0, -800.0, -300.0, -200.0))
    bone = liver(grey=(100.0, 150.0, 500.0, 1190.0, 1400.0))
    window = decided([scan(labels={1: lung, 2: bone})])["window"]
    assert window.value == (-950.0, 1200.0) and not window.usual
    assert "-800" in window.reason and "500 HU" in window.reason


def test_a_bright_structure_of_mr_widens_the_percentiles() -> None:
    bright = scan(modality="MR", histogram_range=(0.0, 100.0), labels={1: liver(grey=(99.0, 99.5, 99.9, 100.0, 100.0))})
    assert decided([bright, scan("bob", modality="MR", labels={})])["percentiles"].value == (0.1, 99.9)
    plain = scan(modality="MR", histogram_range=(0.0, 100.0), labels={1: liver(grey=(1.0, 2.0, 50.0, 70.0, 80.0))})
    assert decided([plain])["percentiles"].value == (0.5, 99.5)


def test_single_images_are_sized_by_their_pixels() -> None:
    image = scan(modality="DX", shape=(90, 60, 1), labels={})
    assert decided([image], "image")["size"].value == 128
    assert decided([scan(modality="DX", shape=(70, 60, 1), labels={})], "image")["size"].value == 64


def test_weights_to_begin_with_decide_how_slices_are_cut() -> None:
    kept = ModelSettings(Preprocessing(size=64, pixel_mm=5.0, window=(0.0, 100.0)))
    found = {one.name: one.value for one in decide_slices([scan()], "body", "axial", kept)}
    assert found == {"size": 64, "pixel_mm": 5.0, "window": (0.0, 100.0), "percentiles": (0.5, 99.5)}


def test_ids_without_names_become_classes_in_their_order() -> None:
    found = propose_names(Survey((scan(labels={600: liver(), 200: liver()}),), {}))
    assert found == {200: "label 200", 600: "label 600"}


def test_ids_that_a_naming_list_leaves_out_are_refused_by_scan_and_count() -> None:
    labels = {1: liver(), 7: liver(voxels=12), 9: liver(voxels=99)}
    with pytest.raises(SemganError, match=r"label of bob holds 99 voxels of the id 9.*nor 1 other.*--labels"):
        propose_names(Survey((scan(), scan("bob", labels=labels)), {1: "liver"}))


def test_grey_values_in_place_of_labels_are_refused() -> None:
    labels = {index: liver() for index in range(1, 60)}
    with pytest.raises(SemganError, match="59 ids, from 1 to 59"):
        propose_names(Survey((scan(labels=labels),), {}))


def test_classes_are_described_with_code_side_and_amount() -> None:
    scans = [scan(labels={3: liver(voxels=10, ml=150.0)}), scan("bob", labels={3: liver(voxels=20, ml=250.0)})]
    right, left = describe_classes({3: "right kidney", 5: "left kidney"}, (3, 5), scans)
    assert (right.index, right.file_id, right.other_side, right.scans, right.voxels, right.ml) == (
        1,
        3,
        2,
        2,
        30,
        200.0,
    )
    assert right.code == "64033007 Kidney, right" and left.scans == 0 and left.colour != right.colour


def test_large_slices_and_few_of_them_get_small_batches() -> None:
    stages = ("gan", "encoder", "student")
    assert decide_batches(128, 1000, stages).value == {"gan": 32, "encoder": 12, "student": 16}
    assert decide_batches(256, 1000, stages).value == {"gan": 8, "encoder": 4, "student": 4}
    assert decide_batches(128, 10, stages).value == {"gan": 10, "encoder": 10, "student": 10}


def test_a_stage_without_anything_to_learn_from_gets_no_share() -> None:
    assert set(decide_shares([scan()]).value) == {"gan", "encoder", "student"}
    unlabelled = decide_shares([scan(labelled=False, labels={})])
    assert unlabelled.value == {"encoder": 1.0} and not unlabelled.usual
    partly = decide_shares([scan()], whole=False)
    assert partly.value == {"student": 1.0} and "no label knows every class" in partly.reason
