"""The pipeline from volume to labels, with a student that recognises the phantom's organs by their brightness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.errors import SemganError
from monai_semgan.inference import views as views_module
from monai_semgan.inference.segmentation import parse_labels, segment
from monai_semgan.inference.slice_modes import preview
from monai_semgan.inference.views import PreviewSettings, mean_of_views, smooth_across, views_of
from monai_semgan.slicing.postprocessing import clean_label, largest_piece
from monai_semgan.utils.device import halving_batches
from tests.phantoms import CT_VALUES, grid, labels_at, organ_dice, patient, points_of

HU = [CT_VALUES["body"], CT_VALUES[1], CT_VALUES[2], CT_VALUES[4]]


class BrightnessStudent(torch.nn.Module):
    """Calls a pixel the tissue whose HU are nearest; right and left kidney, equally bright, by the side."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hu = (image + 1) * 200 - 125
        near = torch.cat([-((hu - value) ** 2) / 50 for value in HU], 1)
        row = torch.arange(image.shape[2]).view(1, 1, -1, 1).expand_as(hu)
        right = (row < image.shape[2] / 2).float()
        kidney = near[:, 2:3]
        air = (hu < -60).float() * 1e4
        return torch.cat(
            [near[:, :1] + air, near[:, 1:2], kidney - 1e4 * (1 - right), kidney - 1e4 * right, near[:, 3:]], 1
        )


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    """Slices of 64 pixels of 6 mm, and the student that knows brightness."""
    loaded = load_bundle(tiny_bundle, "cpu")
    object.__setattr__(loaded.preprocessing, "size", 64)
    object.__setattr__(loaded.preprocessing, "pixel_mm", 6.0)
    loaded.network.student = BrightnessStudent()
    return loaded


@pytest.mark.parametrize(
    ("codes", "degrees"),
    [("LAS", (0, 0, 0)), ("RPI", (0, 0, 0)), ("SAL", (0, 0, 0)), ("PSR", (3, 6, -9)), ("ASL", (0, 0, 40))],
)
def test_organs_are_found_where_they_are_whatever_the_storage(
    codes: str, degrees: tuple[float, float, float], bundle: Bundle
) -> None:
    affine, shape = grid((4.0, 4.0, 6.0), codes=codes, degrees=degrees)
    volume = patient(affine, shape)
    found = segment(volume, bundle)
    true = labels_at(points_of(affine, shape))
    assert found.label.dtype == np.uint8 and found.label.shape == shape
    assert organ_dice(found.label, true) > 0.8
    for index, name in bundle.labels.items():
        assert found.volumes_ml[name] == pytest.approx((found.label == index).sum() * volume.voxel_ml)


def test_a_single_slice_is_a_volume_too(bundle: Bundle) -> None:
    affine, shape = grid((4.0, 4.0, 6.0))
    affine = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, shape[2] // 2], [0, 0, 0, 1.0]])
    volume = patient(affine, (*shape[:2], 1))
    assert segment(volume, bundle).label.shape == (*shape[:2], 1)


def test_only_the_labels_asked_for_come_out(bundle: Bundle) -> None:
    found = segment(patient(*grid()), bundle, labels=[1, 4])
    assert set(np.unique(found.label)) == {0, 1, 4}
    assert set(found.volumes_ml) == {"liver", "spleen"}


def test_unknown_mode_and_settings_are_refused(bundle: Bundle) -> None:
    with pytest.raises(SemganError, match="unknown mode"):
        segment(patient(*grid()), bundle, "magic")
    with pytest.raises(SemganError, match="unknown label 'heart'; this model knows liver"):
        parse_labels(["heart"], bundle.labels)


def test_label_names_are_read_generously() -> None:
    labels = {1: "liver", 2: "right kidney"}
    assert parse_labels(["Right_Kidney", " liver "], labels) == [1, 2]
    assert parse_labels(["2", "2"], labels) == [2]


def test_shifts_are_undone(bundle: Bundle) -> None:
    image = bundle.preprocessing(patient(*grid())).image
    first, further = views_of(2, negative=False)
    plain, shifted = (mean_of_views(bundle.network.preview, image, views) for views in (first, [*first, *further]))
    agreement = (plain.argmax(1) == shifted.argmax(1)).float().mean()
    assert agreement > 0.98


def test_the_negative_counts_as_much_as_the_slice_and_leaves_air_alone(bundle: Bundle) -> None:
    image = bundle.preprocessing(patient(*grid())).image
    negative = torch.where(image > -0.97, -image, image)
    assert (negative == -1).any() and not torch.equal(negative, image)
    alone, both = (views_of(0, negative)[0] for negative in (False, True))
    expected = sum(mean_of_views(bundle.network.preview, slices, alone) for slices in (image, negative)) / 2
    torch.testing.assert_close(mean_of_views(bundle.network.preview, image, both), expected)


