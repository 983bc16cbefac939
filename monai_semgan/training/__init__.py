"""Training of the joint GAN, the encoder and the student."""

from __future__ import annotations
