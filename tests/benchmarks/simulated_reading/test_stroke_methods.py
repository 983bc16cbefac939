"""What methods of correction change, and what they leave."""

from __future__ import annotations

import numpy as np

from benchmarks.simulated_reading.reader import ReaderState
from benchmarks.simulated_reading.stroke_methods import Walker
from benchmarks.simulated_reading.worst_stroke import worst_stroke
from monai_semgan.io.volume import Volume
from tests.benchmarks.simulated_reading.liver_errors import LIVER, slices_of, without_one_slice


def test_a_walker_fills_what_the_image_shows_and_leaves_other_slices(reference: Volume) -> None:
    label, worst = without_one_slice(reference)
    image = Volume((reference.array == LIVER) * 100.0, reference.affine)
    stroke = worst_stroke(label, reference.array, LIVER, reference.affine)
    assert stroke is not None
    before = label.copy()
    found = Walker(radius_mm=60.0).apply(ReaderState(image, label), stroke)
    axial = Volume(found, reference.affine)
    painted = slices_of(axial)[worst] == LIVER
    true = slices_of(reference)[worst] == LIVER
    assert painted.sum() > 5 * len(stroke.voxels) and not (painted & ~true).any()
    assert np.array_equal(np.delete(slices_of(axial), worst, 0), np.delete(slices_of(reference), worst, 0))
    assert np.array_equal(label, before)
