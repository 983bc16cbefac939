"""How far a scan is from what the model knows, and what Dice to expect."""

from monai_semgan.domain.assessment import DomainAssessment, DomainModel, assess_domain

__all__ = ["DomainAssessment", "DomainModel", "assess_domain"]
