"""What a stroke changes beside the latent correction: its own pixels, or what a random walker reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from monai_semgan.correction.strokes import Stroke
from monai_semgan.io.volume import Volume

from .reader import ReaderState
from .worst_stroke import slice_axis


@dataclass(frozen=True)
class Paint:
    """Plain painting: the pixels of the stroke, and nothing else."""

    name: str = "paint"

    def apply(self, state: ReaderState, stroke: Stroke) -> np.ndarray:
        """Paint the structure; where the stroke is negative, take it away."""
        label = state.label.copy()
        imprint(label, stroke)
        return label


def imprint(label: np.ndarray, stroke: Stroke) -> None:
    """Write a stroke's own voxels into a label (I, J, K)."""
    where = tuple(stroke.voxels.T)
    label[where] = stroke.structure if stroke.positive else np.where(label[where] == stroke.structure, 0, label[where])


@dataclass(frozen=True)
class Walker:
    """A random walker between the strokes and what is sure of the label (Grady, TPAMI 2006; scikit-image).

    A positive stroke adds to the structure, a negative one takes away. What may change lies within `radius_mm` of the
    stroke; beyond, the label is taken as sure, and so is, near a positive stroke, the structure itself and, near a
    negative one, what is not labelled. Earlier strokes stay.

    Args:
        name: of the method.
        radius_mm: how far from the stroke the label may change, within the slices.
        reach_mm: how far across them; 0: the stroke's slice alone.
        beta: how much edges hinder the walker.
    """

    name: str = "walker"
    radius_mm: float = 20.0
    reach_mm: float = 0.0
    beta: float = 1000.0

    def apply(self, state: ReaderState, stroke: Stroke) -> np.ndarray:
        """Return the label after a stroke; voxels that the stroke reached through the image have changed."""
        axis = slice_axis(state.volume.affine)
        near = self._near(state, stroke, axis)
        window = _window(near)
        drawn, inside = _drawn_in(state, stroke), state.label == stroke.structure
        seeds = np.where(inside, 1, 2)  # 1 the structure, 2 all else
        undecided = near & (inside != stroke.positive) & (drawn == 0)
        seeds[undecided] = 0
        seeds = np.where(drawn > 0, drawn, seeds)[window]
        label = state.label.copy()
        found = self._walked(state.volume, window, seeds, axis) == 1
        changed = undecided[window] & (found == stroke.positive)
        part = label[window]
        part[changed] = stroke.structure if stroke.positive else 0
        for one in (*state.strokes, stroke):
            imprint(label, one)
        return label

    def _near(self, state: ReaderState, stroke: Stroke, axis: int) -> np.ndarray:
        """Voxels near enough to the stroke: an ellipse swept along it."""
        reach = [self.radius_mm] * 3
        reach[axis] = max(self.reach_mm, 1e-3)
        away = np.ones(state.label.shape, bool)
        away[tuple(stroke.voxels.T)] = False
        scaled = state.volume.spacing / reach
        margin = np.ceil(1 / scaled).astype(int) + 1
        box = tuple(
            slice(max(0, a - m), b + m + 1)
            for a, b, m in zip(stroke.voxels.min(0), stroke.voxels.max(0), margin, strict=True)
        )
        near = np.zeros_like(away)
        near[box] = ndimage.distance_transform_edt(away[box], sampling=tuple(scaled)) <= 1
        return near

    def _walked(self, volume: Volume, window: tuple[slice, ...], seeds: np.ndarray, axis: int) -> np.ndarray:
        """Ids of the walker in a window."""
        from skimage.segmentation import random_walker

        if not (seeds == 0).any():
            return seeds
        image = grey_values(volume)[window]
        if seeds.shape[axis] == 1:
            flat = random_walker(image.squeeze(axis), seeds.squeeze(axis), beta=self.beta, mode="cg_j")
            return np.expand_dims(flat, axis)
        spacing = volume.spacing / volume.spacing.min()
        return random_walker(image, seeds, beta=self.beta, mode="cg_j", spacing=tuple(spacing))


def _drawn_in(state: ReaderState, stroke: Stroke) -> np.ndarray:
    """Where strokes of the structure lie: 1 positive, 2 negative, the newest on top."""
    drawn = np.zeros(state.label.shape, np.int8)
    for one in (*state.strokes, stroke):
        if one.structure == stroke.structure:
            drawn[tuple(one.voxels.T)] = 1 if one.positive else 2
    return drawn


def _window(near: np.ndarray) -> tuple[slice, ...]:
    """The box around voxels, with one more on each side within slices where there are such."""
    places = ndimage.find_objects(near.astype(np.uint8))[0]
    grown = (slice(max(0, s.start - 1), s.stop + 1) if s.stop - s.start > 1 else s for s in places)
    return tuple(grown)


def grey_values(volume: Volume) -> np.ndarray:
    """Scale an image to 0 to 1 between its percentiles 1 and 99: (I, J, K) float64."""
    low, high = np.percentile(volume.array[::4, ::4], (1, 99))
    return ((volume.array - low) / max(float(high - low), 1e-6)).clip(0, 1).astype(np.float64)
