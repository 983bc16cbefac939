"""What one GPU makes of preview, encoder, search and training: times, memory, and ways of running them side by side.

    python benchmarks/gpu.py pack carried                    # here: what a GPU machine without network lacks
    python benchmarks/gpu.py run --carried carried --out gpu.json          # there; at most 4 minutes
    python benchmarks/gpu.py run --out gpu.json                            # where the package is installed

`pack` downloads the wheels that a machine with PyTorch and its usual company lacks (`pip download`, without what these
need in turn) and saves slices of a scan, or of the patient that the tests make. `run --carried` puts the wheels on the
path, without installing anything. With the repository all of it stays below 64 MiB, which `pack` checks.

Every figure stands beside an eager loop in float32 with one slice at a time, measured in the same run. After those
come variants of the parts with fixed shapes (channels last, `torch.compile`, CUDA graphs), so that one can be chosen by
measurement. The floor of a part is its floating-point operations over the rate of a large matrix product here.

The record is written after every part. A part that failed, or for which no time was left, is done by the next call;
those that are done stay as they are (`--again` measures them anew). Without a GPU everything runs on the CPU in tiny
sizes: that tells that it runs, and nothing about speed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WHEELS = ("monai", "pytorch-ignite", "nibabel", "pydicom")
"""What the parts import, and images with PyTorch, numpy, scipy, pillow, tqdm, jinja2 and tensorboard often lack."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
LIMIT_MIB = 64
SLICES_FILE = "slices.npz"


class Sizes(NamedTuple):
    """How much is computed.

    Attributes:
        slices: of the volume that is previewed, encoded and searched for.
        loop: slices that the loop with one at a time does of it.
        steps: of the search.
        batch: of the variants.
        tiny: networks that are trained have a few channels and slices of 32 pixels.
    """

    slices: int
    loop: int
    steps: int
    batch: int
    tiny: bool


FULL, TINY = Sizes(128, 8, 10, 128, False), Sizes(3, 2, 2, 2, True)

TINY_STAGES: dict[str, dict[str, Any]] = {
    "gan": {"latent_dim": 16, "channels": {4: 16, 8: 16, 16: 16, 32: 8}, "joint_channels": 8, "batch_size": 4},
    "encoder": {"channels": (8, 8, 16, 16), "pool_chunk": 8, "pool_chunks": 1, "batch_size": 4},
    "student": {"channels": (8, 16, 16), "pool_chunk": 8, "pool_chunks": 1, "batch_size": 4},
}

LOOP_SETTINGS: dict[str, dict[str, Any]] = {"gan": {}, "encoder": {"generated_fraction": 1.0}, "student": {}}
"""What a stage needs so that it can train on one image at a time."""


class Room:
    """Where the parts compute, and on what.

    Args:
        carried: folder that `pack` made, or None.
        sizes: how much.
        seconds: of repeating one measurement.
    """

    def __init__(self, carried: Path | None, sizes: Sizes | None, seconds: float) -> None:
        import torch

        from monai_semgan.bundle.load import load_bundle
        from monai_semgan.utils.device import fast_bfloat16, select_device

        self.device = select_device("auto")
        self.cuda = self.device.type == "cuda"
        self.sizes = sizes or (FULL if self.cuda else TINY)
        self.seconds = seconds
        self.bfloat16 = fast_bfloat16(self.device)
        self.bundle = load_bundle(device=self.device)
        self.network = self.bundle.network
        slices = stored_slices(carried, self.sizes.slices)
        self.slices = (torch.from_numpy(slices).float() / 127.5 - 1.0)[:, None]

    def synchronise(self) -> None:
        """Wait for the GPU, so that clocks mean something."""
        import torch

        if self.cuda:
            torch.cuda.synchronize(self.device)

    def time(self, work: Callable[[], object], warm: int = 1, least: int = 3) -> float:
        """Median seconds of some work, repeated for a while once it is warm."""
        for _ in range(warm):
            work()
        found: list[float] = []
        end = time.perf_counter() + self.seconds
        while len(found) < least or (time.perf_counter() < end and len(found) < 50):
            self.synchronise()
            started = time.perf_counter()
            work()
            self.synchronise()
            found.append(time.perf_counter() - started)
        return statistics.median(found)


