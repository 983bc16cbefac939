"""What can be wrong with a GPU: a driver that PyTorch cannot use, and memory that does not suffice."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch

logger = logging.getLogger(__name__)
T = TypeVar("T")
M = TypeVar("M", bound=torch.nn.Module)

FULL = "The GPU's memory did not suffice: computed on the CPU, which takes longer."

MEMORY_ERRORS = ("CUDA out of memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
"""Texts by which libraries of CUDA tell what PyTorch's own allocator tells by a class of its own."""

NO_GPU = ("no NVIDIA driver", "No CUDA GPUs", "no CUDA-capable device")
"""Texts of PyTorch on a machine without a GPU, or that hides it: nothing to be told."""


@cache
def gpu_state() -> tuple[bool, str]:
    """Tell whether PyTorch can use a GPU, and if not, why; an old driver, say, is logged, once in a process."""
    try:
        if torch.cuda.is_available():
            return True, ""
        if not torch.backends.cuda.is_built():
            return False, "this build of PyTorch is for the CPU"
        torch.cuda.init()  # tells the reason every time; what looks for GPUs warns only the first time
        reason = "PyTorch finds none"
    except Exception as error:  # a broken installation of CUDA fails in many ways, and the CPU is still there
        reason = _first_sentence(error)
    if any(text in reason for text in NO_GPU):
        return False, "there is no NVIDIA GPU, or no driver for it"
    logger.warning("the GPU is not used: %s", reason)
    return False, reason


def _first_sentence(error: Exception) -> str:
    """What an error says, without the advice that follows."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0].rstrip(".")[:200]


def out_of_gpu_memory(error: BaseException) -> bool:
    """Tell whether an error says that the GPU's memory does not suffice."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in MEMORY_ERRORS)


def with_cpu_fallback(network: M, compute: Callable[[M], T]) -> tuple[T, bool]:
    """Compute something with a network, and again on the CPU if the GPU's memory does not suffice.

    The network stays where it is: others may be using it, and the next scan may find a GPU with more room.

    Args:
        network: on any device.
        compute: called with the network or its copy on the CPU.

    Returns:
        What `compute` gave, and whether that was on the CPU for want of memory.
    """
    try:
        return compute(network), False
    except RuntimeError as error:
        if not out_of_gpu_memory(error):
            raise
    # not in the handler: there, the exception's traceback still holds the tensors of the failed run
    torch.cuda.empty_cache()
    logger.warning("out of GPU memory: going on with the CPU")
    return compute(cpu_copy(network)), True


def cpu_copy(network: M) -> M:
    """Copy a network to the CPU without taking memory of its device."""
    kept: dict[int, Any] = {}
    for parameter in network.parameters():
        kept[id(parameter)] = torch.nn.Parameter(parameter.detach().cpu(), parameter.requires_grad)
    for buffer in network.buffers():
        kept[id(buffer)] = buffer.detach().cpu()
    return copy.deepcopy(network, kept)


def place(network: torch.nn.Module, device: torch.device) -> str:
    """Move a network to a device, or to the CPU if the device is full.

    Returns:
        Why it lies on the CPU instead; empty if it does not.
    """
    try:
        network.to(device)
        return ""
    except RuntimeError as error:
        if not out_of_gpu_memory(error):
            raise
    network.to("cpu")
    torch.cuda.empty_cache()
    logger.warning("out of GPU memory: the model is loaded for the CPU")
    return FULL
