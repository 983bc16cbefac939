"""Generated pairs for training: rendered in chunks, filtered, kept in memory and renewed little by little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from monai_semgan.errors import Cancelled
from monai_semgan.networks import JointGenerator
from monai_semgan.slicing.encoding import encode
from monai_semgan.training.engine.seeds import step_generator
from monai_semgan.utils.device import autocast

REDRAWS = 3
"""Times that the implausible pairs of a chunk are drawn anew, at most."""


def plausible(logits: torch.Tensor, confidence: float = 0.85, largest: float = 0.5) -> torch.Tensor:
    """Which generated labels can be believed: the generator is sure of them and they are no monsters.

    Args:
        logits: (N, K, H, W), background first.
        confidence: least mean probability of the chosen class over the pixels of organs and their borders.
        largest: most share of the slice that one organ may cover.

    Returns:
        (N,) bool.
    """
    highest, chosen = logits.float().softmax(1).max(1)
    near = torch.nn.functional.max_pool2d((chosen > 0).float()[:, None], 5, stride=1, padding=2)[:, 0]
    certainty = (highest * near).sum((1, 2)) / near.sum((1, 2)).clamp_min(1.0)
    shares = torch.stack([(chosen == k).float().mean((1, 2)) for k in range(1, logits.shape[1])], 1)
    empty = near.sum((1, 2)) == 0
    return (empty | (certainty >= confidence)) & (shares.amax(1) <= largest)


class Pairs(NamedTuple):
    """Generated pairs.

    Attributes:
        image: (N, C, H, W) in [-1, 1].
        label: (N, H, W) class ids.
        latents: W+ (N, L, D) that rendered them.
    """

    image: torch.Tensor
    label: torch.Tensor
    latents: torch.Tensor


@dataclass(frozen=True)
class PoolSettings:
    """What a pool of generated pairs holds.

    Args:
        chunk: pairs rendered at a time.
        chunks: most chunks in stock.
        refresh_every: steps between two chunks.
        truncation: lower end of the truncation.
        mixing: share of pairs whose finer layers take the latent of another draw (style mixing).
        batch: pairs rendered in one forward pass.
        mixed_precision: render in bfloat16 where the device is fast with it.
    """

    chunk: int = 64
    chunks: int = 32
    refresh_every: int = 16
    truncation: float = 0.7
    mixing: float = 0.0
    batch: int = 8
    mixed_precision: bool = True


class PairPool:
    """A changing stock of (image, label) pairs from a frozen generator.

    Chunk number q enters at step `q * refresh_every`; the newest `chunks` are in stock. What the pool holds at a step
    depends on nothing but the seed and that step, so a resumed run sees the same pairs. Latents are drawn with a
    truncation between `truncation` and 1 (less variety, fewer failures at the lower end).

    Args:
        generator: frozen generator.
        seed: seed of the run.
        rank: number of this process.
        device: where pairs are rendered and kept.
        settings: size of the stock, and variety.
        should_stop: asked while pairs are rendered, which may take minutes after a resume; they raise `Cancelled` then.
    """

    def __init__(
        self,
        generator: JointGenerator,
        seed: int,
        rank: int,
        device: torch.device,
        settings: PoolSettings | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.should_stop = should_stop
        self.generator, self.seed, self.rank, self.device = generator, seed, rank, device
        self.settings = settings or PoolSettings()
        self._stock: dict[int, Pairs] = {}
        self._drawn = self._accepted = 0

    def draw(self, step: int, count: int) -> Pairs:
        """So many pairs for a step."""
        newest = step // self.settings.refresh_every
        wanted = range(max(0, newest - self.settings.chunks + 1), newest + 1)
        # an older step's pairs are asked for a picture now and then: later chunks are kept for the steps that follow
        later = {number: chunk for number, chunk in self._stock.items() if number > newest}
        self._stock = {number: self._stock.get(number) or self.render(number) for number in wanted} | later
        source = step_generator(self.seed, self.rank, step, "pool")
        which = torch.randint(len(wanted), (count,), generator=source).tolist()
        row = torch.randint(self.settings.chunk, (count,), generator=source).tolist()
        picks = [(self._stock[wanted[w]], r) for w, r in zip(which, row, strict=True)]
        image, label, latents = (torch.stack([chunk[part][r] for chunk, r in picks]) for part in range(3))
        return Pairs(image.float() / 127.5 - 1.0, label.long(), latents)

    def first(self, chunks: int) -> Pairs:
        """All pairs of the first chunks, pixels as uint8; they stay in stock for the first steps."""
        for number in range(chunks):
            self._stock[number] = self._stock.get(number) or self.render(number)
        return Pairs(*(torch.cat(parts) for parts in zip(*(self._stock[n] for n in range(chunks)), strict=True)))

    @property
    def acceptance(self) -> float:
        """Share of the pairs drawn so far that were plausible; 1 before the first."""
        return self._accepted / self._drawn if self._drawn else 1.0

    @torch.no_grad()
    def render(self, number: int) -> Pairs:
        """Chunk `number`, pixels as uint8.

        Implausible pairs are drawn anew as long as that promises a plausible one, with half a chunk of further pairs at
        most. Then they give way to copies of the plausible ones, of which other chunks have others. Where a chunk has
        none, it stays as it is: so it is with a generator that has learnt next to nothing.
        """
        source = step_generator(self.seed, self.rank, number, "latent", self.device)
        pairs, keep = self._render(self.settings.chunk, source)
        rate, left = float(keep.float().mean()), self.settings.chunk // 2
        for _ in range(REDRAWS):
            bad = (~keep).nonzero().flatten()[:left]
            if rate * len(bad) < 1.0:  # none is to be hoped for; told by this chunk alone, as a resumed run would be
                break
            left -= len(bad)
            fresh, keep[bad] = self._render(len(bad), source)
            for stock, new in zip(pairs, fresh, strict=True):
                stock[bad] = new
        good, bad = keep.nonzero().flatten(), (~keep).nonzero().flatten()
        if len(good):
            copied = good[torch.arange(len(bad), device=good.device) % len(good)]
            for stock in pairs:
                stock[bad] = stock[copied]
        return pairs

    def _render(self, count: int, source: torch.Generator) -> tuple[Pairs, torch.Tensor]:
        """Pairs, and which of them are plausible (n,)."""
        latents = self._latents(count, source)
        images, labels, keep = [], [], []
        for part in latents.split(self.settings.batch):
            if self.should_stop():
                raise Cancelled
            with autocast(self.device, self.settings.mixed_precision):
                sample = self.generator.synthesis(part)
            images.append(encode(sample.image))
            labels.append(sample.logits.argmax(1).to(torch.uint8))
            keep.append(plausible(sample.logits))
        believed = torch.cat(keep)
        self._drawn += count
        self._accepted += int(believed.sum())
        return Pairs(torch.cat(images), torch.cat(labels), latents), believed

    def _latents(self, count: int, source: torch.Generator) -> torch.Tensor:
        generator = self.generator
        z, other = torch.randn(2, count, generator.latent_dim, generator=source, device=self.device)
        layers = torch.full((count,), generator.num_latents, device=self.device)
        crossover = torch.randint(1, generator.num_latents, (count,), generator=source, device=self.device)
        mixed = torch.rand(count, generator=source, device=self.device) < self.settings.mixing
        latents = generator.styles(z, other, torch.where(mixed, crossover, layers))
        strength = torch.rand(count, 1, 1, generator=source, device=self.device)
        mean = generator.mean_latent
        return mean + (self.settings.truncation + (1.0 - self.settings.truncation) * strength) * (latents - mean)