@pytest.mark.parametrize("modality,differs", [("CT", False), ("MR", True)])
def test_the_negative_is_looked_at_out_of_domain_only(bundle: Bundle, modality: str, differs: bool) -> None:
    prepared = bundle.preprocessing(patient(*grid(), modality))
    assert bundle.modalities == ("CT",)
    plain, both = (preview(bundle, prepared, PreviewSettings(negative=value)) for value in (False, True))
    assert torch.equal(plain, both) != differs


def test_smoothing_across_slices_keeps_probabilities() -> None:
    probabilities = torch.softmax(torch.randn(9, 5, 8, 8, generator=torch.Generator().manual_seed(0)), 1)
    smoothed = smooth_across(probabilities.clone(), 5.0, 2.5)
    assert torch.allclose(smoothed.sum(1), torch.ones(9, 8, 8), atol=1e-5)
    assert smoothed.std(0).mean() < 0.6 * probabilities.std(0).mean()
    assert smooth_across(probabilities, 0.0, 2.5) is probabilities
    assert smooth_across(probabilities[:1], 5.0, 2.5).shape == (1, 5, 8, 8)


def test_preview_does_not_depend_on_the_batch(bundle: Bundle) -> None:
    prepared = bundle.preprocessing(patient(*grid()))
    one, many = (preview(bundle, prepared, PreviewSettings(batch_size=n)) for n in (1, 50))
    assert torch.allclose(one, many, atol=1e-5)


def test_preview_halves_the_batch_when_the_gpu_is_full(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = bundle.preprocessing(patient(*grid()))
    expected = preview(bundle, prepared)
    original = type(bundle.network).preview

    def small_gpu(self, image):  # type: ignore[no-untyped-def]
        if len(image) > 3:
            raise torch.cuda.OutOfMemoryError
        return original(self, image)

    monkeypatch.setattr(type(bundle.network), "preview", small_gpu)
    monkeypatch.setattr(views_module, "batches", lambda run, total, size, place: halving_batches(run, total, size))
    assert torch.allclose(preview(bundle, prepared), expected, atol=1e-5)


def test_clean_up_keeps_the_largest_piece_and_fills_its_holes() -> None:
    label = np.zeros((20, 20, 20), np.uint8)
    label[2:10, 2:10, 2:10] = 1
    label[5, 5, 5] = 0  # hole
    label[7, 7, 7] = 2  # speck of another organ in it
    label[15:18, 15:18, 15:18] = 1  # second piece
    cleaned = clean_label(label, voxel_ml=0.1, min_ml=1.0)
    assert cleaned[5, 5, 5] == 1 and not cleaned[15:].any()
    assert 2 not in cleaned, "an organ of 0.1 ml is a speck"
    assert label[16, 16, 16] == 1, "the input stays as it was"
    assert 2 in clean_label(label, voxel_ml=0.1, min_ml=0.0)
    assert clean_label(label, voxel_ml=0.1, organs=[2])[16, 16, 16] == 1


def test_clean_up_of_nothing_gives_nothing() -> None:
    assert not clean_label(np.zeros((3, 4, 5), np.uint8), 1.0).any()
    assert not largest_piece(np.zeros((3, 4, 5), bool)).any()


@pytest.mark.parametrize("mode", ["invert", "refine"])
def test_partial_results_are_whole_segmentations_of_what_was_found_until_then(mode: str, tiny_bundle: Path) -> None:
    affine, shape = grid((8.0, 8.0, 20.0))
    volume = patient(affine, shape)
    loaded = load_bundle(tiny_bundle, "cpu")
    seen = []
    final = segment(volume, loaded, mode, steps=3, on_step=lambda event: seen.append(event.partial()))
    seen = [part for part in seen if part is not None]
    assert len(seen) >= (4 if mode == "invert" else 5)
    if mode == "refine":
        assert np.array_equal(seen[0].label, segment(volume, loaded, "preview").label)
        assert seen[0].inversion is None
    for part in seen:
        assert part.label.shape == shape and set(part.volumes_ml) == set(final.volumes_ml)
        assert not part.cancelled and not any("Stopped" in note for note in part.notes)
    reached = seen[-1].inversion.curve.nan_to_num(posinf=1e9, nan=1e9).amin(0)
    assert (final.inversion.curve.nan_to_num(nan=1e9).amin(0) <= reached).all()
