"""Stage 3: the student, a U-Net that learns from labelled scans, generated pairs, and its own sure labels elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from monai.losses import DiceCELoss
from torch import nn

from monai_semgan.errors import SemganError
from monai_semgan.losses.label_losses import UNLABELLED, MaskedDiceCELoss, marginal_logits
from monai_semgan.networks import InversionSegmenter, JointGenerator, build_student
from monai_semgan.networks.weights import part, with_prefix
from monai_semgan.training.engine.ema import MovingAverage
from monai_semgan.training.engine.seeds import step_seed
from monai_semgan.training.image_grids import image_grid, picture
from monai_semgan.training.more_classes import CLASS_AXES, student_classes, with_more_classes
from monai_semgan.training.pretrained import frozen
from monai_semgan.training.pseudo_labels import known_pixels, sure_labels
from monai_semgan.training.stages.kept_knowledge import KeptKnowledge
from monai_semgan.training.stages.pair_decision import PairDecision, decide
from monai_semgan.training.stages.stage import SHARE, Stage, StageContext
from monai_semgan.training.stages.stage_registry import GeneratorSource, TrainedGenerator, register_stage
from monai_semgan.training.stages.student_batches import StudentBatches
from monai_semgan.training.stages.student_settings import StudentSettings
from monai_semgan.training.teachers import build_rendering
from monai_semgan.training.validation_check import ValidationCheck
from monai_semgan.utils.device import autocast

__all__ = ["StudentSettings", "StudentStage"]

logger = logging.getLogger(__name__)


@register_stage("student", StudentSettings, share=0.2, position=2)
class StudentStage(Stage):
    """Train the student.

    Args:
        context: data, device and seed.
        settings: see `StudentSettings`.
        generator: frozen joint generator of the generated pairs, or None.
        rendering: network from images to logits that labels unlabelled slices, or None; see `StudentSettings.teacher`.

    Raises:
        SemganError: if no training slice is labelled.
    """

    @staticmethod
    def build(
        context: StageContext, settings: StudentSettings, generator: GeneratorSource
    ) -> tuple[StudentStage, dict[str, Any]]:
        """Make the stage, and tell what the record says of its networks."""
        trained = TrainedGenerator(None, (), 0)
        fewer = _generator_classes(context.initial) in range(1, context.num_classes)
        if fewer and settings.keep_weight == 0:
            # what the generator does not know would be background in its pairs
            logger.warning("the generator in --init or in the run knows fewer structures: the student does without it")
        else:
            trained = generator(any_classes=True) if fewer else generator()
            if trained.network is None and settings.generated_fraction > 0:
                logger.warning("no generator in --init or in the run: the student learns from labelled scans alone")
        rendering = None
        if settings.consistency and settings.teacher != "self":
            rendering = _rendering(context, settings, trained)
        filters = {"resample_filter": list(trained.resample_filter)} if trained.resample_filter else {}
        return StudentStage(context, settings, trained.network, rendering), filters

    def __init__(
        self,
        context: StageContext,
        settings: StudentSettings,
        generator: JointGenerator | None,
        rendering: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        super().__init__(context, settings.batch_size)
        self.settings = settings
        if len(context.slices.labelled_indices) == 0:
            raise SemganError(
                "the student needs labelled training volumes", remedy="add labels to the data list, or raise --labelled"
            )
        # the same initial weights whether a generator has been built before or not
        torch.manual_seed(step_seed(context.seed, 0, 0, "initial"))
        student = build_student(context.slices.images.shape[1], context.num_classes, tuple(settings.channels))
        student = student.to(context.device)
        self.networks["student"] = student
        self.averages["student"] = MovingAverage(student, settings.ema_images)
        self.optimisers["student"] = torch.optim.AdamW(
            _rate_groups(student, settings.known_rate),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=context.device.type == "cuda",
        )
        self.base_rates["student"] = settings.learning_rate
        self.loss = DiceCELoss(to_onehot_y=True, softmax=True, batch=True)
        self.present_loss = MaskedDiceCELoss()
        self.rendering = rendering
        self.batches = StudentBatches(context, settings, generator)
        self.decision: PairDecision | None = PairDecision(True) if settings.pairs == "always" else None
        self.check = ValidationCheck(self)
        self.pictured: tuple[torch.Tensor, torch.Tensor] | None = None
        self.load_pretrained(context.initial)
        self.kept = KeptKnowledge.of(context.initial, context.device) if settings.keep_weight > 0 else None

    def _decide_pairs(self, decision: PairDecision) -> None:
        """Leave generated pairs out of the batches, as if there were no generator, unless they are used."""
        self.decision = decision
        if not decision.used:
            self.batches.leave_out_pairs()

    def load_pretrained(self, weights: Mapping[str, torch.Tensor]) -> list[str]:
        """Load the student that `weights` holds; one that knows fewer classes keeps them and learns the others.

        Returns:
            Names of the networks that were found.

        Raises:
            SemganError: if the student was made for another architecture, or knows more classes.
        """
        state, own = part(weights, "student"), self.networks["student"].state_dict()
        known, classes = student_classes(state), student_classes(own)
        if 0 < known < classes:
            told = "the student in --init knows %d of the %d structures: these are kept, the others are learnt anew"
            logger.warning(told, known - 1, classes - 1)
            state = with_more_classes(state, own)
        return super().load_pretrained(with_prefix(state, "student"))

    def set_rate(self, fraction: float, scale: float = 1.0) -> None:
        """Set the learning rates for a progress in [0, 1], which also tells when unlabelled slices begin."""
        super().set_rate(fraction, scale)
        self.batches.progress = fraction

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented images (N, C, H, W) and labels (N, H, W) of a step, see `StudentBatches.draw`."""
        return self.batches.draw(step, self.teach if self.kept is None else None)

    @torch.no_grad()
    def teach(self, image: torch.Tensor) -> torch.Tensor:
        """Label clean slices (N, C, H, W): labels (N, H, W), 255 where the teacher is not sure."""
        teachers = [] if self.settings.teacher == "rendering" else [self.segment]
        if self.rendering is not None:
            teachers.append(self._rendered)
        probabilities = torch.stack([teacher(image).softmax(1) for teacher in teachers]).mean(0)
        return sure_labels(probabilities, self.settings.confidence)[0]

    def _rendered(self, image: torch.Tensor) -> torch.Tensor:
        rendering = cast("Callable[[torch.Tensor], torch.Tensor]", self.rendering)
        with autocast(self.context.device, self.context.mixed_precision):
            return rendering(image).float()

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of AdamW on Dice + cross-entropy, over the pixels whose label is known."""
        if self.batches.pool is not None and self.decision is None:
            self._decide_pairs(decide(self.context, self.batches.pool, self.settings))
        student = self.networks["student"].train()
        image, label = self.batch(step)
        self.pictured = self.pictured or (image, label)
        with autocast(self.context.device, self.context.mixed_precision):
            logits = student(image)
        logits, known = logits.float(), self.batches.known(step)
        if self.kept is None:
            loss, logs = self._loss(logits, label, known)
        else:
            loss, logs = self._kept_loss(image, logits, label, known)
        self.optimisers["student"].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer_step("student", student.parameters(), max_norm=5.0)
        self.update_averages(step)
        return {"loss": loss.detach(), **logs}

    def _kept_loss(
        self, image: torch.Tensor, logits: torch.Tensor, label: torch.Tensor, known: torch.Tensor | None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a student that is held to what it knew, of those classes alone that a batch shows.

        Batches are small here: a loss that punishes every class that is absent would keep rare ones from being learnt.
        """
        assert self.kept is not None
        with autocast(self.context.device, self.context.mixed_precision):
            distance = self.kept.loss(image, logits, label, known)
        loss = self.present_loss(logits, label, known) + self.settings.keep_weight * distance
        return loss, {"kept": distance.detach()}

    def _loss(
        self, logits: torch.Tensor, label: torch.Tensor, known: torch.Tensor | None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Dice + cross-entropy over the pixels whose label is known."""
        if known is not None:
            logits = marginal_logits(logits, label, known)
        logs = {}
        if self.batches.with_unlabelled:
            logs["sure"] = (label[: self.batches.unlabelled] != UNLABELLED).float().mean()
            return self.loss(*known_pixels(logits, label)), logs
        return self.loss(logits, label[:, None]), logs

    @torch.no_grad()
    def segment(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, K, H, W) of the averaged student."""
        with autocast(self.context.device, self.context.mixed_precision):
            return self.averages["student"].network(image).float()

    def evaluate(self, final: bool) -> dict[str, float]:
        """Patient-level Dice on the validation volumes: before the end of as many slices as there is time for."""
        return self.check(self.segment, 32, final, self.check_seconds)

    def final_check_seconds(self) -> float:
        """How long the validation of all slices will take."""
        return self.check.full_seconds

    def worst_slices(self) -> np.ndarray | None:
        """The worst validation slices: images, references, predictions."""
        return self.check.picture()

    def details(self) -> dict[str, Any]:
        """Dice of every validation patient and organ, and how many of the generator's pairs could be believed."""
        pool = self.batches.pool
        generated: dict[str, Any] = {} if pool is None else {"plausible_pairs": round(pool.acceptance, 4)}
        if self.decision is not None and self.settings.pairs == "measured":
            generated = {"plausible_pairs": self.decision.plausible, **generated, "pairs": self.decision.to_dict()}
        return {**self.check.details(), **generated}

    def extra_state(self) -> dict[str, Any]:
        """Whether generated pairs are used, if that is measured; None before the first step."""
        if self.settings.pairs == "always":
            return {}
        return {"pairs": None if self.decision is None else self.decision.to_dict()}

    def load_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `extra_state` gave; a run of before goes on with its pairs."""
        kept = state.get("pairs", PairDecision(True).to_dict())
        if kept is not None and self.settings.pairs == "measured":
            self._decide_pairs(PairDecision.from_dict(kept))

    def image_grid(self) -> np.ndarray:
        """Rows: an augmented training batch with its labels, and what the student makes of it."""
        image, label = self.pictured or self.batch(0)  # the first batch of this process: one of its own takes seconds
        prediction = self.segment(image).argmax(1)
        return image_grid([picture(image), picture(image, label), picture(image, prediction)])


def _rate_groups(student: nn.Module, share: float) -> Any:
    """Weights, those that depend on no class at a share of the learning rate; all in one group where that is 1."""
    if share == 1.0:
        return student.parameters()
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in student.named_parameters():
        groups[name in CLASS_AXES].append(parameter)
    return [{"params": groups[True]}, {"params": groups[False], SHARE: share}]


def _generator_classes(weights: Mapping[str, torch.Tensor]) -> int:
    """Classes of the generator among weights, background included; 0 if there is none."""
    return len(weights.get("generator.label_bias", ()))


def _rendering(context: StageContext, settings: StudentSettings, trained: TrainedGenerator) -> InversionSegmenter:
    """The encoder and the generator among the initial weights, to label slices.

    Raises:
        SemganError: if one of them is missing.
    """
    if trained.network is None:
        remedy = "give a run that has trained both for these labels in --init, or set teacher=self"
        raise SemganError(f"teacher={settings.teacher} needs a generator and an encoder", remedy=remedy)
    return build_rendering(context.initial, frozen(trained.network, context.device), trained.spatial_size)
