"""What speaks for a change of a structure at the pixels of a slice, as numbers that a line weighs up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from monai_semgan.correction.slice_views import SliceView, log_odds

Fields = dict[str, np.ndarray]
"""Cues `(H, W)` by name; each is large where it speaks for the change."""

NEAR_MM, FAR_MM = 25.0, 80.0
"""Pixels so far from a stroke, that are labelled like those under it, are taken to be labelled rightly."""

FARTHEST_MM = 70.0
"""No pixel farther than this from a stroke changes in its slice."""

EXAMPLES_MM, WISHED_MM = 40.0, 60.0
"""The classifier's examples lie near: of what stays, within the first distance of a known change; of what does not have
the structure already, where less of it is wished for, within the second of that change or of the strokes."""

BINS = 40
FLOOR = 0.003
"""Of a histogram of grey values, and the least share of a bin."""

RIDGE = 0.3
BESIDE_WEIGHT = 0.5
"""Of the classifier: its regularisation, and the weight of what has the wished label already."""

TEN_MM = 10.0


@dataclass(frozen=True, eq=False)
class Scene:
    """Hold what a structure has and may get in one slice.

    Attributes:
        view: of the slice.
        structure: label id.
        positive: more of it is wished for.
        own: `(H, W)` share of the structure in the label as it stands.
        free: `(H, W)` bool: pixels that may change.
        refused: `(H, W)` bool: pixels that might, but for strokes that say otherwise.
        beside: `(H, W)` mean share of the structure in the slices on both sides; in the one ahead, for a neighbour.
        pixel_mm: edge of a pixel.
    """

    view: SliceView
    structure: int
    positive: bool
    own: np.ndarray
    free: np.ndarray
    refused: np.ndarray
    beside: np.ndarray
    pixel_mm: float

    @property
    def sign(self) -> float:
        """1 where more is wished for, -1 where less is."""
        return 1.0 if self.positive else -1.0

    @property
    def wished(self) -> np.ndarray:
        """Pixels `(H, W)` that are labelled as wished already, surely."""
        return self.own > 0.8 if self.positive else self.own < 0.2

    def distance(self, mask: np.ndarray) -> np.ndarray:
        """Distance `(H, W)` from a mask in mm."""
        found: np.ndarray = ndimage.distance_transform_edt(~mask) * self.pixel_mm
        return found


def stroke_cues(scene: Scene, seeds: np.ndarray) -> Fields:
    """Compute the cues in a slice that has been drawn in.

    Args:
        scene: of the slice.
        seeds: `(H, W)` bool, pixels under the strokes that are to change, one at least.
    """
    view, distance = scene.view, scene.distance(seeds)
    far = (distance > NEAR_MM) & (distance < FAR_MM)
    stays = (scene.free & view.body & far) | scene.refused
    changes = ndimage.binary_dilation(seeds) & scene.free
    wished = scene.wished & (scene.positive | (distance < WISHED_MM))
    cues = {
        "distance": -distance / TEN_MM,
        "way": -way(view.grey, scene.free, seeds),
        "border": -scene.distance(~scene.free) / TEN_MM,
        "beside": scene.sign * (2.0 * scene.beside - 1.0),
        "grey": grey_ratio(view.grey, view.grey[changes], view.grey[stays]),
        "features": classified(view.features(), view.features(), view.body, changes, stays, wished),
    }
    return cues | opinions(scene, view, seeds)


def opinions(scene: Scene, before: SliceView, where: np.ndarray) -> Fields:
    """Tell how much student and rendering agree with the change, and how much more than where it is known.

    Args:
        scene: of the slice.
        before: of the slice in which the change is known.
        where: `(H, W)` bool, it is known there.
    """
    found: Fields = {}
    student, known = scene.view.student(scene.structure), before.student(scene.structure)
    if student is not None and known is not None:
        found["student"] = scene.sign * student
        found["student_more"] = scene.sign * (student - float(np.median(known[where])))
    rendering = scene.view.rendering(scene.structure)
    if rendering is not None:
        found["rendering"] = scene.sign * rendering
    return found


def grey_ratio(grey: np.ndarray, changes: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """Log-ratio `(H, W)` of how often a grey value occurs among values that change and values that stay."""
    place = ((grey + 1.2) / 2.4 * BINS).astype(int).clip(0, BINS - 1)
    ratio: np.ndarray = np.log(_shares(changes) + FLOOR) - np.log(_shares(stays) + FLOOR)
    return ratio[place]


def _shares(values: np.ndarray) -> np.ndarray:
    """Smoothed shares of the bins; of few values nothing is known."""
    if len(values) < 3:
        return np.full(BINS, 1.0 / BINS)
    counts = np.histogram(values, bins=BINS, range=(-1.2, 1.2))[0].astype(float)
    smooth = ndimage.gaussian_filter1d(counts, 1.2, mode="constant")
    return np.asarray(smooth / max(float(smooth.sum()), 1e-9))


def classified(
    source: torch.Tensor,
    target: torch.Tensor,
    body: np.ndarray,
    changes: np.ndarray,
    stays: np.ndarray,
    wished: np.ndarray,
) -> np.ndarray:
    """Fit a linear classifier of features in one slice and apply it to another.

    Ridge regression, in closed form, of 1 for what changes and what has the wished label, -1 for what stays. To adapt
    what is made of a network's features at the click is the idea of Sofiiuk et al., "f-BRS" (CVPR 2020).

    Args:
        source: `(P, F)` features in which to fit.
        target: `(P, F)` features to classify.
        body: `(H, W)` bool, pixels of the first slice over which features are standardised.
        changes: `(H, W)` bool, in the first slice.
        stays: the same.
        wished: the same.

    Returns:
        `(H, W)`.
    """
    inside = torch.from_numpy(body.reshape(-1))
    reference = source[inside] if int(inside.sum()) > 1 else source
    middle, scale = reference.mean(0), reference.std(0) + 1e-4
    weight, wanted = torch.zeros(len(source)), torch.zeros(len(source))
    for mask, answer, share in ((changes, 1.0, 1.0), (stays, -1.0, 1.0), (wished & ~changes, 1.0, BESIDE_WEIGHT)):
        rows = torch.from_numpy(mask.reshape(-1))
        weight[rows], wanted[rows] = share / max(1, int(rows.sum())), answer
    used = weight > 0
    known, weight, wanted = (source[used] - middle) / scale, weight[used], wanted[used]
    weighted = known * weight[:, None]
    normal = weighted.T @ known + RIDGE * torch.eye(known.shape[1])
    solution = torch.linalg.solve(normal, weighted.T @ wanted)
    found: np.ndarray = (((target - middle) / scale) @ solution).reshape(body.shape).numpy()
    return found


def way(grey: np.ndarray, free: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Length `(H, W)` of the shortest way from the seeds, where edges of grey values are long; at most 10."""
    slope = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1)) / 8
    cost = np.where(free, 0.02 + 2.0 * slope, 1.0)
    number = np.arange(cost.size).reshape(cost.shape)
    starts, ends, lengths = [], [], []
    for one, other, step in (
        (np.s_[:-1, :], np.s_[1:, :], 1.0),
        (np.s_[:, :-1], np.s_[:, 1:], 1.0),
        (np.s_[:-1, :-1], np.s_[1:, 1:], np.sqrt(2.0)),
        (np.s_[1:, :-1], np.s_[:-1, 1:], np.sqrt(2.0)),
    ):
        starts.append(number[one].ravel())
        ends.append(number[other].ravel())
        lengths.append(step * (cost[one] + cost[other]).ravel() / 2)
    pairs = (np.concatenate(starts), np.concatenate(ends))
    graph = coo_array((np.concatenate(lengths), pairs), shape=(cost.size, cost.size)).tocsr()
    found = dijkstra(graph, directed=False, indices=np.flatnonzero(seeds), min_only=True, limit=10.0)
    return np.minimum(found, 10.0).reshape(cost.shape)