def stored_slices(carried: Path | None, count: int) -> Any:
    """Slices `(D, H, W)` uint8 out of the folder that was carried here, or of the tests' patient, repeated if few."""
    import numpy as np

    path = carried / SLICES_FILE if carried is not None else None
    slices = np.load(path)["slices"] if path is not None and path.is_file() else made_slices(None, max(24, count // 2))
    middle = (len(slices) - min(count, len(slices))) // 2  # a short stack from the middle, where the organs are
    return np.concatenate([slices[middle:]] * -(-count // len(slices[middle:])))[:count]


def made_slices(scan: Path | None, count: int) -> Any:
    """Slices `(D, H, W)` uint8 of a scan, or of the tests' patient."""
    import numpy as np

    from monai_semgan.bundle.load import load_bundle
    from monai_semgan.io.reading import read_volume
    from tests.phantoms import grid, patient

    volume = read_volume(scan) if scan else patient(*grid((2.0, 2.0, 200.0 / count)), seed=0)
    image = load_bundle(device="cpu").preprocessing(volume, None if scan else "CT").image[:, 0]
    return ((image + 1.0) * 127.5).round().clamp(0, 255).numpy().astype(np.uint8)


# ---- parts: each gives a record ----------------------------------------------------------------------------------


def peak(room: Room) -> dict[str, Any]:
    """Rate of a large matrix product, in TFLOP/s: what the floors of the other parts refer to."""
    import torch

    size = 8192 if room.cuda else 512
    found: dict[str, Any] = {}
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    for name, kind in kinds.items():
        if kind is torch.float32 or room.bfloat16:
            first, second = (torch.randn(size, size, device=room.device, dtype=kind) for _ in range(2))
            seconds = room.time(lambda a=first, b=second: a @ b)  # type: ignore[misc]
            found[f"{name}_tflops"] = round(2 * size**3 / seconds / 1e12, 3)
    found["tf32"] = bool(torch.backends.cuda.matmul.allow_tf32)
    return found


def beside_loop(room: Room, count: int, ours: float, loop: float) -> dict[str, Any]:
    """Milliseconds per slice of ours and of the loop over fewer slices, and how many times faster that is."""
    each, alone = 1000 * ours / count, 1000 * loop / min(room.sizes.loop, count)
    return {
        "ms_per_slice": round(each, 4),
        "loop_ms_per_slice": round(alone, 4),
        "times_faster": round(alone / each, 2),
    }


def preview(room: Room) -> dict[str, Any]:
    """The preview of a whole volume once everything is warm, slices to probabilities; and from scan to label."""
    import torch

    from monai_semgan.inference.preview import PreviewSettings, preview_slices
    from monai_semgan.inference.segmentation import preview_settings, segment
    from tests.phantoms import grid, patient

    settings, image = preview_settings(room.bundle), room.slices

    def with_batch(chosen: PreviewSettings) -> Callable[[], Any]:
        return lambda: preview_slices(room.network, image, chosen, device=room.device, distance_mm=2.0)

    ours = room.time(with_batch(settings))
    moved = [(a * settings.shift_pixels, b * settings.shift_pixels) for a in (-1, 1) for b in (-1, 1)]
    views = [(0, 0), *moved] if settings.shift_pixels else [(0, 0)]

    def loop() -> None:
        with torch.no_grad():
            for one in image[: room.sizes.loop].split(1):
                slices = [torch.roll(one.to(room.device), view, (2, 3)) for view in views]
                sum(room.network.preview(view).softmax(1) for view in slices).cpu()  # type: ignore[union-attr]

    record = beside_loop(room, len(image), ours, room.time(loop))
    record["ms_per_slice_by_batch"] = {
        size: round(1000 * room.time(with_batch(replace(settings, batch_size=size))) / len(image), 4)
        for size in ((8, 32, 128) if room.cuda else (1, 3))
    }
    volume = patient(*grid((2.0, 2.0, 200.0 / len(image))), seed=0)
    whole = room.time(lambda: segment(volume, room.bundle, modality="CT"))
    return record | {"slices": len(image), "seconds": round(ours, 3), "scan_to_label_seconds": round(whole, 3)}


def encode(room: Room) -> dict[str, Any]:
    """Latents of the encoder for a whole volume."""
    import torch

    from monai_semgan.inversion.restarts import encoder_start
    from monai_semgan.inversion.search import CPU_BATCH, GPU_BATCH

    image = room.slices.to(room.device)
    batch = GPU_BATCH if room.cuda else CPU_BATCH
    ours = room.time(lambda: encoder_start(room.network, image, batch))

    def loop() -> None:
        with torch.no_grad():
            for one in image[: room.sizes.loop].split(1):
                room.network.encode(one)

    return beside_loop(room, len(image), ours, room.time(loop)) | {"batch": batch}


def search(room: Room) -> dict[str, Any]:
    """Milliseconds per slice and step of the search, with its floor."""
    from monai_semgan.inversion.inversion_settings import InversionSettings

    settings = InversionSettings(patience=0, steps=room.sizes.steps)
    image = room.slices.to(room.device)
    ours = steps_seconds(room, image, settings)
    plain = InversionSettings(patience=0, steps=room.sizes.steps, batch_size=1, mixed_precision=False)
    loop = steps_seconds(room, image[: room.sizes.loop], plain)
    record = beside_loop(room, len(image), ours, loop)
    return record | {"steps": room.sizes.steps, "gflop_per_slice_and_step": round(render_flops(room) / 1e9, 3)}


def steps_seconds(room: Room, image: Any, settings: Any) -> float:
    """Median seconds of a step over all slices, without the first."""
    from monai_semgan.inversion.search import VolumeInverter

    clock: list[float] = []

    def tick(event: Any) -> None:
        if event.phase == "step":
            room.synchronise()
            clock.append(time.perf_counter())

    VolumeInverter(room.network, settings).run(image, on_step=tick)
    steps = [later - earlier for earlier, later in zip(clock[:-1], clock[1:], strict=True)]
    return statistics.median(steps[1:-1] or steps)


def render_flops(room: Room) -> float:
    """Floating-point operations of rendering one slice and of the gradient by its latents."""
    from torch.utils.flop_counter import FlopCounterMode

    step = search_step(room, 1, bfloat16=False)
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def gan(room: Room) -> dict[str, Any]:
    """Images per second of the GAN stage."""
    return train_stage(room, "gan")


def encoder(room: Room) -> dict[str, Any]:
    """Images per second of the encoder stage."""
    return train_stage(room, "encoder")


def student(room: Room) -> dict[str, Any]:
    """Images per second of the student stage."""
    return train_stage(room, "student")


def train_stage(room: Room, name: str) -> dict[str, Any]:
    """Images per second of a stage, beside the same with one image at a time in float32."""
    ours = stage_images_per_second(room, name, {}, True)
    loop = stage_images_per_second(room, name, {"batch_size": 1, **LOOP_SETTINGS[name]}, False)
    record = {
        "images_per_s": round(ours, 2),
        "loop_images_per_s": round(loop, 2),
        "times_faster": round(ours / loop, 2),
    }
    if name == "gan" and room.cuda:
        with contextlib.suppress(Exception):  # a compiler may be missing; the figures above stay
            record["compiled_images_per_s"] = round(stage_images_per_second(room, name, {"compile": True}, True), 2)
    return record


def stage_images_per_second(room: Room, name: str, settings: dict[str, Any], mixed_precision: bool) -> float:
    """Images per second of a stage over blocks of 16 steps, so that terms that are due now and then come in."""
    import torch

    stage = build_stage(room, name, settings, mixed_precision)
    block = 2 if room.sizes.tiny else 16
    step = 0

    def steps() -> None:
        nonlocal step
        for _ in range(block):
            torch.manual_seed(step)
            stage.step(step)
            step += 1

    return float(block * stage.batch_size / room.time(steps, least=2))


def build_stage(room: Room, name: str, settings: dict[str, Any], mixed_precision: bool) -> Any:
    """A stage on random slices, with a random generator where it needs one."""
    import torch

    from monai_semgan.data.slice_set import SliceSet
    from monai_semgan.networks import JointGenerator
    from monai_semgan.training.engine.distributed import Workers
    from monai_semgan.training.stages.stage import StageContext
    from monai_semgan.training.stages.stage_registry import find_stage

    size, tiny = (32, TINY_STAGES) if room.sizes.tiny else (128, {})
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(48, 1, 8, 8, generator=source)
    image = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    labels = (image[:, 0] * 4.99).to(torch.uint8)
    volumes = torch.arange(48) // 12
    slices = SliceSet((image * 255).to(torch.uint8), labels, volumes, tuple("abcd"), (), (), ()).to(room.device)
    workers = Workers(room.device)
    context = StageContext(slices, None, room.device, workers, size=size, mixed_precision=mixed_precision)
    own = find_stage(name).settings(**{**tiny.get(name, {}), **settings})
    torch.manual_seed(0)
    if name == "gan":
        return find_stage(name).build(context, own, lambda any_classes=False: None)[0]  # type: ignore[arg-type, return-value]
    from monai_semgan.training.stages.stage_registry import TrainedGenerator

    generator_settings = {k: v for k, v in tiny.get("gan", {}).items() if k in ("latent_dim", "channels")}
    generator = JointGenerator(size, **generator_settings)
    generator.update_mean_latent(512)
    trained = TrainedGenerator(generator, (1, 3, 3, 1), min(16, size // 2))
    return find_stage(name).build(context, own, lambda any_classes=False: trained)[0]


# ---- variants of the parts with fixed shapes ----------------------------------------------------------------------


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


PARTS: dict[str, tuple[Callable[[Room], dict[str, Any]], float]] = {
    "peak": (peak, 10.0),
    "preview": (preview, 25.0),
    "encode": (encode, 15.0),
    "search": (search, 25.0),
    "gan": (gan, 45.0),
    "encoder": (encoder, 25.0),
    "student": (student, 25.0),
    "search_variants": (search_variants, 60.0),
    "student_variants": (student_variants, 40.0),
}
"""Name: what measures it, and its seconds at most on a GPU."""

CPU_PATIENCE = 10
"""So many times longer may a part take without a GPU, where other programs use the processor as well."""


# ---- running ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` in what takes longer, where the system has alarms."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise TimeoutError(f"took more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def measure(room: Room, name: str, seconds: float) -> dict[str, Any]:
    """Record of a part: its figures or why there are none, its time, and the GPU's memory at most."""
    import torch

    if room.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(room.device)
    started = time.perf_counter()
    try:
        with at_most(seconds):
            record = PARTS[name][0](room)
    except Exception as error:
        record = {"error": f"{type(error).__name__}: {error}"[:300]}
    record["seconds_spent"] = round(time.perf_counter() - started, 2)
    if room.cuda:
        record["peak_mib"] = round(torch.cuda.max_memory_allocated(room.device) / 2**20)
    return record


def add_floor(parts: dict[str, Any]) -> None:
    """Put the floor of a step of the search beside its time."""
    rates, found = parts.get("peak", {}), parts.get("search", {})
    rate = rates.get("bfloat16_tflops") or rates.get("float32_tflops")
    if rate and "gflop_per_slice_and_step" in found:
        found["floor_ms_per_slice"] = round(found["gflop_per_slice_and_step"] / rate, 5)
        found["times_floor"] = round(found["ms_per_slice"] / found["floor_ms_per_slice"], 2)


def run(arguments: argparse.Namespace) -> int:
    """Measure the parts that are missing in the record."""
    started = time.perf_counter()
    if arguments.carried is not None:
        use_wheels(arguments.carried)
    from monai_semgan.utils.versions import machine, versions

    path: Path = arguments.out
    record: dict[str, Any] = {"parts": {}}
    if path.exists() and not arguments.again:
        record = json.loads(path.read_text(encoding="utf-8"))
    room = Room(arguments.carried, TINY if arguments.tiny else None, arguments.seconds)
    record |= {"benchmark": "gpu", "sizes": room.sizes._asdict(), "machine": machine(room.device, 1)}
    record |= {"versions": versions(), "bfloat16": room.bfloat16}
    for name in arguments.parts:
        if "seconds_spent" in (done := record["parts"].get(name, {})) and "error" not in done:
            continue
        left = arguments.budget - (time.perf_counter() - started)
        if left < 5.0:
            record["parts"][name] = {"error": "no time was left: call again"}
        else:
            limit = PARTS[name][1] * (1 if room.cuda else CPU_PATIENCE)
            record["parts"][name] = measure(room, name, min(limit, left))
        add_floor(record["parts"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {json.dumps(record['parts'][name])}", flush=True)
    return 1 if any("error" in part for part in record["parts"].values()) else 0


def use_wheels(carried: Path) -> None:
    """Unpack the wheels beside themselves, and put those on the path that are not installed."""
    site = carried / "site"
    for wheel in sorted(carried.glob("*.whl")):
        if not any(site.glob(f"{wheel.name.split('-')[0]}-*.dist-info")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
    sys.path.append(str(site.resolve()))  # at the end: what is installed there is preferred
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(site.resolve())]))


def pack(arguments: argparse.Namespace) -> int:
    """Collect wheels and slices in a folder, and compare the whole with the limit."""
    import numpy as np

    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.no_wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--python-version", arguments.python, "--implementation", "cp", "--dest", str(folder)]
        command += [part for name in PLATFORMS for part in ("--platform", name)]
        subprocess.run([*command, *WHEELS], check=True)
    np.savez_compressed(folder / SLICES_FILE, slices=made_slices(arguments.scan, 100))
    own = sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout
    files = [ROOT / name for name in tracked.decode().split("\0") if name]
    total = own + sum(file.stat().st_size for file in files if file.is_file())
    print(f"{folder}: {own / 2**20:.1f} MiB, with the repository {total / 2**20:.1f} MiB of {LIMIT_MIB}")
    return 0 if total < LIMIT_MIB * 2**20 else 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="collect what a GPU machine lacks")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--scan", type=Path, help="CT whose slices are taken along (default: a patient made in code)")
    packing.add_argument("--python", default="3.12", help="version of Python there")
    packing.add_argument("--no-wheels", action="store_true", help="slices only")
    packing.set_defaults(work=pack)
    running = commands.add_parser("run", help="measure")
    running.add_argument("--carried", type=Path, help="folder that `pack` made")
    running.add_argument("--out", type=Path, default=Path("gpu.json"))
    running.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    running.add_argument("--budget", type=float, default=230.0, help="seconds in all")
    running.add_argument("--seconds", type=float, default=1.0, help="of repeating each measurement")
    running.add_argument("--tiny", action="store_true", help="tiny sizes on a GPU, too")
    running.add_argument("--again", action="store_true", help="measure everything anew")
    running.set_defaults(work=run)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    arguments = parse(argv)
    return int(arguments.work(arguments))


if __name__ == "__main__":
    sys.exit(main())
