"""The spread of the spatial part is measured on the same slices each time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_semgan.networks import LatentEncoder
from monai_semgan.training.stages import spatial_spread as module
from monai_semgan.training.stages.spatial_spread import spatial_spread
from tests.training.stages.encoder_phantoms import phantom_slices, tiny_generator


def encoder() -> LatentEncoder:
    torch.manual_seed(0)
    return LatentEncoder(1, 8, 16, (8, 8, 16, 16), spatial_channels=8).eval().requires_grad_(False)


def test_an_encoder_that_has_learnt_nothing_has_the_smallest_spread(datalist: Path, tmp_path: Path) -> None:
    spread = spatial_spread(encoder(), tiny_generator(), phantom_slices(datalist, tmp_path), torch.device("cpu"))
    assert torch.equal(spread, torch.full((8,), 1e-3))


def test_the_spread_is_the_standard_deviation_by_channel(
    datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices, trained, device = phantom_slices(datalist, tmp_path), encoder(), torch.device("cpu")
    trained.to_spatial.weight.normal_(generator=torch.Generator().manual_seed(0))
    trained.to_spatial.bias.copy_(torch.arange(8.0))  # type: ignore[union-attr]
    spread = spatial_spread(trained, tiny_generator(), slices, device, mixed_precision=False)
    values = trained.encode(slices.batch(range(len(slices)))[0], tiny_generator()).spatial
    assert values is not None
    assert torch.allclose(spread, values.movedim(1, 0).flatten(1).std(1, correction=0), rtol=1e-4)
    monkeypatch.setattr(module, "SLICES", 7)
    few = [spatial_spread(trained, tiny_generator(), slices, device, mixed_precision=False) for _ in range(2)]
    assert torch.equal(*few) and not torch.equal(few[0], spread)
