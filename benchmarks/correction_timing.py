"""How long does a reader wait for a stroke to be followed, and what do fifty corrections leave in the memory?

Called by `corrections.py --timing`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from simulated_reading.worst_stroke import slice_axis, worst_stroke

from monai_semgan.bundle.load import Bundle
from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.corrector import Corrector
from monai_semgan.correction.strokes import Stroke
from monai_semgan.io.volume import Volume
from monai_semgan.utils.progress import StepEvent

SLICES = 90
NEIGHBOURS = 5
"""On each side of the touched slice."""

STRUCTURES = (1, 4)
TIMED = 5
"""Strokes whose waiting is measured, each in another slice, after one that warms up."""


def cut(volume: Volume, label: np.ndarray, slices: int) -> tuple[Volume, slice, int]:
    """Cut a volume to the slices around the middle of what is labelled.

    Returns:
        The volume, where it was cut, and along which axis.
    """
    axis = slice_axis(volume.affine)
    middle = int(np.argwhere(label > 0)[:, axis].mean())
    first = int(np.clip(middle - slices // 2, 0, max(0, label.shape[axis] - slices)))
    where = slice(first, first + slices)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * first
    return replace(volume, array=part_of(volume.array, axis, where), affine=affine), where, axis


def part_of(array: np.ndarray, axis: int, where: slice) -> np.ndarray:
    """Cut an array along an axis; a copy."""
    return np.ascontiguousarray(np.moveaxis(np.moveaxis(array, axis, 0)[where], 0, axis))


def strokes_everywhere(label: np.ndarray, reference: np.ndarray, affine: np.ndarray) -> Iterator[Stroke]:
    """Strokes in ever different slices, the worst first; begins anew when each slice had one."""
    axis = slice_axis(affine)
    while True:
        left = reference.copy()
        for turn in range(label.shape[axis]):
            stroke = worst_stroke(label, left, STRUCTURES[turn % len(STRUCTURES)], affine)
            if stroke is None:
                continue
            yield stroke
            index = int(stroke.voxels[0, axis])
            np.moveaxis(left, axis, 0)[index] = np.moveaxis(label, axis, 0)[index]


def waited(corrector: Corrector, stroke: Stroke, settings: CorrectionSettings) -> dict[str, float]:
    """Seconds until the touched slice, its neighbours, and all slices are back as labels on the scan's grid.

    Beside those of the clock those of all processors together, which other programs on the machine do not stretch.
    """
    started, spent = time.perf_counter(), time.process_time()
    found: dict[str, float] = {}

    def told(event: StepEvent[Any]) -> None:
        for name, slices in (("touched", 1), ("neighbours", 1 + 2 * NEIGHBOURS)):
            if event.phase == "step" and event.step >= slices and name not in found:
                event.partial()
                found[name] = time.perf_counter() - started
                found[f"{name}_processor"] = time.process_time() - spent

    changed = len(corrector.correct([stroke], settings, told).slices)
    found["all"], found["all_processor"] = time.perf_counter() - started, time.process_time() - spent
    return {**{name: round(seconds, 2) for name, seconds in found.items()}, "slices": changed}


def resident_mb() -> int:
    """Resident memory of this process, as Linux counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def measure_timing(
    bundle: Bundle, volume: Volume, label: np.ndarray, reference: np.ndarray, corrections: int
) -> dict[str, Any]:
    """Correct a CT cut to 90 slices, and print what it took.

    Args:
        bundle: the model.
        volume: the scan.
        label: (I, J, K) its preview.
        reference: (I, J, K) true ids.
        corrections: after so many the memory is looked at.
    """
    part, where, axis = cut(volume, label, SLICES)
    label, reference = (part_of(array, axis, where) for array in (label, reference))
    strokes = strokes_everywhere(label, reference, part.affine)
    settings = CorrectionSettings()
    corrector = Corrector(bundle, part, label, modality=part.modality)
    before = resident_mb()
    waits = []
    for _ in range(1 + TIMED):
        waits.append(waited(corrector, next(strokes), settings))
        print(waits[-1], flush=True)
    found: dict[str, Any] = {"first": waits[0], "warm": waits[1:], "load": os.getloadavg()}
    names = [name for name in waits[1] if all(name in wait for wait in waits[1:])]
    found["warm_median"] = {name: round(float(np.median([wait[name] for wait in waits[1:]])), 2) for name in names}
    early = resident_mb()
    for _ in range(corrections - len(waits)):
        corrector.correct([next(strokes)], settings)
    found["resident_mb"] = {"after none": before, f"after {len(waits)}": early, f"after {corrections}": resident_mb()}
    print("\n".join(f"{name}: {value}" for name, value in found.items()), flush=True)
    return found
