"""What latents render, remembered so that nothing is rendered twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from monai_semgan.networks import JointSample, Latent

Keep = Literal["start", "latest"] | None


class KnownRenderings:
    """Render latents of slices, and remember of every slice the rendering at the start and the latest one.

    Only renderings in full precision and without gradients are looked up and remembered: a gradient needs what its own
    rendering leaves, and labels are not taken from bfloat16, which changes one in a hundred pixels of an organ.

    Args:
        render: latents to image and logits.
        count: slices of the volume.
    """

    def __init__(self, render: Callable[[Latent], JointSample], count: int) -> None:
        self.render = render
        self.count = count
        self._kept: dict[str, _Kept] = {}

    def __call__(self, latents: Latent, index: torch.Tensor, keep: Keep = "latest") -> JointSample:
        """Render latents, as far as that has not been done.

        Args:
            latents: of n slices.
            index: `(n,)` which slices of the volume they are.
            keep: as what new renderings are remembered, if at all.
        """
        if torch.is_grad_enabled() or torch.is_autocast_enabled(latents.device.type):
            return self.render(latents)
        missing = torch.ones(len(index), dtype=torch.bool, device=index.device)
        known: list[tuple[torch.Tensor, JointSample]] = []
        for kept in self._kept.values():
            if bool(missing.any()):
                rows = missing & kept.latents[index].same(latents)
                if bool(rows.any()):
                    known.append((rows, kept.rows(index[rows])))
                    missing &= ~rows
        if bool(missing.any()):
            found = self.render(latents[missing])
            if keep is not None:
                if keep not in self._kept:
                    self._kept[keep] = _Kept(self.count, latents, found)
                self._kept[keep].put(index[missing], latents[missing], found)
            known.append((missing, found))
        return _joined(known, len(index))


class _Kept:
    """Hold one rendering of every slice; the latents of those that have none yet are NaN."""

    def __init__(self, count: int, latents: Latent, sample: JointSample) -> None:
        self.latents = latents.map(lambda part: part.new_full((count, *part.shape[1:]), float("nan")))
        self.sample = JointSample(*(maps.new_empty(count, *maps.shape[1:]) for maps in sample))

    def put(self, index: torch.Tensor, latents: Latent, sample: JointSample) -> None:
        self.latents.put(index, latents)
        for kept, maps in zip(self.sample, sample, strict=True):
            kept[index] = maps

    def rows(self, index: torch.Tensor) -> JointSample:
        return JointSample(*(maps[index] for maps in self.sample))


def _joined(parts: list[tuple[torch.Tensor, JointSample]], count: int) -> JointSample:
    """Put the rows of several samples where their masks `(count,)` say."""
    if len(parts) == 1:
        return parts[0][1]
    whole = JointSample(*(maps.new_empty(count, *maps.shape[1:]) for maps in parts[0][1]))
    for rows, sample in parts:
        for kept, maps in zip(whole, sample, strict=True):
            kept[rows] = maps
    return whole
