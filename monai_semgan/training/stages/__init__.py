"""The stages of training: joint GAN, encoder, student. Importing this registers them."""

from monai_semgan.training.stages.encoder_stage import EncoderStage
from monai_semgan.training.stages.gan_stage import GanStage
from monai_semgan.training.stages.student_stage import StudentStage

__all__ = ["EncoderStage", "GanStage", "StudentStage"]
