"""A phantom, its label, and a corrector of a tiny model, whose weights are random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.correction.corrector import Corrector
from tests.phantoms import grid, labels_at, patient, points_of


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle, "cpu")


def phantom_corrector(model: Bundle, codes: str = "LAS", degrees: tuple[float, float, float] = (0, 0, 0)) -> Corrector:
    """A corrector of the phantom, whose label is the true one."""
    affine, shape = grid((9.0, 9.0, 12.0), codes=codes, degrees=degrees)
    label = labels_at(points_of(affine, shape)).astype(np.uint8)
    return Corrector(model, patient(affine, shape, seed=0), label)
