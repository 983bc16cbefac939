"""Segmentation of CT and MRI volumes by a joint generative model of images and labels."""

from __future__ import annotations

__version__ = "0.1.0"
