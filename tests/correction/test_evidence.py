"""Cues for a change, and how they are weighed up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_semgan.bundle.load import Bundle
from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.corrector import Corrector
from monai_semgan.correction.evidence import grey_ratio, signed_depth, way
from monai_semgan.correction.strokes import Stroke
from monai_semgan.correction.weighing import NEIGHBOUR_LINES, STROKE_LINES, Line, line_for
from tests.phantoms import ORGANS, grid, labels_at, patient, points_of

LIVER, UNKNOWN = 1, 5


def test_a_way_across_an_edge_is_longer_than_one_beside_it() -> None:
    grey = np.zeros((20, 20))
    grey[:, 10:] = 1.0
    seeds = np.zeros((20, 20), bool)
    seeds[10, 5] = True
    length = way(grey, np.ones((20, 20), bool), seeds)
    assert length[10, 5] == 0
    assert length[10, 15] > 3 * length[0, 5]


def test_grey_values_under_the_stroke_speak_for_a_change() -> None:
    grey = np.linspace(-1, 1, 50).reshape(5, 10)
    ratio = grey_ratio(grey, np.full(20, 0.5), np.full(20, -0.5))
    assert ratio.reshape(-1)[np.abs(grey.reshape(-1) - 0.5).argmin()] > 1
    assert ratio.reshape(-1)[np.abs(grey.reshape(-1) + 0.5).argmin()] < -1


def test_depth_is_positive_inside_and_negative_outside() -> None:
    mask = np.zeros((1, 7), bool)
    mask[0, 2:5] = True
    assert signed_depth(mask, 2.0)[0].tolist() == [-2.0, 0.0, 2.0, 4.0, 2.0, 0.0, -2.0]


@pytest.mark.parametrize("lines", [STROKE_LINES, NEIGHBOUR_LINES])
def test_lines_that_need_more_come_first_and_the_last_needs_no_network(lines: tuple[Line, ...]) -> None:
    assert [len(line.factors) for line in lines] == sorted((len(line.factors) for line in lines), reverse=True)
    assert not {"student", "student_more", "rendering", "move", "move_end"} & lines[-1].factors.keys()
    for line in lines:
        assert line_for(lines, {name: np.zeros((2, 2)) for name in line.factors}) is line


def test_a_structure_that_no_network_knows_follows_the_image(model: Bundle) -> None:
    affine, shape = grid((9.0, 9.0, 12.0))
    truth = (labels_at(points_of(affine, shape)) == LIVER).astype(np.uint8) * UNKNOWN
    label = truth.copy()
    lost = np.argwhere(truth).mean(axis=0).astype(int)[1]
    label[:, lost:] = 0
    known = replace(model, labels={**model.labels, UNKNOWN: "lesion"})
    corrector = Corrector(known, patient(affine, shape, seed=0), label)
    missing = np.argwhere((truth > 0) & (label == 0))
    level = int(np.median(missing[:, 2]))
    row = missing[missing[:, 2] == level]
    stroke = row[np.abs(row - row.mean(0)).sum(1).argsort()[:6]]
    found = corrector.correct([Stroke(UNKNOWN, stroke)], CorrectionSettings(reach_mm=15)).label
    added = (found == UNKNOWN) & (label == 0)
    right = added & (truth == UNKNOWN)
    assert right.sum() > 3 * len(stroke)
    assert right.sum() > 0.7 * added.sum()
    assert len(ORGANS) == 4  # the tiny model's classes, none of which is 5