def neighbour_cues(scene: Scene, former: Scene, changed: np.ndarray) -> Fields:
    """Compute the cues in a slice beside one whose change is known.

    Args:
        scene: of the slice.
        former: of the slice beside it, before its change.
        changed: `(H, W)` bool, what has changed there, one pixel at least.
    """
    view, before = scene.view, former.view
    depth = signed_depth(changed, scene.pixel_mm)
    stays = (former.free & ~changed & before.body & (depth > -EXAMPLES_MM)) | former.refused
    wished = former.wished & (scene.positive | (depth > -WISHED_MM))
    cues = {
        "depth": depth.clip(-30.0, 15.0) / TEN_MM,
        "within": (depth > 0).astype(float),
        "same_grey": -np.abs(view.grey - before.grey),
        "border": -scene.distance(~scene.free) / TEN_MM,
        "beside": scene.sign * (2.0 * scene.beside - 1.0),
        "grey": grey_ratio(view.grey, before.grey[changed], before.grey[stays]),
        "features": classified(before.features(), view.features(), before.body, changed, stays, wished),
    }
    return cues | opinions(scene, before, changed)


def signed_depth(mask: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Distance `(H, W)` in mm from the border of a mask: positive inside, 0 beside it, negative outside."""
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    depth: np.ndarray = np.where(mask, inside, 1.0 - outside) * pixel_mm
    return depth


def move_cues(scene: Scene, before: np.ndarray, after: np.ndarray, where: np.ndarray) -> Fields:
    """Compute what a move of the latent says.

    Args:
        scene: of the slice.
        before: `(R, H, W)` probabilities that the latent rendered.
        after: those that it renders now.
        where: `(H, W)` bool, pixels whose change was asked for.
    """
    ends = scene.sign * log_odds(after[scene.structure])
    moved = ends - scene.sign * log_odds(before[scene.structure])
    return {"move_end": ends, "move": moved, "move_share": moved / max(0.5, float(np.median(moved[where])))}
