"""Stage 1: the joint GAN, which learns to make slices together with their labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F

from monai_semgan.data.sampler import StepSampler
from monai_semgan.errors import SemganError
from monai_semgan.losses.adversarial import AdversarialLoss
from monai_semgan.losses.regularisers import PathLength, r1_penalty
from monai_semgan.networks import JointGenerator, JointSample
from monai_semgan.training.augmentation.discriminator_augmentation import AdaptiveStrength, DiscriminatorAugmentation
from monai_semgan.training.engine.ema import MovingAverage
from monai_semgan.training.engine.schedule import constant_factor
from monai_semgan.training.engine.seeds import step_generator
from monai_semgan.training.generator_check import GeneratorCheck
from monai_semgan.training.image_grids import image_grid, picture
from monai_semgan.training.stages.gan_networks import gan_networks
from monai_semgan.training.stages.gan_settings import GanSettings
from monai_semgan.training.stages.stage import Stage, StageContext
from monai_semgan.training.stages.stage_registry import TrainedGenerator, register_stage
from monai_semgan.utils.device import autocast
from monai_semgan.utils.json_text import nan_where_null

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet

__all__ = ["GanSettings", "GanStage"]

logger = logging.getLogger(__name__)


@register_stage("gan", GanSettings, share=0.6, position=0)
class GanStage(Stage):
    """Train generator, image discriminator and joint discriminator.

    One batch of fakes serves all three in a step. The image is cut off where the joint discriminator judges a fake:
    its gradient reaches the generator through the label head alone (Li et al., CVPR 2021).

    Args:
        context: data, device and seed.
        settings: see `GanSettings`.

    Raises:
        SemganError: if no training slice is labelled.
    """

    @staticmethod
    def build(
        context: StageContext, settings: GanSettings, generator: Callable[[], TrainedGenerator]
    ) -> tuple[GanStage, dict[str, Any]]:
        """Make the stage, and tell what the record says of its networks."""
        return GanStage(context, settings), {"resample_filter": list(settings.resample_filter)}

    def __init__(self, context: StageContext, settings: GanSettings) -> None:
        super().__init__(context, settings.batch_size)
        self.settings = settings
        slices = context.slices
        _check_labels(slices)
        self._build_networks()
        self.augment = DiscriminatorAugmentation()
        self.strengths = {
            name: AdaptiveStrength(images_to_full=settings.adapt_images, initial=settings.augment)
            for name in ("image_discriminator", "joint_discriminator")
        }
        self._recent: dict[str, list[torch.Tensor]] = {name: [] for name in self.strengths}
        self.image_loss, self.joint_loss = AdversarialLoss("logistic"), AdversarialLoss(settings.joint_loss)
        self.path_length = PathLength().to(context.device)
        rank, world = context.workers.rank, context.workers.size
        self.all_slices = StepSampler(slices.unlabelled_indices, settings.batch_size, context.seed, rank, world)
        self.labelled = StepSampler(slices.fully_labelled_indices, settings.batch_size, context.seed + 1, rank, world)
        self.check = GeneratorCheck(slices, context.device)
        self._checked_images = 0

    def _build_networks(self) -> None:
        context, settings = self.context, self.settings
        device = context.device
        self.generator, self.image_discriminator, self.joint_discriminator = gan_networks(context, settings)
        self.networks.update(
            generator=self.generator,
            image_discriminator=self.image_discriminator,
            joint_discriminator=self.joint_discriminator,
        )
        layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        for name, network in self.networks.items():
            network.to(memory_format=layout)  # type: ignore[call-overload]
            self.optimisers[name] = torch.optim.Adam(
                network.parameters(), settings.learning_rate, (0.0, 0.99), fused=device.type == "cuda"
            )
            self.base_rates[name] = settings.learning_rate
        self.averages["generator"] = MovingAverage(self.generator, settings.ema_images)
        found = self.load_pretrained({k: v for k, v in context.initial.items() if not k.startswith("generator.")})
        self.warmup = 0 if "image_discriminator" in found else settings.discriminator_warmup
        prepare: Callable[[Any], Any] = torch.compile if settings.compile else lambda module: module
        self.fast_synthesis = prepare(self.generator.synthesis)
        self.fast_image, self.fast_joint = prepare(self.image_discriminator), prepare(self.joint_discriminator)

    def rate_factor(self, fraction: float) -> float:
        """Warm-up, constant, linear decay."""
        return constant_factor(fraction)

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """Update both discriminators, then the generator, on one batch of fakes. Never waits for the GPU."""
        context = self.context
        source = step_generator(context.seed, context.workers.rank, step, "latent", context.device)
        with autocast(context.device, context.mixed_precision):
            fake = self.fast_synthesis(self.latents(source), noise=self.settings.noise)
        chance = step_generator(context.seed, context.workers.rank, step, "augment", context.device)
        logs = self._image_step(step, fake.image.detach(), chance)
        logs |= self._joint_step(step, fake, chance)
        if step >= self.warmup:
            logs |= self._generator_step(step, fake, chance)
            self.update_averages(step)
        if self.settings.adapt and (step + 1) % 16 == 0:
            for name, strength in self.strengths.items():
                strength.update(context.workers.gather(torch.cat(self._recent[name])))
                self._recent[name].clear()
        logs["loss"] = torch.stack([value for name, value in logs.items() if name.endswith(("_d", "_g"))]).sum()
        return {name: value.detach() for name, value in logs.items()}

    def latents(self, source: torch.Generator, count: int = 0) -> torch.Tensor:
        """W+ codes of a batch, with style mixing."""
        generator, device = self.generator, self.context.device
        count = count or self.batch_size
        z, other = torch.randn(2, count, generator.latent_dim, generator=source, device=device)
        crossover = torch.randint(1, generator.num_latents, (count,), generator=source, device=device)
        mixed = torch.rand(count, generator=source, device=device) < self.settings.mixing
        return generator.styles(z, other, torch.where(mixed, crossover, generator.num_latents))

    def _image_step(self, step: int, fake: torch.Tensor, chance: torch.Generator) -> dict[str, torch.Tensor]:
        name, context, settings = "image_discriminator", self.context, self.settings
        strength = self.strengths[name].strength
        real, _ = context.slices.batch(self.all_slices.batch(step), context.device)
        real_view, _ = self.augment(real, None, strength, chance)
        fake_view, _ = self.augment(fake, None, strength, chance)
        self.optimisers[name].zero_grad(set_to_none=True)
        with autocast(context.device, context.mixed_precision):
            real_scores, fake_scores = self.fast_image(real_view), self.fast_image(fake_view)
        loss = self.image_loss.discriminator(real_scores, fake_scores)
        loss.backward()
        logs = {"image_d": loss, "image_real": real_scores.mean(), "image_fake": fake_scores.mean()}
        if step % settings.r1_interval == 0:
            watched = real.detach().requires_grad_(True)
            view, _ = self.augment(watched, None, strength, chance)
            penalty = r1_penalty(self.image_discriminator(view), watched).mean()
            (0.5 * settings.r1_gamma * settings.r1_interval * penalty).backward()
        self.optimizer_step(name, self.networks[name].parameters())
        self._remember(name, real_scores)
        return logs

    def _joint_step(self, step: int, fake: JointSample, chance: torch.Generator) -> dict[str, torch.Tensor]:
        name, context, settings = "joint_discriminator", self.context, self.settings
        strength = self.strengths[name].strength
        real, label = context.slices.batch(self.labelled.batch(step), context.device)
        truth = self.soft_labels(label)
        real_view = self._pair_view(real, truth, strength, chance)
        fake_view = self._pair_view(fake.image.detach(), fake.logits.detach().softmax(1), strength, chance)
        self.optimisers[name].zero_grad(set_to_none=True)
        with autocast(context.device, context.mixed_precision):
            real_scores, fake_scores = self.fast_joint(*real_view), self.fast_joint(*fake_view)
        loss = self.joint_loss.discriminator(real_scores, fake_scores)
        loss.backward()
        means = [torch.stack([scale.mean() for scale in scores]).mean() for scores in (real_scores, fake_scores)]
        logs = {"joint_d": loss, "joint_real": means[0], "joint_fake": means[1]}
        if step % settings.r1_interval == settings.r1_interval // 2:
            watched = [tensor.detach().requires_grad_(True) for tensor in (real, truth)]
            scores = self.joint_discriminator(*self._pair_view(watched[0], watched[1], strength, chance))
            penalty = r1_penalty(scores, watched).mean()
            (0.5 * settings.joint_r1_gamma * settings.r1_interval * penalty).backward()
        self.optimizer_step(name, self.networks[name].parameters())
        self._remember(name, torch.stack([scale.flatten(1).mean(1) for scale in real_scores]).mean(0))
        return logs

    def _generator_step(self, step: int, fake: JointSample, chance: torch.Generator) -> dict[str, torch.Tensor]:
        context, settings = self.context, self.settings
        judges = (self.image_discriminator, self.joint_discriminator)
        for judge in judges:
            judge.requires_grad_(False)
        image_strength, joint_strength = (self.strengths[name].strength for name in self.strengths)
        view, _ = self.augment(fake.image, None, image_strength, chance)
        pair = self._pair_view(fake.image.detach(), fake.logits.softmax(1), joint_strength, chance)
        self.optimisers["generator"].zero_grad(set_to_none=True)
        with autocast(context.device, context.mixed_precision):
            image_scores, joint_scores = self.fast_image(view), self.fast_joint(*pair)
        image_loss, joint_loss = self.image_loss.generator(image_scores), self.joint_loss.generator(joint_scores)
        (image_loss + settings.joint_weight * joint_loss).backward()
        logs = {"image_g": image_loss, "joint_g": joint_loss}
        if settings.path_weight > 0 and step % settings.path_interval == 0:
            self._path_term(step)
        self.optimizer_step("generator", self.generator.parameters())
        for judge in judges:
            judge.requires_grad_(True)
        return logs

    def _path_term(self, step: int) -> None:
        """Path length of the image by the codes, in single precision, on half a batch."""
        source = step_generator(self.context.seed, self.context.workers.rank, step, "choice", self.context.device)
        latents = self.latents(source, max(1, self.batch_size // 2))
        penalty = self.path_length(self.generator.synthesis(latents).image, latents, source).mean()
        (self.settings.path_weight * self.settings.path_interval * penalty).backward()

    def soft_labels(self, label: torch.Tensor) -> torch.Tensor:
        """Smoothed one-hot labels (N, K, H, W) of class ids (N, H, W)."""
        classes, smoothing = self.context.num_classes, self.settings.label_smoothing
        one_hot = F.one_hot(label, classes).permute(0, 3, 1, 2).float()
        return one_hot * (1.0 - smoothing) + smoothing / classes

    def _pair_view(
        self, image: torch.Tensor, probabilities: torch.Tensor, strength: float, chance: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        view, labels = self.augment(image, probabilities, strength, chance)
        return view, cast("torch.Tensor", labels)

    def _remember(self, name: str, real_scores: torch.Tensor) -> None:
        if self.settings.adapt:
            self._recent[name].append(real_scores.detach().float())

    def parts(self) -> dict[str, dict[str, dict[str, torch.Tensor]]]:
        """Averaged generator with its mean latent; both discriminators."""
        cast("JointGenerator", self.averages["generator"].network).update_mean_latent()
        return super().parts()

    def extra_state(self) -> dict[str, Any]:
        """Strengths of augmentation, scores since they last changed, mean path length."""
        return {
            "strengths": {name: strength.state_dict() for name, strength in self.strengths.items()},
            "recent": {name: [scores.tolist() for scores in recent] for name, recent in self._recent.items()},
            "mean_length": float(self.path_length.mean_length),
        }

    def load_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `extra_state` gave."""
        if not state:
            return
        state, device = nan_where_null(state), self.context.device
        for name, strength in self.strengths.items():
            strength.load_state_dict(state["strengths"][name])
            self._recent[name] = [torch.tensor(scores, device=device) for scores in state["recent"][name]]
        self.path_length.mean_length.fill_(state["mean_length"])

    @torch.no_grad()
    def samples(self, count: int, truncation: float = 1.0, batch: int = 16) -> Iterator[JointSample]:
        """Sample of the averaged generator, the same codes every time, without noise."""
        generator = cast("JointGenerator", self.averages["generator"].network)
        generator.update_mean_latent()
        z = torch.randn(count, generator.latent_dim, generator=torch.Generator().manual_seed(20_240_101))
        for part in z.to(self.context.device).split(batch):
            self.check_stop()
            with autocast(self.context.device, self.context.mixed_precision):
                sample = generator(part, truncation)
            yield JointSample(sample.image.clamp(-1, 1), sample.logits)

    def evaluate(self, final: bool) -> dict[str, float]:
        """Frechet distance to the training slices, share of pairs that look plausible, and from how many images.

        Distances depend on the number of images: a quarter of `quality_images` before the end, and fewer where they
        would take more than their share of the time. Compare only those of equal numbers.
        """
        if self.check_seconds <= 0 and not final:
            return {}
        most = self.settings.quality_images if final else max(2, self.settings.quality_images // 4)
        found = self.check(self.samples(most), most, self.check_seconds)
        self._checked_images = int(found["frechet_images"])
        return found

    def details(self) -> dict[str, Any]:
        """What the last distance was computed from, and how much the discriminators' views are augmented."""
        return {
            "quality_images": self._checked_images,
            "strengths": {k: v.strength for k, v in self.strengths.items()},
        }

    def image_grid(self) -> np.ndarray:
        """Rows: samples and the same with labels; below, real slices with labels."""
        sample = next(self.samples(12, truncation=0.9, batch=12))
        slices = self.context.slices
        chosen = slices.organ_indices[torch.linspace(0, len(slices.organ_indices) - 1, 12).long()]
        real, label = slices.batch(chosen, self.context.device)
        return image_grid([picture(sample.image), picture(sample.image, sample.logits.argmax(1)), picture(real, label)])


def _check_labels(slices: SliceSet) -> None:
    """Make sure that there are pairs of image and label to compare with: labels that know every class.

    Raises:
        SemganError: if there are none.
    """
    if len(slices.labelled_indices) == 0:
        raise SemganError("the joint GAN needs labelled training volumes", remedy="add labels to the data list")
    partial = len(slices.partly_labelled)
    if len(slices.fully_labelled_indices) == 0:
        problem = (
            "the joint GAN needs labels that know every class: in others, what they do not know looks like background"
        )
        remedy = "complete the labels of some volumes, or train the student alone (`semgan train student`)"
        raise SemganError(problem, remedy=remedy)
    if partial:
        logger.warning("the joint GAN takes no labels of %d volumes, which know some classes only", partial)
