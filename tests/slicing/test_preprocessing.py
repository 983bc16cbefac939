"""Training and use cut and scale slices in the same way."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.io.volume import Volume
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.phantoms import MR_VALUES, grid, labels_at, organ_dice, patient, points_of

SMALL = Preprocessing(size=96, pixel_mm=3.75)


def test_a_ct_becomes_slices_between_minus_one_and_one() -> None:
    volume = patient(*grid(), seed=0)
    prepared = SMALL(volume)
    assert prepared.modality == "CT" and prepared.value_range == (-125.0, 275.0)
    assert prepared.image.shape == (prepared.geometry.num_slices, 1, 96, 96)
    assert prepared.image.dtype == torch.float32
    assert prepared.image.min() == -1 and prepared.image.max() <= 1
    assert prepared.notes == ()


def test_the_body_of_an_mr_spans_the_range() -> None:
    prepared = SMALL(patient(*grid(), "MR", seed=0))
    low, high = prepared.value_range
    assert prepared.modality == "MR"
    assert low < MR_VALUES["body"] and abs(high - MR_VALUES[2]) < 20
    assert (prepared.image[:, 0, :3] < -0.9).all(), "air is dark"


def test_a_stated_modality_wins_over_the_guess() -> None:
    volume = patient(*grid(), "MR", seed=0)
    assert SMALL(volume, "ct").value_range == (-125.0, 275.0)
    with pytest.raises(SemganError, match="unknown modality"):
        SMALL(volume, "sonogram")


def test_the_user_is_told_of_larger_pixels_interpolated_planes_and_a_guessed_position() -> None:
    tight = Preprocessing(size=64, pixel_mm=2.75)(patient(*grid()))
    assert "pixels of 4." in tight.notes[0]
    volume = patient(*grid(degrees=(40, 0, 0)))
    notes = SMALL(Volume(volume.array, volume.affine, notes=("Position is guessed.",))).notes
    assert notes[0] == "Position is guessed." and "oblique" in notes[-1]


def test_labels_survive_the_way_to_the_slices_and_back() -> None:
    affine, shape = grid((2, 2, 6), field=(330, 240, 120))
    volume, label = patient(affine, shape), labels_at(points_of(affine, shape))
    geometry = SMALL(volume).geometry
    slices = SMALL.label_slices(label, geometry)
    assert slices.dtype == torch.uint8 and slices.shape == (geometry.num_slices, 96, 96)
    back = geometry.restore_label(torch.nn.functional.one_hot(slices.long(), 5).permute(0, 3, 1, 2).float())
    assert organ_dice(back, label) > 0.95
    nearest = geometry.restore_label(
        torch.nn.functional.one_hot(geometry.extract(label, "nearest").long(), 5).permute(0, 3, 1, 2).float()
    )
    assert organ_dice(back, label) >= organ_dice(nearest, label) - 0.002


@pytest.mark.parametrize(
    ("codes", "degrees"), [("LAS", (0, 0, 0)), ("SPL", (0, 0, 0)), ("PIR", (4, -3, 6)), ("LAS", (40, 0, 0))], ids=str
)
def test_a_range_of_slices_is_the_same_slices_of_the_whole(codes: str, degrees: tuple[float, float, float]) -> None:
    volume = patient(*grid((4, 4, 8), codes=codes, degrees=degrees), seed=0)
    whole = SMALL(volume)
    heights = whole.geometry.slice_centres[:, 2]
    assert (np.diff(heights) > 0).all()
    part = whole.between(heights[5] - 0.1, heights[11] + 0.1)
    assert torch.equal(part.image, whole.image[5:12]) and part.value_range == whole.value_range
    np.testing.assert_allclose(part.geometry.slice_centres, whole.geometry.slice_centres[5:12], atol=1e-9)
    cut, same = (geometry.extract(volume.array) for geometry in (part.geometry, whole.geometry))
    np.testing.assert_allclose(cut, same[5:12], atol=0.02)  # HU; single precision of places
    assert "Only the 7 slices" in part.notes[-1]


@pytest.mark.parametrize("degrees", [(0, 0, 0), (4, -3, 6), (40, 0, 0)], ids=str)
def test_outside_the_range_there_is_nothing(
    degrees: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    affine, shape = grid((4, 4, 8), codes="LAS", degrees=degrees)
    whole = SMALL(patient(affine, shape))
    low, high = np.quantile(whole.geometry.slice_centres[:, 2], (0.4, 0.6))
    geometry = whole.between(low, high).geometry
    ones = torch.ones(geometry.num_slices, 96, 96)
    restored = geometry.restore(ones, fill=-7.0)
    assert set(np.unique(restored.round(3))) == {-7.0, 1.0}
    normal = np.cross(geometry.grid_affine[:3, 0], geometry.grid_affine[:3, 1])
    normal /= np.linalg.norm(normal) * np.sign(normal[2])
    places = (affine[:3, :3] @ np.argwhere(restored > 0).T).T + affine[:3, 3]
    distance = float(geometry.grid_affine[:3, 2] @ normal)
    ends = geometry.slice_centres[[0, -1]] @ normal
    assert ends[0] - distance <= (places @ normal).min() and (places @ normal).max() <= ends[1] + distance
    monkeypatch.setattr("monai_semgan.slicing.geometry.CHUNK_BYTES", 4 * shape[0] * shape[1] * 3)
    np.testing.assert_allclose(np.concatenate(list(geometry.restore_slabs(ones, -7.0)), 2), restored, atol=1e-5)
    label = geometry.restore_label(torch.stack([ones * 0.1, ones * 0.9], 1))
    np.testing.assert_array_equal(label == 1, restored > 0)


def test_a_range_without_slices_is_refused_and_the_whole_stays_as_it_is() -> None:
    whole = SMALL(patient(*grid()))
    with pytest.raises(SemganError, match="no slice lies between 5000 and 6000 mm; this scan reaches from"):
        whole.between(5000, 6000)
    assert whole.between(-1e6, 1e6) is whole


def test_ids_beyond_the_classes_become_background() -> None:
    assert SMALL.classes(np.array([0, 1, 4, 5, 13, 255])).tolist() == [0, 1, 4, 0, 0, 0]


def test_ids_of_a_label_file_can_be_mapped() -> None:
    chosen = Preprocessing(num_classes=3, label_ids=(8, 2))
    assert chosen.class_ids == (8, 2) and Preprocessing(num_classes=3).class_ids == (1, 2)
    assert chosen.classes(np.array([[0, 1, 2], [8, 9, 13]])).tolist() == [[0, 0, 2], [1, 0, 0]]


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(SemganError, match="1 label ids for 2 classes"):
        Preprocessing(num_classes=3, label_ids=(8,))
    with pytest.raises(SemganError, match="classes"):
        Preprocessing(num_classes=1)
    for wrong in ({"size": 0}, {"pixel_mm": 0.0}, {"window": (5.0, 5.0)}, {"percentiles": (50.0, 120.0)}):
        with pytest.raises(SemganError, match=next(iter(wrong)).replace("_", " ")):
            Preprocessing(**wrong)  # type: ignore[arg-type]


def test_settings_survive_json() -> None:
    settings = Preprocessing(size=64, window=(-100.0, 200.0), num_classes=3, label_ids=(8, 2))
    assert Preprocessing(**json.loads(json.dumps(settings.to_dict()))) == settings
