"""Choice of device, of the arithmetic that is fast on it, and of a batch that fits."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeVar

import torch

from monai_semgan.errors import SemganError
from monai_semgan.utils.gpu import gpu_state, out_of_gpu_memory
from monai_semgan.utils.side_by_side import undivided

logger = logging.getLogger(__name__)
T = TypeVar("T")

PROCESSOR_PROBES = {"AMX": "_is_amx_tile_supported", "AVX512-BF16": "_is_avx512_bf16_supported"}
"""Instructions that multiply bfloat16, and the function of `torch.cpu` that tells whether they are there."""

ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
"""Variables by which a user keeps PyTorch from using all that the processor can do."""

X86 = ("x86_64", "amd64", "i386", "i686")

CLEARLY_FASTER = 0.8
"""A measured ratio of times up to which bfloat16 is used."""


def select_device(name: str = "auto") -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that exists; `auto` is the CPU where no GPU can be used.

    Raises:
        SemganError: if a GPU is asked for that is not there or cannot be used, or the name is unknown.
    """
    if name == "auto":
        return torch.device("cuda" if gpu_state()[0] else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SemganError(f"unknown device {name!r}", remedy="use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise SemganError(f"unsupported device {name!r}", remedy="use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        usable, reason = gpu_state()
        if not usable or (device.index or 0) >= torch.cuda.device_count():
            why = f" ({reason})" if reason else ""
            raise SemganError(f"no such GPU: {name!r}{why}", remedy="use --device cpu or --device auto")
    return device


def device_reason(name: str, device: torch.device) -> str:
    """Say in words why `select_device` has made a device of a name."""
    if name != "auto":
        return "asked for"
    return "a GPU is there" if device.type == "cuda" else gpu_state()[1]


def fast_bfloat16(device: torch.device) -> bool:
    """Tell whether bfloat16 is clearly faster than float32 on a device."""
    return _bfloat16(device)[0]


def bfloat16_reason(device: torch.device) -> str:
    """Say in words which arithmetic is used on a device, and why."""
    return _bfloat16(device)[1]


def _bfloat16(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return major >= 8, f"{'bfloat16' if major >= 8 else 'float32'}: compute capability {major}.{minor}"
    return _processor_bfloat16()


@cache
def _processor_bfloat16() -> tuple[bool, str]:
    """Decide for the processor: by what it can do, and by a measurement only where that is not known.

    A processor with AMX or AVX512-BF16 multiplies bfloat16 at least twice as fast as float32. Others of the x86 kind
    emulate it, up to a hundred times slower, and are not even tried. What the measurement says depends a little on the
    moment, so two runs could differ: it must not decide where the processor tells.
    """
    if not torch.backends.mkldnn.is_available():
        return False, "float32: this build of PyTorch lacks oneDNN"
    named = [name for name, probe in PROCESSOR_PROBES.items() if (found := getattr(torch.cpu, probe, None)) and found()]
    limits = [name for name in ISA_LIMITS if os.environ.get(name)]
    if named and not limits:
        return True, f"bfloat16: the processor has {named[0]}"
    if not named and platform.machine().lower() in X86:
        return False, "float32: the processor has neither AMX nor AVX512-BF16"
    ratio = _measured_ratio()
    doubt = f"{limits[0]} is set" if limits else "the processor does not tell"
    clear = ratio <= CLEARLY_FASTER
    return clear, f"{'bfloat16' if clear else 'float32'}: measured, bfloat16 takes {ratio:.2f} of the time ({doubt})"


def _measured_ratio() -> float:
    """Measure a small convolution of the kind the networks are made of: time in bfloat16 relative to float32."""
    seconds = {}
    with undivided(), torch.inference_mode():  # threads on a busy machine wait for one another: that is not asked
        for kind in (torch.float32, torch.bfloat16):
            layer = torch.nn.Conv2d(64, 64, 3, padding=1, dtype=kind)
            image = torch.ones(1, 64, 32, 32, dtype=kind)
            seconds[kind] = min(_seconds(layer, image) for _ in range(4))
    return seconds[torch.bfloat16] / seconds[torch.float32]


def _seconds(layer: torch.nn.Module, image: torch.Tensor) -> float:
    started = time.perf_counter()
    layer(image)
    return time.perf_counter() - started


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
        RuntimeError: if not even a batch of one fits (see `out_of_gpu_memory`).
    """
    if batch_size < 1:
        raise SemganError(f"batch_size is {batch_size}", remedy="give at least 1")
    start = 0
    while start < total:
        window = slice(start, min(start + batch_size, total))
        result: list[T] = []
        count = window.stop - window.start
        try:
            result.append(run(window))
        except RuntimeError as error:
            if count == 1 or not out_of_gpu_memory(error):
                raise
        if not result:
            # not in the handler: there, the exception's traceback still holds the tensors of the failed run
            batch_size = count // 2
            torch.cuda.empty_cache()
            logger.warning("out of GPU memory: going on with batches of %d", batch_size)
            if on_halved is not None:
                on_halved(batch_size)
            continue
        yield result.pop()
        start = window.stop
