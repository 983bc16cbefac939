"""Batches that are computed side by side: in order, as alone, and really at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from monai_semgan.utils.side_by_side import side_by_side, undivided


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_every_item_is_computed_once_and_in_order() -> None:
    done = [item for part in side_by_side(lambda w: list(range(w.start, w.stop)), 11, 3) for item in part]
    assert done == list(range(11))
    assert list(side_by_side(lambda w: w, 0)) == []


def test_two_batches_are_computed_at_the_same_time_by_one_thread_each() -> None:
    both = threading.Barrier(2, timeout=150)

    def run(window: slice) -> int:
        both.wait()
        return torch.get_num_threads()

    assert list(side_by_side(run, 4, 1)) == [1, 1, 1, 1]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_results_are_the_same_to_the_last_bit_whatever_the_number_of_threads(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(8, 8, 3, padding=1, dtype=kind).requires_grad_(False)
    images = torch.randn(7, 8, 32, 32).to(kind)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(torch.cat(list(side_by_side(lambda window: layer(images[window]), 7, 3))))
        assert torch.get_num_threads() == threads
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_no_gradients_are_kept_where_the_caller_wants_none() -> None:
    with torch.inference_mode():
        assert list(side_by_side(lambda w: (torch.is_grad_enabled(), torch.is_inference_mode_enabled()), 1)) == [
            (False, True)
        ]
    with torch.no_grad():
        assert list(side_by_side(lambda w: torch.is_grad_enabled(), 1)) == [False]
    assert list(side_by_side(lambda w: torch.is_grad_enabled(), 1)) == [True]


def test_an_error_ends_it_and_leaves_nothing_behind() -> None:
    begun: list[int] = []

    def run(window: slice) -> int:
        begun.append(window.start)
        if window.start == 1:
            raise ValueError("broken slice")
        return window.start

    with pytest.raises(ValueError, match="broken slice"):
        list(side_by_side(run, 100, 1))
    assert len(begun) < 20 and torch.get_num_threads() == 2
    assert not [one for one in threading.enumerate() if one.name.startswith("batch")]


def test_who_stops_listening_stops_the_work() -> None:
    begun: list[int] = []
    for _ in side_by_side(lambda window: begun.append(window.start), 100, 1):
        break
    assert len(begun) < 10
    assert not [one for one in threading.enumerate() if one.name.startswith("batch")]


def test_a_short_step_is_done_by_one_thread_and_what_follows_by_all_again() -> None:
    @undivided()
    def step(fails: bool) -> int:
        if fails:
            raise ValueError("no such slice")
        return torch.get_num_threads()

    assert step(False) == 1 and torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="no such slice"):
        step(True)
    assert torch.get_num_threads() == 2


def test_calls_that_overlap_leave_the_number_of_threads_as_it_was() -> None:
    begun, go_on = threading.Event(), threading.Event()
    seen: list[int] = []

    def first() -> None:
        with undivided():
            begun.set()
            go_on.wait(60)

    def second() -> None:
        def run(window: slice) -> int:
            go_on.set()
            holder.join(60)
            return window.start

        assert list(side_by_side(run, 3, 1)) == [0, 1, 2]
        seen.append(torch.get_num_threads())

    holder, later = threading.Thread(target=first), threading.Thread(target=second)
    holder.start()
    begun.wait(60)
    later.start()
    later.join(120)
    afterwards = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    afterwards.start()
    afterwards.join()
    assert seen == [2, 2]
    assert torch.get_num_threads() == 2


def test_what_works_alone_already_stays_so_and_computes_in_order() -> None:
    with undivided():
        with undivided():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
        assert list(side_by_side(lambda window: torch.get_num_threads(), 3, 1)) == [1, 1, 1]
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
