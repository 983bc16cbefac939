"""Labels of structures that were added to a model: they take what the old ones leave, and change nothing of these."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_semgan.slicing.postprocessing import label_on_grid
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.utils.shared_background import divided, whole_background
from tests.phantoms import grid, patient

NAMES = {1: "liver", 2: "spleen", 3: "tumour", 4: "cyst", 5: "node"}


def softened(seed: int, classes: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Smooth probabilities in which every class wins somewhere."""
    source = torch.Generator().manual_seed(seed)
    coarse = 6 * torch.randn(1, classes, *(max(2, n // 6) for n in shape), generator=source)
    full = torch.nn.functional.interpolate(coarse, shape, mode="trilinear")
    return full[0].transpose(0, 1).softmax(1).contiguous()


@pytest.mark.parametrize("degrees", [(0.0, 0.0, 0.0), (0.0, 4.0, 37.0)])
@pytest.mark.parametrize("cleanup", [True, False])
def test_old_labels_are_equal_to_the_voxel_and_new_ones_lie_beside_them(
    degrees: tuple[float, float, float], cleanup: bool
) -> None:
    affine, shape = grid((8.0, 8.0, 10.0), codes="PSR", degrees=degrees)
    prepared = Preprocessing(size=32, pixel_mm=11.0)(patient(affine, shape), "CT")
    size = (len(prepared.image), 32, 32)
    shares = [softened(1, 3, size), softened(2, 2, size)]
    found = divided(softened(0, 3, size), shares)
    labels = [
        label_on_grid(prepared.geometry, whole_background(found, counts), NAMES, cleanup=cleanup, added=kept)
        for kept, counts in (((), (2, 1)), ((2,), (1,)), ((2, 1), ()))
    ]
    assert {1, 2} <= set(np.unique(labels[0])) and set(np.unique(labels[2])) == {0, 1, 2, 3, 4, 5}
    for before, after, highest in ((labels[0], labels[1], 2), (labels[1], labels[2], 4)):
        assert np.array_equal(np.where(after > highest, 0, after), before)


def test_a_chosen_added_structure_is_the_same_as_among_all() -> None:
    affine, shape = grid((8.0, 8.0, 10.0))
    prepared = Preprocessing(size=32, pixel_mm=11.0)(patient(affine, shape), "CT")
    size = (len(prepared.image), 32, 32)
    found = divided(softened(0, 3, size), [softened(1, 3, size)])
    options = {"cleanup": False, "added": (2,)}
    whole = label_on_grid(prepared.geometry, found, NAMES, **options)
    alone = label_on_grid(prepared.geometry, found, NAMES, [4], **options)
    assert np.array_equal(alone, np.where(whole == 4, 4, 0))
