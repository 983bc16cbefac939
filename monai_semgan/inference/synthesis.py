"""Generated slices with labels, and synthetic patients: a smooth walk through latent space as a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import PchipInterpolator
from scipy.sparse.csgraph import dijkstra

from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.inference.patient_shape import PatientShape, organ_levels, patient_shape
from monai_semgan.io.image2d import image2d_volume
from monai_semgan.io.volume import Volume
from monai_semgan.slicing.encoding import as_pictures
from monai_semgan.utils.device import autocast
from monai_semgan.utils.gpu import with_cpu_fallback
from monai_semgan.utils.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.networks import InversionSegmenter, JointGenerator, JointSample

BATCH = 4
CANDIDATES = 160
DRAFT_SIZE = 64
LIKENESS_WEIGHT = 60.0
TEXTURE_LAYER = 6


@dataclass(frozen=True, eq=False)
class SyntheticSlices:
    """Hold generated slices.

    Attributes:
        image: `(N, H, W)` in [-1, 1], or `(N, H, W, 3)` in colours.
        label: ids `(N, H, W)` uint8, rendered by the same latents.
    """

    image: np.ndarray
    label: np.ndarray


def sample_slices(
    bundle: Bundle, count: int, seed: int = 0, truncation: float = 0.7, progress: Progress | None = None
) -> SyntheticSlices:
    """Generate independent slices.

    Args:
        bundle: the model.
        count: how many.
        seed: the same seed gives the same slices.
        truncation: 1 for the full variety, less for more typical slices.
        progress: told after every batch.

    Raises:
        Cancelled: if the user wants to stop.
    """

    bundle.network.check_renders("a synthetic image")

    def compute(network: InversionSegmenter) -> SyntheticSlices:
        generator = network.generator
        latents = generator.broadcast(_random_latents(generator, count, seed, truncation))
        return _render(network, latents, progress or NullProgress(), "generating slice")

    return with_cpu_fallback(bundle.network, compute)[0]


def sample_patient(
    bundle: Bundle, seed: int = 0, truncation: float = 0.7, progress: Progress | None = None
) -> tuple[Volume, Volume]:
    """Generate a synthetic patient: image in the units of the scans that were learnt, and label, on one grid.

    From many random slices, those are chosen which have organs of typical size at their level and resemble their
    neighbours; between them the latents are interpolated. The later layers, which decide the texture, get the
    same latent everywhere.

    Args:
        bundle: the model.
        seed: the same seed gives the same patient.
        truncation: 1 for the full variety, less for more typical patients.
        progress: told after every batch.

    Raises:
        Cancelled: if the user wants to stop.
        SemganError: if the bundle's description of patients does not fit its labels, or it is for single images.
    """
    if bundle.preprocessing.field_of_view == "image":
        problem = f"the model makes single {bundle.preprocessing.images}, no patients"
        raise SemganError(problem, remedy="generate slices (semgan sample --patients 0)", path=bundle.folder)
    bundle.network.check_renders("a synthetic patient")
    shape = patient_shape(bundle)
    levels = organ_levels(shape, bundle.trained_labels)

    def compute(network: InversionSegmenter) -> SyntheticSlices:
        pixel_mm = bundle.preprocessing.pixel_mm
        return _walk(network, shape, levels, pixel_mm, seed, truncation, progress or NullProgress())

    slices, _ = with_cpu_fallback(bundle.network, compute)
    return as_volumes(slices, bundle, shape.slice_mm)


def sample_image2d(
    bundle: Bundle, seed: int = 0, truncation: float = 0.7, progress: Progress | None = None
) -> tuple[Volume, Volume]:
    """Generate a single image with its label, as if they had been read from pictures: of a model for such images.

    Args:
        bundle: the model.
        seed: the same seed gives the same image.
        truncation: 1 for the full variety, less for a more typical image.
        progress: told when it is done.

    Raises:
        Cancelled: if the user wants to stop.
    """
    slices = sample_slices(bundle, 1, seed, truncation, progress)
    upright = np.rot90((slices.image[0] + 1) * 127.5).round().astype(np.uint8)
    return image2d_volume(upright), image2d_volume(np.rot90(slices.label[0]))


def _walk(
    network: InversionSegmenter,
    shape: PatientShape,
    levels: np.ndarray,
    pixel_mm: float,
    seed: int,
    truncation: float,
    progress: Progress,
) -> SyntheticSlices:
    """Render slices on a way through the latent space from the feet of a patient to the head."""
    generator = network.generator
    candidates = _random_latents(generator, CANDIDATES, seed, truncation)
    seen = _render(network, generator.broadcast(candidates), progress, "choosing slice", draft=True)
    path = choose_path(seen, pixel_mm * generator.size / seen.image.shape[-1], levels)
    keys = candidates[torch.as_tensor(path, device=candidates.device)].cpu().numpy()
    latents = smooth_walk(keys, max(2, round(shape.height_mm / shape.slice_mm)))
    walk = generator.broadcast(latents.to(candidates)).clone()
    walk[:, TEXTURE_LAYER:] = latents.mean(0).to(candidates)
    return _render(network, walk, progress, "rendering slice")


def choose_path(seen: SyntheticSlices, pixel_mm: float, organ_cm2: np.ndarray) -> list[int]:
    """Choose which slices to pass, from feet to head.

    Args:
        seen: candidates.
        pixel_mm: edge of their pixels.
        organ_cm2: `(levels, organs)` typical cross-sections, NaN where an organ does not matter; without any, the walk
            goes from one slice to the one that differs most, by small steps.

    Returns:
        Numbers of candidates.
    """
    distance = likeness_distance(seen.image)
    if organ_cm2.size == 0:
        return _geodesic(distance)
    organs = organ_cm2.shape[1]
    area = np.stack([(seen.label == k).sum((1, 2)) for k in range(1, organs + 1)], 1) * (pixel_mm / 10) ** 2
    # square roots: differences of diameters, so that the liver does not outweigh the kidneys
    misfit = np.nansum(np.abs(np.sqrt(area)[None] - np.sqrt(organ_cm2)[:, None]), axis=2)
    return viterbi(misfit, LIKENESS_WEIGHT * distance)


def likeness_distance(image: np.ndarray) -> np.ndarray:
    """Compute root mean square differences `(N, N)` of slices `(N, H, W)`, blurred to 16 x 16."""
    small = F.adaptive_avg_pool2d(torch.from_numpy(image)[:, None], min(16, image.shape[1])).flatten(1)
    return (torch.cdist(small, small) / small.shape[1] ** 0.5).double().numpy()


def viterbi(level_cost: np.ndarray, step_cost: np.ndarray) -> list[int]:
    """Find the cheapest sequence of states, no state twice in a row.

    Args:
        level_cost: `(levels, N)`.
        step_cost: `(N, N)`.
    """
    step_cost = step_cost + np.diag(np.full(len(step_cost), np.inf))
    total, backwards = level_cost[0], []
    for cost in level_cost[1:]:
        arriving = total[:, None] + step_cost
        backwards.append(arriving.argmin(0))
        total = arriving.min(0) + cost
    path = [int(total.argmin())]
    for best in reversed(backwards):
        path.append(int(best[path[-1]]))
    return path[::-1]


def smooth_walk(keys: np.ndarray, count: int) -> torch.Tensor:
    """Interpolate latents `(count, D)` on a smooth curve without overshoot through `keys` `(levels, D)`."""
    places = np.linspace(0, len(keys) - 1, count)
    return torch.from_numpy(PchipInterpolator(np.arange(len(keys)), keys)(places)).float()


def _geodesic(distance: np.ndarray) -> list[int]:
    end = int(distance[0].argmax())
    _, before = dijkstra(distance**2, indices=0, return_predecessors=True)
    path = [end]
    while path[-1] != 0 and before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return path[::-1] if len(path) > 1 else [0, end]


def _random_latents(generator: JointGenerator, count: int, seed: int, truncation: float) -> torch.Tensor:
    noise = torch.randn(count, generator.latent_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return generator.truncate(generator.mapping(noise.to(generator.mean_latent.device)), truncation)


@torch.no_grad()
def _render(
    network: InversionSegmenter, w_plus: torch.Tensor, progress: Progress, message: str, draft: bool = False
) -> SyntheticSlices:
    """Render W+ latents `(N, L, D)`; drafts are rougher and may be smaller."""
    images, labels = [], []
    progress.update(0, len(w_plus), message)
    for start in range(0, len(w_plus), BATCH):
        with autocast(w_plus.device, enabled=draft):  # drafts need no precision
            sample = _sample(network, w_plus[start : start + BATCH], draft)
        images.append(as_pictures(sample.image.clamp(-1, 1)))
        labels.append(sample.logits.argmax(1).to(torch.uint8).cpu().numpy())
        progress.update(min(start + BATCH, len(w_plus)), len(w_plus))
        if progress.should_stop():
            raise Cancelled
    return SyntheticSlices(np.concatenate(images), np.concatenate(labels))


def _sample(network: InversionSegmenter, w_plus: torch.Tensor, draft: bool) -> JointSample:
    """Render image and label of random W+ latents.

    W+ alone does not say where things are. Where latents have a spatial part, a sample is what the latent renders that
    the encoder finds for the image of W+ alone: image and label agree far better than with a spatial part of 0, for
    which the label heads have hardly been trained, or with W+ as it was drawn and the encoder's spatial part.
    """
    generator, encoder = network.generator, network.encoder
    if encoder.spatial_channels == 0:
        return generator.synthesis(w_plus, size=min(DRAFT_SIZE, generator.size) if draft else 0)
    return network.render(network.encode(generator.synthesis(w_plus).image.clamp(-1, 1)))


def as_volumes(slices: SyntheticSlices, bundle: Bundle, slice_mm: float) -> tuple[Volume, Volume]:
    """Stack slices to volumes in the bundle's orientation, centred on the origin."""
    pixel, (low, high) = bundle.preprocessing.pixel_mm, bundle.preprocessing.window
    affine = np.diag([-pixel, pixel, slice_mm, 1.0])
    shape = np.array([*slices.image.shape[1:], slices.image.shape[0]])
    affine[:3, 3] = -(affine[:3, :3] @ (shape - 1)) / 2
    image = np.round((slices.image.transpose(1, 2, 0) + 1) / 2 * (high - low) + low).astype(np.float32)
    return Volume(image, affine), Volume(slices.label.transpose(1, 2, 0).copy(), affine)
