"""Variants of the parts with fixed shapes, so that one can be chosen by measurement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .room import Room


def search_step(
    room: Room, batch: int, bfloat16: bool, channels_last: bool = False, wrap: Callable[[Any], Any] | None = None
) -> Callable[[], Any]:
    """A function that renders a batch, compares it and gives the gradient by the latents, as a step of the search."""
    import torch

    from monai_semgan.inversion.objectives.registry import build_objective
    from monai_semgan.inversion.restarts import mean_start
    from monai_semgan.utils.device import autocast

    network = room.network
    image = room.slices[:1].expand(batch, -1, -1, -1).to(room.device).contiguous()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(memory_format=layout)  # type: ignore[call-overload]
    image = image.to(memory_format=layout)
    objective = build_objective("features", network.encoder.features)
    with torch.no_grad():
        state = objective.prepare(image)
    index = torch.arange(batch, device=room.device)
    parts = [part.requires_grad_(True) for part in mean_start(network, batch).to(room.device).parts]

    def losses(*parts: Any) -> Any:
        with autocast(room.device, bfloat16):
            # the counter of operations takes no leaves as arguments of modules
            sample = network.generator.synthesis(*(part * 1.0 for part in parts))
            return objective(sample.image, state, index, sample.logits.softmax(1)).float().sum()

    forward = wrap(losses) if wrap is not None else losses

    def step() -> Any:
        return torch.autograd.grad(forward(*parts), parts)[0]

    return step


def student_pass(
    room: Room, batch: int, bfloat16: bool, channels_last: bool = False, wrap: Callable[[Any], Any] | None = None
) -> Callable[[], Any]:
    """A function that gives the student's probabilities of a batch."""
    import torch

    from monai_semgan.utils.device import autocast

    layout = torch.channels_last if channels_last else torch.contiguous_format
    room.network.to(memory_format=layout)  # type: ignore[call-overload]
    image = room.slices[:1].expand(batch, -1, -1, -1).to(room.device).contiguous(memory_format=layout)

    def forward(batch_of: Any) -> Any:
        with torch.no_grad(), autocast(room.device, bfloat16):
            return room.network.preview(batch_of).softmax(1)

    wrapped = wrap(forward) if wrap is not None else forward
    return lambda: wrapped(image)


def captured(work: Callable[[], Any]) -> Callable[[], Any]:
    """The work as a CUDA graph: recorded once, then replayed without the cost of starting its kernels."""
    import torch

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # memory and libraries are set up outside of the graph
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay() -> Any:
        graph.replay()
        return result

    return replay


def variants(room: Room, make: Callable[..., Callable[[], Any]]) -> dict[str, Any]:
    """Milliseconds per slice of one kind of work run in different ways; what cannot be run here says why."""
    import torch

    batch = room.sizes.batch
    compiled = lambda work: torch.compile(work, dynamic=False)  # noqa: E731
    ways: dict[str, Callable[[], Callable[[], Any]]] = {
        "float32, one slice": lambda: make(room, 1, False),
        "float32": lambda: make(room, batch, False),
        "bfloat16": lambda: make(room, batch, True),
        "bfloat16, channels last": lambda: make(room, batch, True, True),
        "bfloat16, CUDA graph": lambda: captured(make(room, batch, True)),
        "bfloat16, channels last, CUDA graph": lambda: captured(make(room, batch, True, True)),
        "bfloat16, compiled": lambda: make(room, batch, True, False, compiled),
        "bfloat16, channels last, compiled": lambda: make(room, batch, True, True, compiled),
    }
    found: dict[str, Any] = {}
    for name, prepare in ways.items():
        if not room.cuda and "CUDA graph" in name:
            found[name] = "no GPU"
            continue
        if room.sizes.tiny and "compiled" in name:
            found[name] = "not in tiny sizes"
            continue
        try:
            work = prepare()
            count = 1 if "one slice" in name else batch
            found[name] = {"ms_per_slice": round(1000 * room.time(work, warm=2) / count, 4)}
            found[name]["difference"] = difference(work(), make(room, 1, False)())
        except TimeoutError:
            raise
        except Exception as error:  # a way that does not work here must not cost the others
            found[name] = f"{type(error).__name__}: {error}"[:200]
        finally:
            room.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return found


def difference(result: Any, reference: Any) -> float:
    """Relative difference of the first slice from that of the float32 loop: a way that is fast and wrong is no way."""
    first, second = result[:1].detach().float().cpu(), reference.detach().float().cpu()
    return round(float((first - second).norm() / second.norm().clamp_min(1e-12)), 6)


def search_variants(room: Room) -> dict[str, Any]:
    """The rendering and gradient of a step in different ways."""
    return variants(room, search_step)


def student_variants(room: Room) -> dict[str, Any]:
    """The student's forward pass in different ways."""
    return variants(room, student_pass)
