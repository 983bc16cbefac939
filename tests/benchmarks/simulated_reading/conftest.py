"""A label of the phantom on grids of two orientations."""

from __future__ import annotations

import numpy as np
import pytest

from monai_semgan.io.volume import Volume
from tests.phantoms import grid, labels_at, points_of


@pytest.fixture(params=["LPS", "PSR"])
def reference(request: pytest.FixtureRequest) -> Volume:
    affine, shape = grid((4.0, 4.0, 8.0), codes=request.param)
    return Volume(labels_at(points_of(affine, shape)).astype(np.uint8), affine)
