"""What all corrections of one scan share: its slices, what is seen in them, and the search of latents."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from monai_semgan.bundle.load import Bundle
from monai_semgan.correction.latent_moves import LatentMover
from monai_semgan.correction.slice_grid import SliceGrid
from monai_semgan.correction.slice_latents import SliceLatents
from monai_semgan.correction.slice_views import SliceViews
from monai_semgan.errors import SemganError
from monai_semgan.inference.slice_modes import is_out_of_domain, slice_distance
from monai_semgan.io.volume import Volume
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.networks import Latent
from monai_semgan.networks.latent import joined


class CorrectedScan:
    """Hold what does not change from correction to correction.

    Args:
        bundle: the model.
        volume: the scan.
        modality: as in `segment`.
        plane: in place of the model's own, as in `segment`.
    """

    def __init__(self, bundle: Bundle, volume: Volume, modality: str | None = None, plane: str | None = None) -> None:
        self.bundle, self.volume = bundle, volume
        self.prepared = bundle.preprocessing.in_plane(plane)(volume, modality)
        self.grid = SliceGrid(self.prepared.geometry)
        negatives = is_out_of_domain(bundle, self.prepared)
        self.views = SliceViews(bundle, self.prepared, negatives)

    @cached_property
    def mover(self) -> LatentMover:
        """The search of latents, made when it is first needed."""
        return LatentMover(self.bundle.network)

    @property
    def count(self) -> int:
        """Number of slices."""
        return self.prepared.geometry.num_slices

    @property
    def distance_mm(self) -> float:
        """Distance of neighbouring slices."""
        return slice_distance(self.prepared)

    @property
    def through(self) -> int:
        """Axis of the scan that lies closest to the normal of the slices."""
        return int(np.abs(self.prepared.geometry.to_source[:3, 2]).argmax())

    def renders(self, structure: int) -> bool:
        """Tell whether the generator renders a structure."""
        network = self.bundle.network
        return network.renders and structure < network.generator.num_classes

    def check_latents(self, latents: SliceLatents) -> None:
        """Make sure that latents are of this model.

        Raises:
            SemganError: if they have another shape.
        """
        network = self.bundle.network
        if not network.renders or not len(latents.slices):
            return
        wanted = [part.shape[1:] for part in network.encoder.start(network.generator, 1).parts]
        if [part.shape[1:] for part in latents.latent.parts] != wanted:
            raise SemganError("latents of another model", remedy="start from the label alone")

    def latents_of(self, numbers: list[int], known: SliceLatents) -> Latent:
        """Take the latents of slices: those that are known, the encoder's for others."""
        rows = known.rows(np.asarray(numbers))
        parts = []
        for number, row in zip(numbers, rows.tolist(), strict=True):
            encoded = self.views[number].encoded
            assert encoded is not None
            parts.append(encoded if row < 0 else known.latent[row : row + 1].to(encoded.device).float())
        return joined(parts)

    def constraints(self, masks: list[np.ndarray], label: int, weight: float) -> PixelConstraints:
        """Fix the label under masks `(H, W)` of several slices."""
        labels = torch.from_numpy(np.where(np.stack(masks), label, -1))
        return PixelConstraints(labels.to(self.bundle.device), weight)
