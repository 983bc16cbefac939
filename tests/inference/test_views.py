"""Averaging what is known of slices with what further views of them show."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from monai_semgan.errors import Cancelled
from monai_semgan.inference.inferer import SliceInversionInferer
from monai_semgan.inference.views import Known, PreviewSettings, average_views
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.utils.progress import StepEvent
from tests.inversion.conftest import Case, case, network, one_thread  # noqa: F401

SHIFTED = PreviewSettings(shift_pixels=1, mixed_precision=False)
BASE = InversionSettings(steps=2, objective="l1", patience=0, batch_size=2, mixed_precision=False)


def edges(image: torch.Tensor) -> torch.Tensor:
    """Logits that follow from a pixel and the one to its left, so that every view differs."""
    organ = 3 * (image + 0.5 * torch.roll(image, 1, 3).abs() - 0.7)
    return torch.cat([torch.zeros_like(organ), organ], 1)


def scan() -> torch.Tensor:
    """Slices with noise."""
    return torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def volume(case: Case) -> torch.Tensor:  # noqa: F811
    """The slices as the inferer takes them."""
    return case.slices.permute(1, 2, 3, 0)[None]


@pytest.mark.parametrize("out_of_domain", [False, True])
def test_what_is_known_counts_as_one_view(out_of_domain: bool) -> None:
    settings = replace(SHIFTED, negative=True)
    known = Known(edges(scan()).softmax(1))
    expected = average_views(edges, scan(), settings, out_of_domain)
    torch.testing.assert_close(average_views(edges, scan(), settings, out_of_domain, known=known), expected)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_what_is_known_has_the_share_that_is_asked_for(share: float) -> None:
    known = torch.zeros(6, 2, 16, 16)
    known[:, 1] = 1.0
    others = average_views(edges, scan(), SHIFTED, known=Known(known, 0.0))
    found = average_views(edges, scan(), SHIFTED, known=Known(known, share))
    torch.testing.assert_close(found, share * known + (1 - share) * others)


def test_what_is_known_is_not_changed() -> None:
    known = edges(scan()).softmax(1)
    before = known.clone()
    average_views(edges, scan(), replace(SHIFTED, smoothing_mm=3.0), distance_mm=2.0, known=Known(known))
    assert torch.equal(known, before)


def test_views_are_averaged_only_where_a_bundle_asks_for_it(case: Case) -> None:  # noqa: F811
    plain, averaged = (
        SliceInversionInferer(replace(BASE, average_views=on), "encoder", preview=SHIFTED).invert(
            volume(case), case.network
        )
        for on in (False, True)
    )
    rendered = case.network.render(case.network.encode(case.slices)).logits.softmax(1)
    torch.testing.assert_close(plain.probabilities, rendered.detach(), atol=1e-5, rtol=0)
    look = lambda image: case.network.rendered(image)  # noqa: E731
    torch.testing.assert_close(averaged.probabilities, average_views(look, case.slices, SHIFTED), atol=1e-4, rtol=0)
    assert (averaged.probabilities - plain.probabilities).abs().max() > 1e-3
    assert torch.equal(averaged.reconstruction, plain.reconstruction)


@pytest.mark.parametrize("margin", [None, 0])
def test_who_stops_while_views_are_averaged_gets_what_was_rendered(case: Case, margin: int | None) -> None:  # noqa: F811
    def stop(event: StepEvent[object]) -> None:
        if event.phase == "batch":
            raise Cancelled

    settings = replace(BASE, steps=0, batch_size=8, organ_margin=margin, average_views=True)
    stopped = SliceInversionInferer(settings, preview=SHIFTED).invert(volume(case), case.network, on_step=stop)
    plain = SliceInversionInferer(replace(settings, average_views=False), preview=SHIFTED).invert(
        volume(case), case.network
    )
    assert stopped.cancelled and not plain.cancelled
    torch.testing.assert_close(stopped.probabilities, plain.probabilities)


def test_where_a_user_has_drawn_the_search_alone_has_the_word(case: Case) -> None:  # noqa: F811
    strokes = torch.full((5, 32, 32), -1)
    strokes[2, 8:12, 8:12] = 2
    alone, averaged = (
        SliceInversionInferer(replace(BASE, average_views=on), preview=SHIFTED).invert(
            volume(case), case.network, constraints=PixelConstraints(strokes, weight=5.0)
        )
        for on in (False, True)
    )
    torch.testing.assert_close(averaged.probabilities[2], alone.probabilities[2])
    assert not torch.allclose(averaged.probabilities[1], alone.probabilities[1], atol=1e-3)
