"""How the preview looks at slices: all once, those that show anything several times."""

from __future__ import annotations

import threading

import pytest
import torch

from monai_semgan.inference.preview import PreviewSettings, preview_slices
from monai_semgan.utils.progress import StepEvent


class Bright(torch.nn.Module):
    """Calls bright pixels an organ, surely or with some probability, and counts the slices that it is shown."""

    def __init__(self, probability: float = 0.99) -> None:
        super().__init__()
        self.logit = float(torch.logit(torch.tensor(probability)))
        self.shown: list[torch.Tensor] = []

    def preview(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of background and organ."""
        self.shown.append(image)
        organ = torch.where(image > 0.5, self.logit, -20.0)
        return torch.cat([torch.zeros_like(organ), organ], 1)

    def count(self) -> int:
        """Slices that the network was shown, each view counted."""
        return sum(len(image) for image in self.shown)


class Shared(Bright):
    """Also notes how many threads compute a batch, and waits for another batch to come at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=150)
        self.threads: set[int] = set()

    def preview(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of background and organ."""
        self.both.wait()
        self.threads.add(torch.get_num_threads())
        return super().preview(image)


def scan(slices: int, bright: list[int], size: int = 16) -> torch.Tensor:
    """Grey slices, some of which have a bright square off the middle."""
    image = torch.zeros(slices, 1, size, size)
    image[bright, 0, 3:7, 8:13] = 0.8
    return image


def test_slices_with_an_organ_and_their_neighbours_are_looked_at_five_times_the_others_once() -> None:
    network = Bright()
    preview_slices(network, scan(30, [10, 11]), PreviewSettings(shift_pixels=1))
    assert network.count() == 30 + 4 * 4  # 9 to 12


def test_neighbours_reach_as_far_as_the_smoothing() -> None:
    network = Bright()
    preview_slices(network, scan(30, [15]), PreviewSettings(shift_pixels=1, smoothing_mm=3.0), distance_mm=1.0)
    assert network.count() == 30 + 4 * 9


@pytest.mark.parametrize(("probability", "again"), [(0.3, True), (0.1, False)])
def test_a_slice_that_might_show_an_organ_is_looked_at_again(probability: float, again: bool) -> None:
    network = Bright(probability)
    preview_slices(network, scan(9, [4]), PreviewSettings(shift_pixels=1))
    assert (network.count() > 9) is again


def test_out_of_domain_every_slice_is_seen_as_it_is_and_as_its_negative() -> None:
    network = Bright()
    preview_slices(network, scan(12, [5]), PreviewSettings(shift_pixels=1, negative=True), out_of_domain=True)
    assert network.count() == 2 * 12 + 8 * 3


def test_where_nothing_is_seen_no_slice_is_looked_at_again() -> None:
    network = Bright()
    probabilities = preview_slices(network, scan(7, []), PreviewSettings(shift_pixels=1))
    assert network.count() == 7
    assert probabilities.argmax(1).sum() == 0


def test_all_views_count_the_same_and_shifts_are_undone() -> None:
    image = scan(5, [2])
    probabilities = preview_slices(Bright(), image, PreviewSettings(shift_pixels=1, batch_size=2))
    assert torch.equal(probabilities.argmax(1), (image[:, 0] > 0.5).long())
    torch.testing.assert_close(probabilities[2, 1, 4, 9], torch.tensor(0.99))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5, 16, 16))


@pytest.mark.parametrize("bright", [[], [3], list(range(10))])
def test_progress_rises_to_the_number_of_slices_whatever_is_seen(bright: list[int]) -> None:
    events: list[StepEvent[object]] = []
    preview_slices(Bright(), scan(10, bright), PreviewSettings(shift_pixels=1, batch_size=3), on_step=events.append)
    steps = [event.step for event in events]
    assert steps[0] == 0 and steps[-1] == 10 and steps == sorted(steps)
    assert {event.steps for event in events} == {10}


def test_on_a_processor_batches_are_computed_side_by_side_by_one_thread_each() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        network = Shared()
        preview_slices(network, scan(8, []), PreviewSettings(batch_size=2))
        assert network.threads == {1} and network.count() == 8
    finally:
        torch.set_num_threads(before)
