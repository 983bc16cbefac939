"""One wish, followed from the slices that were drawn in to their neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from monai_semgan.correction.corrected_scan import CorrectedScan
from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.drawn_voxels import DrawnVoxels
from monai_semgan.correction.evidence import (
    FARTHEST_MM,
    Scene,
    move_cues,
    neighbour_cues,
    stroke_cues,
)
from monai_semgan.correction.slice_latents import SliceLatents
from monai_semgan.correction.weighing import NEIGHBOUR_LINES, STROKE_LINES, line_for
from monai_semgan.correction.wishes import Wish
from monai_semgan.networks import Latent

LEAST_PIXELS = 3
"""A neighbour in which fewer pixels would change ends the way outwards."""

MOVED_IN_FULL, MOVED_AT_ONCE = 6, 4
"""Touched slices whose latents are searched with all steps, of more each gets fewer; and slices searched together."""

KEEP_NEAR_MM, KEEP_FAR_MM = 8.0, 28.0
"""So far from a stroke the label that a latent renders begins to be kept, and is kept in full."""


@dataclass(frozen=True, eq=False)
class SliceChange:
    """Hold what becomes of a structure in one slice.

    Attributes:
        number: of the slice.
        scene: before the change.
        changed: `(H, W)` bool.
        target: `(H, W)` share of the structure afterwards.
        latent: of the slice afterwards, of one row; None where none was moved.
    """

    number: int
    scene: Scene
    changed: np.ndarray
    target: np.ndarray
    latent: Latent | None = None


class Following:
    """Follow one wish.

    Args:
        scan: facts of it.
        wish: what is asked for.
        label: ids `(I, J, K)`, looked at whenever a slice is computed.
        pins: voxels that earlier strokes have fixed.
        latents: known ones.
        settings: of the correction.
    """

    def __init__(
        self,
        scan: CorrectedScan,
        wish: Wish,
        label: np.ndarray,
        pins: DrawnVoxels,
        latents: SliceLatents,
        settings: CorrectionSettings,
    ) -> None:
        self.scan, self.wish, self.label = scan, wish, label
        self.latents, self.settings = latents, settings
        self.failed = 0
        self._refused = _pixels_by_slice(scan, _opposed(pins, wish))

    def touched(self) -> Iterator[SliceChange]:
        """Yield the changes of the slices that were drawn in; of a slice without any, an empty one."""
        numbers = sorted(self.wish.slices)
        scenes = {number: self.scene(number) for number in numbers}
        seeds = {number: self._seeds(number, scenes[number]) for number in numbers}
        moving = [number for number in numbers if seeds[number].any()]
        steps = round(self.settings.steps * min(1.0, MOVED_IN_FULL / max(1, len(moving))))
        moves: dict[int, tuple[np.ndarray, np.ndarray, Latent]] = {}
        for number in numbers:
            scene, drawn = scenes[number], seeds[number]
            if not drawn.any():
                yield SliceChange(number, scene, drawn, scene.own)
                continue
            if number not in moves and steps > 0:
                first = moving.index(number)
                moves = self._moves(moving[first : first + MOVED_AT_ONCE], scenes, seeds, steps)
            cues, latent = stroke_cues(scene, drawn), None
            if number in moves:
                before, after, latent = moves[number]
                cues |= move_cues(scene, before, after, drawn)
            score = line_for(STROKE_LINES, cues).score(cues)
            score = np.where(scene.distance(drawn) < FARTHEST_MM, score, -np.inf)
            yield self._change(number, scene, score, drawn, latent)

    def neighbour(self, former: SliceChange, number: int) -> SliceChange | None:
        """Compute the change of a slice beside one that has changed; None if it does not follow."""
        scene = self.scene(number, ahead=number - former.number)
        reached = former.changed & scene.free & scene.view.body
        if not reached.any():
            return None
        cues = neighbour_cues(scene, former.scene, former.changed)
        score = line_for(NEIGHBOUR_LINES, cues).score(cues)
        change = self._change(number, scene, score, reached & (score > 0))
        return change if np.count_nonzero(change.changed) >= LEAST_PIXELS else None

    def scene(self, number: int, ahead: int = 0) -> Scene:
        """Look at what the structure has and may get in a slice.

        Args:
            number: of the slice.
            ahead: 1 or -1: only the slice on that side counts as beside it; 0 for both.
        """
        wish, grid = self.wish, self.scan.grid
        own = self._own(number)
        giving = own if not wish.positive else grid.share(self.label, number, lambda piece: np.isin(piece, wish.donors))
        open_to = giving > 0.5
        refused = wish.barred.get(number, False) | self._refused.get(number, np.zeros_like(open_to))
        if wish.boxes and wish.positive and number in wish.boxes:
            open_to = open_to & wish.boxes[number]
        sides = [number + ahead] if ahead else [number - 1, number + 1]
        beside = np.mean([self._own(min(max(side, 0), self.scan.count - 1)) for side in sides], axis=0)
        free, view = open_to & ~refused, self.scan.views[number]
        pixel_mm = self.scan.prepared.geometry.pixel_mm
        return Scene(view, wish.structure, wish.positive, own, free, refused & open_to, beside, pixel_mm)

    def _own(self, number: int) -> np.ndarray:
        return self.scan.grid.share(self.label, number, lambda piece: piece == self.wish.structure)

    def _seeds(self, number: int, scene: Scene) -> np.ndarray:
        """Pixels `(H, W)` to begin from: those under strokes, and the likeliest in the middle of a box."""
        drawn = self.wish.drawn.get(number)
        seeds = np.zeros_like(scene.free) if drawn is None else drawn & scene.free & scene.view.body
        box = self.wish.boxes.get(number)
        if box is not None and (scene.own > 0.5)[box].mean() < MOSTLY:
            seeds = seeds | likeliest(scene, box)
        return seeds

    def _moves(
        self, numbers: list[int], scenes: dict[int, Scene], seeds: dict[int, np.ndarray], steps: int
    ) -> dict[int, tuple[np.ndarray, np.ndarray, Latent]]:
        """Move the latents of slices: probabilities before and after, and the latent, by slice."""
        structure = self.wish.structure
        if not self.scan.renders(structure):
            return {}
        start = self.scan.latents_of(numbers, self.latents)
        masks, wanted = [seeds[number] for number in numbers], structure if self.wish.positive else 0
        strokes = self.scan.constraints(masks, wanted, self.settings.stroke_weight)
        away = np.stack([scenes[number].distance(seeds[number]) for number in numbers])
        trust = torch.from_numpy(((away - KEEP_NEAR_MM) / (KEEP_FAR_MM - KEEP_NEAR_MM)).clip(0, 1)).float()
        move = self.scan.mover.move(start, strokes, trust.to(start.device), steps, self.settings)
        self.failed += int(move.failed.sum())
        renderings = zip(numbers, move.before.cpu().numpy(), move.after.cpu().numpy(), strict=True)
        return {
            number: (before, after, move.end[row : row + 1]) for row, (number, before, after) in enumerate(renderings)
        }

    def _change(
        self,
        number: int,
        scene: Scene,
        score: np.ndarray,
        seeds: np.ndarray,
        latent: Latent | None = None,
    ) -> SliceChange:
        """Accept what is likely and hangs together with the seeds."""
        likely = ((score > 0) & scene.view.body | seeds) & scene.free
        pieces, _ = ndimage.label(likely)
        chosen = np.unique(pieces[seeds & scene.free])
        changed = np.isin(pieces, chosen[chosen > 0])
        changed = ndimage.binary_fill_holes(changed) & scene.free
        probability = np.where(seeds, 1.0, 1.0 / (1.0 + np.exp(-score.clip(-30.0, 30.0))))
        zone = ndimage.binary_dilation(changed)
        wished = np.maximum(scene.own, probability) if scene.positive else np.minimum(scene.own, 1.0 - probability)
        target = np.where(zone, wished, scene.own).astype(np.float32)
        return SliceChange(number, scene, changed, target, latent)


MOSTLY = 0.4
"""A box of which the structure fills this share already is not filled further."""


def likeliest(scene: Scene, box: np.ndarray) -> np.ndarray:
    """Find the pixels in the middle of a box that look most like the structure: a quarter of its middle half."""
    rows, columns = np.nonzero(box)
    place = np.stack(np.nonzero(np.ones_like(box)), axis=-1).reshape(*box.shape, 2)
    half = np.maximum(0.5, np.array([np.ptp(rows) + 1, np.ptp(columns) + 1]) / 2)
    centre = np.array([rows.min() + rows.max(), columns.min() + columns.max()]) / 2
    middle = (((place - centre) / half) ** 2).sum(-1) <= 0.5
    middle &= scene.free & scene.view.body
    student = scene.view.student(scene.structure)
    if student is None or not middle.any():
        return middle
    likely: np.ndarray = middle & (student >= np.quantile(student[middle], 0.75))
    return likely


def _opposed(pins: DrawnVoxels, wish: Wish) -> DrawnVoxels:
    """The voxels whose strokes forbid what is wished for."""
    same = pins.structures == wish.structure
    if wish.positive:
        return pins.chosen(np.where(same, ~pins.positive, pins.positive))
    return pins.chosen(same & pins.positive)


def _pixels_by_slice(scan: CorrectedScan, drawn: DrawnVoxels) -> dict[int, np.ndarray]:
    pixels = scan.grid.pixels(drawn.voxels)
    pixels = pixels[scan.grid.inside(pixels)]
    masks: dict[int, np.ndarray] = {}
    for row, column, number in pixels.tolist():
        if number not in masks:
            masks[number] = np.zeros((scan.grid.geometry.size,) * 2, dtype=bool)
        masks[number][row, column] = True
    return masks
