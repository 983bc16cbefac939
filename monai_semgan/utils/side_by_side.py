"""Batches on a CPU side by side, each by one thread, in place of one batch by all threads.

Threads that share the layers of a small network wait for one another after each of them: two take 1.4 times less time
on the clock than one, and 1.2 times the processor time. Threads with a batch each never wait, and a batch that is
computed by one thread has the same result to the last bit, however many there are.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")

SMALL_BATCH = 4
"""Slices of a batch: more take more memory and are not faster on a CPU."""


@contextlib.contextmanager
def undivided() -> Iterator[None]:
    """Let this thread alone do what it computes: a context, or a decorator.

    For steps that are over in tenths of a second: divided among threads they are not faster, take more processor time,
    and sums depend in their last bit on the number of threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def side_by_side(run: Callable[[slice], T], total: int, batch_size: int = SMALL_BATCH) -> Iterator[T]:
    """Run consecutive slices of `range(total)` on the CPU, as many at a time as PyTorch has threads.

    Args:
        run: called with `slice(start, stop)`, in several threads at once; gradients and inference mode are as here.
        total: number of items.
        batch_size: items of a call; what is computed does not depend on the number of threads.

    Yields:
        The results of `run`, in order.
    """
    windows = [slice(start, min(start + batch_size, total)) for start in range(0, total, batch_size)]
    grad, inference, threads = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_num_threads()

    def alone(window: slice) -> T:
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            return run(window)

    ahead: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads, "batch", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for window in windows:
            ahead.append(pool.submit(alone, window))
            if len(ahead) > threads:  # one more than are computed: nobody waits, and results do not pile up
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # what threads set for themselves is the default of those that come later
