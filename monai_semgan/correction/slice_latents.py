"""Latents of those slices of a scan that have been searched, in memory and on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks import Latent
from monai_semgan.networks.latent import joined
from monai_semgan.networks.weights import load_tensors, save_atomically


@dataclass(frozen=True, eq=False)
class SliceLatents:
    """Hold latents by slice.

    Attributes:
        slices: `(n,)` int64, ascending, numbers of slices in the model's stack of the scan.
        latent: of these n slices.
    """

    slices: np.ndarray
    latent: Latent

    def __post_init__(self) -> None:
        order = np.argsort(self.slices)
        object.__setattr__(self, "slices", np.asarray(self.slices, dtype=np.int64)[order])
        object.__setattr__(self, "latent", self.latent[torch.from_numpy(order)])

    @classmethod
    def empty(cls) -> SliceLatents:
        """Make one of no slices."""
        return cls(np.empty(0, dtype=np.int64), Latent(torch.empty(0, 0, 0)))

    def rows(self, slices: np.ndarray) -> np.ndarray:
        """Find slices: `(m,)` rows here, -1 for those that are not here."""
        place = np.searchsorted(self.slices, slices)
        known = np.append(self.slices, -1)[np.minimum(place, len(self.slices))] == slices
        return np.where(known, place, -1)

    def merged(self, other: SliceLatents) -> SliceLatents:
        """Join with latents of other slices; of slices that both have, those of `other` are kept."""
        if not len(self.slices) or not len(other.slices):
            return other if len(other.slices) else self
        mine = ~np.isin(self.slices, other.slices)
        kept = self.latent[torch.from_numpy(mine)]
        latent = joined([kept, other.latent.to(kept.device)])
        return SliceLatents(np.concatenate([self.slices[mine], other.slices]), latent)

    def save(self, path: str | Path) -> None:
        """Write a file, in half precision, complete or not at all.

        Raises:
            SemganError: if it cannot be written.
        """
        content = {"slices": torch.from_numpy(self.slices)}
        content |= dict(zip(("w_plus", "spatial"), self.latent.to("cpu", torch.float16).parts, strict=False))
        save_atomically(path, content)

    @classmethod
    def load(cls, path: str | Path) -> SliceLatents:
        """Read what `save` has written; tensors only, in single precision.

        Raises:
            SemganError: if the file is missing, truncated or holds something else.
        """
        content = load_tensors(path)
        problem = SemganError("holds no latents of slices", remedy="start from the label alone", path=path)
        if not isinstance(content, dict) or not {"slices", "w_plus"} <= content.keys() <= {
            "slices",
            "w_plus",
            "spatial",
        }:
            raise problem
        if not all(isinstance(part, torch.Tensor) for part in content.values()):
            raise problem
        parts = [content[name].float() for name in ("w_plus", "spatial") if name in content]
        slices = content["slices"]
        if slices.ndim != 1 or any(len(part) != len(slices) or not part.isfinite().all() for part in parts):
            raise problem
        return cls(slices.long().numpy(), Latent(*parts))
