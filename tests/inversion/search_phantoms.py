"""A short search of the case whose latents are known, and what makes two results the same."""

from __future__ import annotations

import torch

from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.search import VolumeInverter
from tests.inversion.conftest import assert_same_latents

BASE = InversionSettings(
    steps=15,
    learning_rate=0.05,
    spatial_learning_rate=0.05,
    objective="l1",
    prior_weight=0.0,
    patience=0,
    batch_size=2,
    mixed_precision=False,
)


def invert(case, settings=BASE, **options):
    options.setdefault("start", case.start)
    return VolumeInverter(case.network, settings).run(case.slices, **options)


def same(first, second, which=slice(None), tolerance=1e-3):
    assert_same_latents(first.latent[which], second.latent[which], tolerance)
    torch.testing.assert_close(first.probabilities[which], second.probabilities[which], atol=tolerance, rtol=0)
