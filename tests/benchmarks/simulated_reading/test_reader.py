"""A reader goes on until nothing is wrong, and can be given the strokes of another one."""

from __future__ import annotations

from benchmarks.simulated_reading.reader import read
from benchmarks.simulated_reading.stroke_methods import Paint
from monai_semgan.io.volume import Volume
from tests.benchmarks.simulated_reading.liver_errors import LIVER, without_one_slice


def test_painting_brings_ten_voxels_a_stroke(reference: Volume) -> None:
    label, _ = without_one_slice(reference)
    found = read(Paint(), reference, label, reference.array, LIVER, 3, clock=lambda: 0.0)
    assert list(found.dice) == sorted(set(found.dice)) and len(found.dice) == 4
    replayed = read(Paint(), reference, label, reference.array, LIVER, 3, clock=lambda: 0.0, given=found.strokes)
    assert replayed.dice == found.dice


def test_a_reader_stops_where_nothing_is_wrong(reference: Volume) -> None:
    assert read(Paint(), reference, reference.array, reference.array, LIVER, 3, clock=lambda: 0.0).dice == (1.0,)
