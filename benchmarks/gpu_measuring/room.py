"""Where the parts compute, and on what slices."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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
