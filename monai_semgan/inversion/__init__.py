"""Inversion: find the latents that render given slices, and read the labels that the same latents render."""

from __future__ import annotations
