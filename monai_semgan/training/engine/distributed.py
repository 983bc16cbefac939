"""Several processes that train one model: started by `torchrun`, one per GPU, or alone."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import nn

from monai_semgan.errors import Cancelled, SemganError

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""How long processes wait for the first one, which plans, cuts slices and validates alone. One that has died is
noticed at once, by the others or by `torchrun`."""

HOLDERS = ("torch.distributed.nn.functional", "torch.distributed.optim")
"""Modules whose functions have the group of the moment as a default. Imported later, as MONAI and Ignite do, they would
keep the group and its threads after it is left, and these at times abort the process at its exit."""


class Workers:
    """This process among those of a run; every method also works alone.

    Gradients are averaged by one all-reduce over a flat buffer after the backward passes. Unlike
    `DistributedDataParallel` this copes with several forward passes and second derivatives in one step.

    Args:
        device: device of the tensors; decides between NCCL and gloo.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._owner = False
        if "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
            for module in HOLDERS:
                importlib.import_module(module)
            if device.type == "cuda":
                dist.init_process_group("nccl")
            else:
                dist.init_process_group("gloo", timeout=PATIENCE)
            self._owner = True
        active = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if active else 0
        self.size = dist.get_world_size() if active else 1
        apart = self.size > 1 and device.type == "cuda"
        self._control: Any = dist.new_group(backend="gloo", timeout=PATIENCE) if apart else None

    @staticmethod
    def local_device(device: torch.device) -> torch.device:
        """`device` with its number, set up for speed: under `torchrun` every process has a GPU of its own."""
        if device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True
        if device.type == "cuda" and device.index is None:
            local = int(os.environ.get("LOCAL_RANK", torch.cuda.current_device()))
            device = torch.device("cuda", local % torch.cuda.device_count())
            torch.cuda.set_device(device)
        return device

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their mean over the processes."""
        if self.size == 1:
            return
        owners = [p for p in parameters if p.requires_grad]
        for parameter in owners:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [p.grad for p in owners if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        flat /= self.size
        for grad, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    @torch.no_grad()
    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """Values `(n, ...)` of all processes, one after the other: `(size * n, ...)`."""
        if self.size == 1:
            return values
        rows = values.new_zeros((self.size, *values.shape))
        rows[self.rank] = values
        dist.all_reduce(rows)
        return rows.flatten(0, 1)

    @torch.no_grad()
    def share(self, modules: Iterable[nn.Module]) -> None:
        """Give every process the parameters and buffers of the first."""
        if self.size == 1:
            return
        for module in modules:
            for tensor in list(module.parameters()) + list(module.buffers()):
                dist.broadcast(tensor.data, src=0)

    def agree(self, elapsed: float, stop: bool) -> tuple[float, bool]:
        """The first process's elapsed time, and whether any process was asked to stop."""
        if self.size == 1:
            return elapsed, stop
        values = torch.tensor([elapsed if self.is_main else 0.0, float(stop)], dtype=torch.float64)
        dist.all_reduce(values, op=dist.ReduceOp.MAX, group=self._control)
        return float(values[0]), bool(values[1] > 0)

    def first(self, work: Callable[[], T]) -> T | None:
        """Let the first process do something that the others wait for.

        Args:
            work: done by the first process alone; no process is waited for in it.

        Returns:
            What it gives, on the first process; None on the others.

        Raises:
            SemganError: on all processes, if the first has raised it; so with `Cancelled`.
            RuntimeError: on the others, if the first has raised anything else.
        """
        found: T | None = None
        error: BaseException | None = None
        if self.is_main:
            try:
                found = work()
            except BaseException as raised:  # also Ctrl-C: the others would wait for ever
                error = raised
        failure = self._broadcast(None if error is None else _travelling(error))
        if error is not None:
            raise error
        if failure is not None:
            raise failure
        return found

    def first_decides(self, work: Callable[[], T]) -> T:
        """What `work` gives on the first process, which alone does it, on all of them; errors as for `first`.

        It is pickled on its way.
        """
        found: T = self._broadcast(self.first(work))
        return found

    def first_then_others(self, work: Callable[[], T]) -> T:
        """Let all processes do the same, the first one before the others; errors of the first as for `first`."""
        found = self.first(work)
        return cast("T", found) if self.is_main else work()

    def _broadcast(self, value: Any) -> Any:
        """The value of the first process."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self._control)
        return values[0]

    def close(self) -> None:
        """Leave the process group if this object entered it; no thread of it stays."""
        if self._owner and dist.is_initialized():
            self._control = None  # what refers to a group keeps its threads
            dist.destroy_process_group()
            self._owner = False


def _travelling(error: BaseException) -> Exception:
    """An error as the other processes raise it."""
    if isinstance(error, (SemganError, Cancelled)):
        return error
    return RuntimeError(f"the first process has failed: {type(error).__name__}: {error}")
