"""Choice of device, of the arithmetic that is fast on it, and of a batch that fits."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from monai_semgan.errors import SemganError

logger = logging.getLogger(__name__)
T = TypeVar("T")


def select_device(name: str = "auto") -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that exists.

    Raises:
        SemganError: if a GPU is asked for that is not there, or the name is unknown.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SemganError(f"unknown device {name!r}", remedy="use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise SemganError(f"unsupported device {name!r}", remedy="use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SemganError(f"no such GPU: {name!r}", remedy="use --device cpu or --device auto")
    return device


def fast_bfloat16(device: torch.device) -> bool:
    """Tell whether bfloat16 is faster than float32: CUDA from Ampere on, and CPUs with matrix tiles (AMX).

    Other CPUs emulate bfloat16 and can be a hundred times slower with it.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(probe and probe())


def autocast(device: torch.device, enabled: bool = True) -> contextlib.AbstractContextManager[object]:
    """Autocast to bfloat16 where that is fast, otherwise a context that does nothing."""
    if enabled and fast_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def halving_batches(
    run: Callable[[slice], T], total: int, batch_size: int, on_halved: Callable[[int], None] | None = None
) -> Iterator[T]:
    """Run consecutive slices of `range(total)`, halving the batch when the GPU's memory does not suffice.

    Args:
        run: called with `slice(start, stop)`; must have no effect when it raises.
        total: number of items.
        batch_size: first size to try.
        on_halved: told the new batch size after each halving.

    Yields:
        The results of `run`, in order.

    Raises:
        SemganError: if the batch size is below 1.
        torch.cuda.OutOfMemoryError: if not even a batch of one fits.
    """
    if batch_size < 1:
        raise SemganError(f"batch_size is {batch_size}", remedy="give at least 1")
    start = 0
    while start < total:
        window = slice(start, min(start + batch_size, total))
        result: list[T] = []
        try:
            result.append(run(window))
        except torch.cuda.OutOfMemoryError:
            if batch_size == 1:
                raise
        if not result:
            # not in the handler: there, the exception's traceback still holds the tensors of the failed run
            batch_size = max(1, batch_size // 2)
            torch.cuda.empty_cache()
            logger.warning("out of GPU memory: going on with batches of %d", batch_size)
            if on_halved is not None:
                on_halved(batch_size)
            continue
        yield result.pop()
        start = window.stop


def threads_each(processes: int) -> int | None:
    """Return the threads that each of several processes on this machine gets; None, as torch likes, for one alone."""
    if processes < 2:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // processes)
