"""The network of a bundle: generator, encoder and student behind one call from image to logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from monai_semgan.errors import SemganError
from monai_semgan.networks.added_structures import AddedStructures
from monai_semgan.networks.encoder import LatentEncoder
from monai_semgan.networks.generator import JointGenerator, JointSample
from monai_semgan.networks.latent import Latent
from monai_semgan.utils.shared_background import divided


def needs_generator(what: str) -> SemganError:
    """What to tell a user who asks a student for more than a preview.

    Args:
        what: was asked for.
    """
    remedy = "use mode preview, or train the stages gan and encoder too and fill the bundle with all"
    return SemganError(f"{what} needs generator and encoder, and this model is a student alone", remedy=remedy)


class InversionSegmenter(nn.Module):
    """Segment slices by the student (`preview`) or by encoding and rendering (`encoder`).

    Test-time optimisation is no part of `forward`: it belongs to the inferer, which uses `encode` and `render`.
    Without generator and encoder it is a student alone, which can do nothing but `preview`.

    Args:
        generator: joint generator; None in a student alone.
        encoder: encoder to its latents; None in a student alone.
        student: feed-forward network to logits.
        forward_mode: what `forward` runs: `preview` or `encoder`.
        added: structures that were learnt later, from the student's maps; None where there are none. They are the last
            of the K classes of `preview`, and the generator does not render them.

    Raises:
        ValueError: if the mode is unknown.
        SemganError: if one of generator and encoder is missing, or both are and `forward` is to need them.
    """

    __constants__ = ("feed_forward", "with_added")
    __jit_unused_properties__ = ("renders", "added_counts")

    def __init__(
        self,
        generator: JointGenerator | None,
        encoder: LatentEncoder | None,
        student: nn.Module,
        forward_mode: str = "preview",
        added: AddedStructures | None = None,
    ) -> None:
        super().__init__()
        if forward_mode not in ("preview", "encoder"):
            raise ValueError(f"forward_mode must be preview or encoder, not {forward_mode!r}")
        alone = generator is None or encoder is None
        if alone and not (generator is None and encoder is None and forward_mode == "preview"):
            raise needs_generator(f"a network with forward_mode {forward_mode} or one of the two")
        self.generator: JointGenerator = generator  # type: ignore[assignment]  # whoever uses it asks `renders` first
        self.encoder: LatentEncoder = encoder  # type: ignore[assignment]
        self.student = student
        self.added = added
        self.with_added = added is not None
        self.added_count = 0 if added is None else sum(added.counts)
        self.added_groups = [] if added is None else [1 + count for count in added.counts]
        self.forward_mode = forward_mode
        self.feed_forward = forward_mode == "preview"

    @property
    def added_counts(self) -> tuple[int, ...]:
        """How many structures each head has added, in the order in which they were learnt."""
        return () if self.added is None else self.added.counts

    @property
    def renders(self) -> bool:
        """Whether there are generator and encoder, and not a student alone."""
        return self.generator is not None

    @torch.jit.unused
    def check_renders(self, what: str) -> None:
        """Make sure, before long computations, that there are generator and encoder.

        Args:
            what: needs them, such as `mode invert`.

        Raises:
            SemganError: this is a student alone.
        """
        if not self.renders:
            raise needs_generator(what)

    def preview(self, image: torch.Tensor) -> torch.Tensor:
        """Compute logits `(N, K, H, W)` of the student for `(N, C, H, W)`, with structures that were added."""
        if self.with_added:
            return self.joined_preview(image)
        return self.student(image).float()

    def joined_preview(self, image: torch.Tensor) -> torch.Tensor:
        """Compute logits `(N, K, H, W)` of all classes, those that were added last."""
        return self._joined(self.preview_parts(image))

    @torch.jit.unused
    def preview_with_maps(self, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Compute the logits of `preview`, and the student's maps on the way, see `StudentUNet.with_features`."""
        logits, maps = self.student.with_features(image)  # type: ignore[operator]
        logits = logits.float()
        if self.added is None:
            return logits, maps
        return self._joined(torch.cat([logits, self.added(image, logits, maps)], 1)), maps

    def _joined(self, parts: torch.Tensor) -> torch.Tensor:
        """Make logits of all classes of those of `preview_parts`."""
        sizes = [parts.shape[1] - sum(self.added_groups)] + self.added_groups
        found = [part.softmax(1) for part in parts.split(sizes, 1)]
        return divided(found[0], found[1:]).clamp_min(1e-12).log()

    def preview_parts(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the student's logits, and those of what its background may be: `(N, K, H, W)`.

        The first group are the student's classes. Every head that has added A structures follows with a group of
        `1 + A`: what stays background, and these structures. Each group has a softmax of its own.
        """
        if self.added is None:
            return self.student(image).float()
        logits, features = self.student.with_features(image)  # type: ignore[operator]
        logits = logits.float()
        return torch.cat([logits, self.added(image, logits, features)], 1)

    @torch.jit.unused
    def encode(self, image: torch.Tensor) -> Latent:
        """Encode images `(N, C, H, W)`."""
        self.check_renders("encoding")
        return self.encoder.encode(image, self.generator)

    @torch.jit.unused
    def render(self, latent: Latent) -> JointSample:
        """Render image and logits of latents, without noise."""
        self.check_renders("rendering")
        return self.generator.synthesis(latent.w_plus, latent.spatial)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Segment `(N, C, H, W)`: logits `(N, K, H, W)`."""
        if self.feed_forward:
            return self.preview(image)
        return self.rendered(image)

    @torch.jit.unused
    def rendered(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the logits `(N, K, H, W)` that the latents of `(N, C, H, W)` render."""
        logits = self.render(self.encode(image)).logits
        if logits.shape[-2] != image.shape[-2] or logits.shape[-1] != image.shape[-1]:
            logits = F.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=False)
        return logits
