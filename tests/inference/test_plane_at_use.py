"""A model cuts new scans as those that it was trained on; a user may ask for something else, and is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_semgan.bundle.load import Bundle
from monai_semgan.errors import SemganError
from monai_semgan.inference.examination import covered_slices
from monai_semgan.inference.mirror import why_not
from monai_semgan.inference.segmentation import segment
from tests.inference.test_segmentation import bundle  # noqa: F401 - the fixture
from tests.phantoms import grid, labels_at, organ_dice, patient, points_of, rotation

OBLIQUE = {"spacing": (4.0, 4.0, 12.0), "degrees": (40.0, -40.0, 0.0), "field": (330.0, 300.0, 300.0)}


def trained_on_stored(model: Bundle) -> Bundle:
    return replace(model, preprocessing=replace(model.preprocessing, plane="stored"))


def test_a_model_of_stored_slices_cuts_oblique_ones_as_they_are(bundle: Bundle) -> None:  # noqa: F811
    affine, shape = grid(**OBLIQUE)
    found = segment(patient(affine, shape), trained_on_stored(bundle))
    assert found.prepared.geometry.num_slices == shape[2]
    assert found.label.shape == shape
    known = np.isin(labels_at(points_of(affine, shape)), (1, 4))  # the phantom's kidneys are told apart by axial rows
    assert np.mean((np.isin(found.label, (1, 4))) == known) > 0.97


def test_a_straight_and_an_oblique_copy_of_the_same_voxels_give_equal_labels(bundle: Bundle) -> None:  # noqa: F811
    affine, shape = grid((4.0, 4.0, 12.0))
    volume = patient(affine, shape)
    turned = affine.copy()
    turned[:3] = rotation((28.0, 10.0, 5.0)) @ affine[:3]
    straight, oblique = (
        segment(replace(volume, affine=one), trained_on_stored(bundle)).label for one in (affine, turned)
    )
    assert np.array_equal(straight, oblique)
    assert organ_dice(straight, labels_at(points_of(affine, shape))) > 0.8


def test_the_plane_of_a_model_can_be_overruled_which_is_told(bundle: Bundle) -> None:  # noqa: F811
    volume = patient(*grid(**OBLIQUE))
    found = segment(volume, bundle, plane="stored")
    assert found.prepared.geometry.num_slices == volume.array.shape[2]
    assert "Cut in the stored plane, as asked for: the model was trained on the axial one." in found.notes
    axial = segment(volume, bundle, plane="auto")
    assert axial.prepared.geometry.axes is None
    assert any("3.0 pixels apart" in note for note in axial.notes)


def test_nothing_is_told_where_both_planes_are_the_same(bundle: Bundle) -> None:  # noqa: F811
    found = segment(patient(*grid((4.0, 4.0, 12.0))), bundle, plane="stored")
    assert not any("as asked for" in note for note in found.notes)


def test_an_unknown_plane_is_refused(bundle: Bundle) -> None:  # noqa: F811
    with pytest.raises(SemganError, match="unknown plane 'coronal'; use axial or stored"):
        segment(patient(*grid()), bundle, plane="coronal")


def test_sagittal_slices_are_neither_a_part_of_the_body_nor_mirrored(bundle: Bundle) -> None:  # noqa: F811
    volume = patient(*grid((12.0, 4.0, 4.0)))
    prepared = trained_on_stored(bundle).preprocessing(volume)
    assert covered_slices(prepared.geometry, volume) is None
    assert "left and right" in why_not(bundle, prepared)
